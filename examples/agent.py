"""A chat of several turns: a chat model asks DiffAgent which image model to use, turn by turn.

    pip install "diffagent-tools[agents]" langchain-openai
    python examples/agent.py --model openai:gpt-5-mini
    python examples/agent.py --model openai:qwen3 --base-url http://localhost:11434/v1 --api-key none
    python examples/agent.py --model ollama:qwen3          # needs langchain-ollama

Any chat model that can call tools will do: `--model` is what `langchain.chat_models.init_chat_model` takes.
Without turns on the command line the chat is read from the keyboard.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage

from diffagent_tools import CheckT2IApiTool, DiffAgentTool, Selector

TURNS = ("a happy corgi, pixel art", "make it wide", "only models I may use commercially")
SYSTEM = (
    "You help to choose a text-to-image model. Never name a model from memory: call "
    "select_text_to_image_model, and pass the whole wish each time, with everything that was said before and "
    "still holds. A wish for a shape or size goes into width and height, a wish about licences into "
    "commercial_use. A model that the user names goes through check_text_to_image_api first. Then tell the "
    "user the model, why it fits, and its page, briefly."
)


@dataclass(frozen=True)
class Turn:
    """What the user said, what the agent said, and the API that now holds (None before the first choice)."""

    said: str
    answer: str
    api: dict[str, Any] | None


def build_agent(model: BaseChatModel, selector: Selector | None = None) -> Any:
    """An agent with both tools; the packaged selector where none is given."""
    return create_agent(
        model, tools=[DiffAgentTool(selector=selector), CheckT2IApiTool()], system_prompt=SYSTEM
    )


def converse(agent: Any, turns: Iterable[str]) -> Iterator[Turn]:
    """Plays the turns one after the other; the agent sees all that went before."""
    messages: list[AnyMessage] = []
    for said in turns:
        messages = agent.invoke({"messages": [*messages, HumanMessage(said)]})["messages"]
        yield Turn(said, messages[-1].text, latest_api(messages))


def latest_api(messages: Sequence[AnyMessage]) -> dict[str, Any] | None:
    """The API of the last successful choice: the artifact of the tool's message, in DABench's own fields."""
    for message in reversed(messages):
        if (
            isinstance(message, ToolMessage)
            and isinstance(message.artifact, dict)
            and "api" in message.artifact
        ):
            api: dict[str, Any] = message.artifact["api"]
            return api
    return None


def from_keyboard() -> Iterator[str]:
    """What the user types, until an empty line."""
    while said := input("you: ").strip():
        yield said


def show(turn: Turn) -> None:
    """Prints a turn."""
    print(f"> {turn.said}\n{turn.answer}")
    if turn.api is not None:
        print(f"[{turn.api['model']}, {turn.api['width']}x{turn.api['height']}]\n")


def main() -> None:
    """Reads the command line and chats."""
    parser = argparse.ArgumentParser(description="Choose an image model in a chat.")
    parser.add_argument("turns", nargs="*", help=f"such as {TURNS}")
    parser.add_argument("--model", required=True, help="provider:name, as init_chat_model reads it")
    parser.add_argument("--base-url", help="of an OpenAI-compatible server")
    parser.add_argument("--api-key", help="if the server wants one; else the provider's own variable is read")
    options = parser.parse_args()
    given = {"base_url": options.base_url, "api_key": options.api_key}
    model = init_chat_model(options.model, **{name: value for name, value in given.items() if value})
    for turn in converse(build_agent(model), options.turns or from_keyboard()):
        show(turn)


if __name__ == "__main__":
    main()

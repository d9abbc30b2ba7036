"""A chat of several turns: a chat model asks DiffAgent which image model to use, turn by turn.

    pip install "diffagent-tools[agents]" langchain-openai
    python examples/agent.py --model openai:gpt-5-mini
    python examples/agent.py --model openai:qwen3 --base-url http://localhost:11434/v1 --api-key none
    python examples/agent.py --model ollama:qwen3          # needs langchain-ollama

Any chat model that can call tools will do: `--model` is what `langchain.chat_models.init_chat_model` takes.
Without turns on the command line the chat is read from the keyboard. `diffagent chat --model` does the same.
"""

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, HumanMessage

from diffagent_tools import CheckT2IApiTool, DiffAgentTool, Selection, Selector
from diffagent_tools.chat.agent import SYSTEM, latest

TURNS = ("a happy corgi, pixel art", "make it wide", "only models I may use commercially")


def build_agent(model: BaseChatModel, selector: Selector | None = None) -> Any:
    """An agent with both tools; the packaged selector where none is given."""
    tools = [DiffAgentTool(selector=selector), CheckT2IApiTool()]
    return create_agent(model, tools=tools, system_prompt=SYSTEM)


def converse(agent: Any, turns: Iterable[str]) -> Iterator[tuple[str, str, Selection | None]]:
    """What was said, what the agent said, and what is chosen by then; the agent sees all that went before."""
    messages: list[AnyMessage] = []
    for said in turns:
        messages = agent.invoke({"messages": [*messages, HumanMessage(said)]})["messages"]
        yield said, messages[-1].text, next(iter(latest(messages)), None)


def show(said: str, answer: str, chosen: Selection | None) -> None:
    """Prints a turn."""
    print(f"> {said}\n{answer}")
    if chosen is not None:
        print(f"[{chosen.api.model}, {chosen.api.width}x{chosen.api.height}]\n")


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
    typed = iter(lambda: input("you: ").strip(), "")
    for turn in converse(build_agent(model), options.turns or typed):
        show(*turn)


if __name__ == "__main__":
    main()

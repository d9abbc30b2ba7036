"""A chat model drives the chat: it reads the messages, and asks DiffAgent's tools which model to use.

    talker = AgentConversation(chat_model("ollama:qwen3"), selector, catalogue)
    turn = talker.turn("a happy corgi, pixel art", State())

Same turns as diffagent_tools/chat/conversation.py; the agent is that of examples/agent.py. Needs the extra
`agents`.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from diffagent_tools.chat.conversation import State, Turn
from diffagent_tools.extras import require
from diffagent_tools.quoting import plain, plain_lines
from diffagent_tools.select.selection import Selection, Selector
from retrieval.catalogue import Catalogue
from retrieval.errors import DiffAgentError, InvalidInput

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

    from retrieval.search.index import DescriptionIndex

_ERROR_CHARS = 300
_ANSWER_CHARS = 8_000
_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_SECRET_CHARS = 8

SYSTEM = (
    "You help to choose a text-to-image model. Never name a model from memory: call "
    "select_text_to_image_model with k=4, and pass the whole wish each time, with everything that was said "
    "before and still holds. A wish for a shape or size goes into width and height, a wish about licences "
    "into commercial_use, a model that is not wanted into exclude. A model that the user names goes through "
    "check_text_to_image_api first. Then tell the user the model, why it fits, and its page, briefly, in "
    "plain text."
)


def chat_model(name: str, base_url: str | None = None) -> "BaseChatModel":
    """The chat model that `langchain.chat_models.init_chat_model` makes of a name such as "ollama:qwen3".

    Raises:
        MissingExtra: langchain is not installed.
        InvalidInput: the provider's package is not installed, or the name is of no provider.
    """
    init_chat_model = require("langchain.chat_models").init_chat_model
    given: dict[str, Any] = {"base_url": base_url} if base_url else {}
    try:
        made: BaseChatModel = init_chat_model(name, **given)
    except (ImportError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInput(
            f"the chat model {name!r} cannot be made ({reason}); write PROVIDER:MODEL, and install the "
            "provider's package (langchain-openai, ...)"
        ) from error
    return made


class AgentConversation:
    """Talks with a chat model; what was said is in the state.

    Args:
        model: a chat model that can call tools.
        selector: chooses.
        catalogue: what exists.
        index: finds substitutes by meaning, where a named model does not exist; shared words without it.
        max_nsfw: the highest browsing level of a model, where the chat model asks for none; None: only safe.

    Raises:
        MissingExtra: langchain is not installed.
    """

    def __init__(
        self,
        model: "BaseChatModel",
        selector: Selector,
        catalogue: Catalogue,
        index: "DescriptionIndex | None" = None,
        *,
        max_nsfw: int | None = None,
    ) -> None:
        create_agent = require("langchain.agents").create_agent
        from diffagent_tools.agents.langchain import CheckT2IApiTool, DiffAgentTool

        self.catalogue = catalogue
        tools = [
            DiffAgentTool(selector=selector, max_nsfw=max_nsfw),
            CheckT2IApiTool(catalogue=catalogue, index=index),
        ]
        self._agent: Any = create_agent(model, tools=tools, system_prompt=SYSTEM)

    def turn(self, message: str, state: State) -> Turn:
        """Lets the agent answer; a chat model that fails, such as for a wrong key, fails the turn."""
        from langchain_core.messages import HumanMessage

        if not message.strip():
            return Turn(message, "Say what the picture should show.", state, failed=True)
        before = list(state.messages)
        try:
            messages = self._agent.invoke({"messages": [*before, HumanMessage(message)]})["messages"]
        except DiffAgentError as error:
            return Turn(message, plain(str(error), _ANSWER_CHARS), state, failed=True)
        except Exception as error:
            # each provider's client has errors of its own; none may end the chat and lose what was said
            return Turn(message, _failure(error), state, failed=True)
        new = messages[len(before) :]
        found = latest(new)
        made = replace(state, messages=tuple(messages))
        if found:
            made = replace(made, ranked=found, found=found)
        answer = plain_lines(str(messages[-1].text), _ANSWER_CHARS)
        return Turn(message, answer, made, _calls(new), chosen=bool(found), spoken=True)


def _failure(error: Exception) -> str:
    """What a provider's client raised, in a line, without a key that it may have repeated."""
    said = str(error)
    for name, value in os.environ.items():
        if len(value) >= _SECRET_CHARS and name.upper().endswith(_SECRETS):
            said = said.replace(value, "...")
    return (
        f"the chat model failed ({type(error).__name__}: {plain(said, _ERROR_CHARS)}); see to its key, its "
        "name and the network, and say it again"
    )


def latest(messages: "Sequence[BaseMessage]") -> tuple[Selection, ...]:
    """The models of the last successful choice among an agent's messages, the best first; else none."""
    from langchain_core.messages import ToolMessage

    for message in reversed(messages):
        artifact = message.artifact if isinstance(message, ToolMessage) else None
        if isinstance(artifact, dict) and "ranked" in artifact:
            return tuple(Selection.model_validate(ranked) for ranked in artifact["ranked"])
    return ()


def _calls(messages: list[Any]) -> tuple[str, ...]:
    """What the chat model asked of the tools, in words."""
    from langchain_core.messages import AIMessage

    return tuple(
        plain(f"{call['name']}: {', '.join(f'{key} {value}' for key, value in call['args'].items())}", 300)
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    )

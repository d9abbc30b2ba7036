"""A chat model that says what a function makes of the messages, and keeps what it read.

model = ScriptedChat(reply=lambda messages: AIMessage("Take it."))
model.read[0][-1].text      # what it was asked first
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

Reply = Callable[[list[BaseMessage]], AIMessage]


class ScriptedChat(BaseChatModel):
    """Answers with `reply` of the messages; what that raises is raised. Threads may share it."""

    reply: Reply
    model_name: str = "scripted-1"
    temperature: float = 0.0
    _read: list[list[BaseMessage]] = PrivateAttr(default_factory=list)
    _tools: list[str] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def read(self) -> list[list[BaseMessage]]:
        """The messages of each call."""
        return self._read

    @property
    def tools(self) -> list[str]:
        """The names of the tools that it was given."""
        return self._tools

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> "ScriptedChat":
        self._tools += [tool.name for tool in tools]
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        with self._lock:
            self._read.append(list(messages))
        return ChatResult(generations=[ChatGeneration(message=self.reply(messages))])


def in_turn(*answers: AIMessage) -> ScriptedChat:
    """Says these answers one after the other."""
    left = iter(answers)
    return ScriptedChat(reply=lambda messages: next(left))

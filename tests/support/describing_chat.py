"""A chat model that describes models by a script, and counts what it was asked."""

import json
import threading
from collections.abc import Callable
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

GOOD = "Paints ruined castles on foggy hills in a dark fantasy manner."


class ScriptedChat(BaseChatModel):
    """Answers with what `reply` makes of the record's name and of how often it was asked about it."""

    model_name: str = "scripted-1"
    temperature: float = 0.0
    reply: Callable[[str, int], str]
    _asked: list[str] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def asked(self) -> list[str]:
        """The names of the records it was asked about, sorted."""
        return sorted(self._asked)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        name = json.loads(str(messages[-1].content).split("\n", 1)[1].split("\nFENCE ")[0])["name"]
        with self._lock:
            self._asked.append(name)
            count = self._asked.count(name)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.reply(name, count)))])


def chat(reply: str | Callable[[str, int], str] = GOOD) -> ScriptedChat:
    return ScriptedChat(reply=(lambda name, count: reply) if isinstance(reply, str) else reply)

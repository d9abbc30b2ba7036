"""A chat model that describes models by a script, and counts what it was asked."""

import json
import threading
from collections import Counter
from collections.abc import Callable

import scripted_chat
from langchain_core.messages import AIMessage, BaseMessage

GOOD = "Paints ruined castles on foggy hills in a dark fantasy manner."


class ScriptedChat(scripted_chat.ScriptedChat):
    """A scripted chat that is only asked about records."""

    @property
    def asked(self) -> list[str]:
        """The names of the records it was asked about, sorted."""
        return sorted(map(_name_in, self.read))


def chat(reply: str | Callable[[str, int], str] = GOOD) -> ScriptedChat:
    """Answers with `reply`, or what it makes of the record's name and of how often it was asked about it."""
    lock, counts = threading.Lock(), Counter[str]()

    def described(messages: list[BaseMessage]) -> AIMessage:
        name = _name_in(messages)
        with lock:
            counts[name] += 1
            count = counts[name]
        return AIMessage(reply if isinstance(reply, str) else reply(name, count))

    return ScriptedChat(reply=described)


def _name_in(messages: list[BaseMessage]) -> str:
    return str(json.loads(str(messages[-1].content).split("\n", 1)[1].split("\nFENCE ")[0])["name"])

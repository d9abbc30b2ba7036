"""A chat model's errors, its name, and the file that keeps its answers."""

from pathlib import Path

import httpx
import pytest
from describing_chat import chat

from diffagent_tools.llm.chat_model import AnswerCache, bare, is_transient, name_of
from retrieval.errors import StorageError


class Busy(Exception):
    """As providers raise it: with a status and no base class that is known here."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code = status


def test_which_errors_pass() -> None:
    wrapped = RuntimeError("the provider's own")
    wrapped.__cause__ = httpx.ConnectError("no route")
    assert is_transient(wrapped)
    assert is_transient(Busy(429))
    assert not is_transient(Busy(401))
    assert not is_transient(ValueError("a mistake"))


def test_a_chat_models_name() -> None:
    assert name_of(chat()) == "ScriptedChat scripted-1 temperature=0.0"


def test_a_cache_that_is_no_cache(tmp_path: Path) -> None:
    broken = tmp_path / "said.sqlite"
    broken.write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match=r"said\.sqlite"):
        AnswerCache(broken)
    with pytest.raises(StorageError, match="somewhere"):
        AnswerCache(broken / "somewhere")


def test_an_older_cache_with_a_further_column_is_still_read_and_written(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "said.sqlite"
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, model_id INTEGER, answer TEXT)")
        old.execute("INSERT INTO answers VALUES ('k', 7, 'castles')")
    cache = AnswerCache(path)
    cache.put("l", "fog")
    assert [cache.get(key) for key in "klm"] == ["castles", "fog", None]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("<think>a\n?</think>\n'a dog,\n photo'", "a dog, photo"),
        ("<THINKING>x</thinking>", ""),
        ("a < b", "a < b"),
    ],
)
def test_thoughts_and_quotes_go(said: str, left: str) -> None:
    assert bare(said) == left

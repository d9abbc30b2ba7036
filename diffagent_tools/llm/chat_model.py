"""Asks a chat model, any that LangChain can call: many questions at a time, again while busy.

    asked = CachedChat(init_chat_model("openai:gpt-5-mini"), cache=Path("said.sqlite"))
    replies = asked.ask([Question(("template 1", "a fox"), [("system", "..."), ("human", "a fox")])])
    bare(replies[0].text)

Answers are kept as they came, by chat model and what tells one question from another: a stopped run goes on
where it was, and nothing is paid for twice.
"""

import hashlib
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from retrieval.errors import ServiceError, StorageError

ATTEMPTS = 5
_LONGEST_WAIT = 60.0  # seconds between two attempts
_SILENT_ROW = 8  # so many questions in a row without an answer: the service is down
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_FATAL = frozenset({401, 402, 403, 404})  # no key, no money, no such model: true of every question
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
NO_ANSWER = f"no answer in {ATTEMPTS} attempts"


class ChatModel(Protocol):
    """What is used of LangChain's chat models."""

    def invoke(self, input: Any, /) -> Any:
        """Takes messages, and gives one whose `text` is the answer."""


@dataclass(frozen=True)
class Question:
    """What tells it from other questions, such as template and prompt; and role and text of each message."""

    parts: tuple[str, ...]
    messages: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """The answer as it came, or None and why there is none."""

    text: str | None
    fault: str | None = None


class CachedChat:
    """Usable from several threads.

    Args:
        chat: the model.
        cache: a file for its answers; None keeps them in memory.
        workers: how many calls run at a time.
        name: stands for the chat model in the cache; what it says of itself if None.
        sleep: waits so many seconds between attempts; None waits in a way that a stop can end.

    Raises:
        StorageError: the cache cannot be opened, read or written, or is something else.
    """

    def __init__(
        self,
        chat: ChatModel,
        *,
        cache: Path | None = None,
        workers: int = 4,
        name: str | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.name = name or name_of(chat)
        self._chat = chat
        self._cache = AnswerCache(cache)
        self._workers = max(1, workers)
        self._sleep = sleep

    def kept(self, question: Question) -> str | None:
        """The answer that the cache holds."""
        return self._cache.get(self._key(question))

    def ask(
        self, questions: Sequence[Question], *, progress: Callable[[int], None] | None = None
    ) -> list[Reply]:
        """The replies in the order of the questions.

        Args:
            progress: told how many are answered, after each.

        Raises:
            ServiceError: the service refuses every call (key, money, name of the model), or many questions in
                a row got no answer. What was answered is in the cache.
            StorageError: the cache cannot be written.
        """
        replies: dict[int, Reply] = {}
        run = _Run()
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="chat")
        try:
            running: dict[Future[Reply], int] = {
                pool.submit(self._answer, question, run): place for place, question in enumerate(questions)
            }
            for future in as_completed(running):
                replies[running[future]] = future.result()
                if progress is not None:
                    progress(len(replies))
        finally:
            run.stopped.set()  # wakes those that wait for another attempt
            pool.shutdown(cancel_futures=True)
        return [replies[place] for place in range(len(questions))]

    def _answer(self, question: Question, run: "_Run") -> Reply:
        kept = self.kept(question)
        if kept is not None:
            return Reply(kept)
        reply = self._call(question, run)
        if reply.text is not None:
            self._cache.put(self._key(question), reply.text)
        if run.is_down(silent=reply == _SILENT):
            raise ServiceError(
                f"{self.name} gave no answer to {_SILENT_ROW} records in a row; needed is a chat model "
                "that answers. Try again later: what was answered is kept in the cache"
            )
        return reply

    def _call(self, question: Question, run: "_Run") -> Reply:
        from tenacity import RetryError as StillFailing
        from tenacity import (
            Retrying,
            retry_if_exception,
            sleep_using_event,
            stop_after_attempt,
            stop_when_event_set,
            wait_random_exponential,
        )

        if run.stopped.is_set():
            return _SILENT
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(run.stopped),
            wait=wait_random_exponential(multiplier=1, max=_LONGEST_WAIT),
            retry=retry_if_exception(is_transient),
            sleep=self._sleep or sleep_using_event(run.stopped),
        )
        try:
            return Reply(str(retrying(self._chat.invoke, list(question.messages)).text))
        except StillFailing:
            return _SILENT
        except Exception as error:
            # providers' errors share no base class; what carries no HTTP status is a mistake and goes on up
            status = status_of(error)
            if status is None:
                raise
            if status in _FATAL:
                run.stopped.set()
                raise ServiceError(
                    f"{self.name} refuses with HTTP {status} ({type(error).__name__}); needed are a valid "
                    "key, credit and the name of a model that exists. What was answered is kept in the cache"
                ) from error
            return Reply(None, f"refused with HTTP {status}")

    def _key(self, question: Question) -> str:
        return hashlib.sha256(json.dumps([self.name, *question.parts]).encode()).hexdigest()


_SILENT = Reply(None, NO_ANSWER)


class _Run:
    """What the threads of one `ask` share: whether to stop, and how many in a row got no answer."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._silent = 0

    def is_down(self, *, silent: bool) -> bool:
        """Counts one question; true for the one that makes the row too long."""
        with self._lock:
            self._silent = self._silent + 1 if silent else 0
            down = self._silent == _SILENT_ROW and not self.stopped.is_set()
            if down:
                self.stopped.set()
        return down


class AnswerCache:
    """Answers on disk, by key: one SQLite file, written answer by answer; without a path, in memory.

    Raises:
        StorageError: the file cannot be opened, read or written, or is something else.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._plain_errors():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._answers = sqlite3.connect(path or ":memory:", check_same_thread=False, timeout=30)
            with self._answers:
                self._answers.execute(
                    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT)"
                )

    def get(self, key: str) -> str | None:
        """The answer, or None where there is none."""
        with self._lock, self._plain_errors():
            row = self._answers.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, answer: str) -> None:
        """On disk when this returns."""
        with self._lock, self._plain_errors(), self._answers:
            self._answers.execute(
                "INSERT OR REPLACE INTO answers (key, answer) VALUES (?, ?)",
                (key, answer.encode("utf-8", "replace").decode()),
            )

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                f"the cache of answers {self._path} cannot be used ({error}); needed is a file that this "
                "user may write, with room on the disk. Name another, or delete it if it is no such cache"
            ) from error


def bare(said: str) -> str:
    """An answer in one line, without what the model thought before and the quotes around it."""
    return " ".join(_THOUGHT.sub(" ", said).split()).strip("`\"'“” ")


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later: no connection, a timeout, a busy service."""
    import httpx

    status = status_of(error)
    if status is not None:
        return status in _TRANSIENT
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionError | TimeoutError | httpx.TransportError):
            return True
        cause = cause.__cause__
    return False


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error of whatever provider carries."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "code", "http_status"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and 100 <= value < 600:
                return value
    return None


def name_of(chat: ChatModel) -> str:
    """The class and the settings that change answers, such as "ChatOpenAI gpt-5-mini temperature=0"."""
    named = (getattr(chat, name, None) for name in ("model_name", "model", "model_id", "deployment_name"))
    model = next((str(value) for value in named if isinstance(value, str) and value), "")
    settings = [
        f"{name}={value}"
        for name in ("temperature", "top_p", "seed")
        if (value := getattr(chat, name, None)) is not None
    ]
    return " ".join(part for part in (type(chat).__name__, model, *settings) if part)

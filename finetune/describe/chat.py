"""Descriptions by a chat model: any that LangChain can call, cached, checked, paid for knowingly.

    describer = ChatDescriber(init_chat_model("openai:gpt-5-mini"), cache=Path("said.sqlite"), workers=8)
    print(describer.estimate(subjects, Prices(0.25, 2.0)).text)
    answers = describer.describe(subjects)        # {model id: Answer(text, fault)}

Answers are kept as they came, by chat model, record and template: a stopped run goes on where it was, and
stricter checks need no new calls. `describe_all` (finetune/describe/catalogue.py) is the way in for
catalogues.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.describe.answer_cache import AnswerCache
from finetune.describe.chat_prompt import TEMPLATE_HASH, Request, Subject, request
from finetune.describe.checks import fault_of
from finetune.describe.extract import MAX_WORDS
from retrieval.errors import ServiceError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_TOKENS_OUT = MAX_WORDS * 3 // 2
_ATTEMPTS = 5
_LONGEST_WAIT = 60.0  # seconds between two attempts
_SILENT_ROW = 8  # so many records in a row without an answer: the service is down
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_FATAL = frozenset({401, 402, 403, 404})  # no key, no money, no such model: true of every record
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Prices:
    """US dollars for a million tokens."""

    tokens_in: float
    tokens_out: float


@dataclass(frozen=True)
class Estimate:
    """What describing will take; tokens are counted roughly, a token being four Latin letters."""

    calls: int
    cached: int
    tokens_in: int
    tokens_out: int
    prices: Prices | None = None

    @property
    def cost(self) -> float | None:
        """US dollars; None without prices."""
        if self.prices is None:
            return None
        return (self.tokens_in * self.prices.tokens_in + self.tokens_out * self.prices.tokens_out) / 1_000_000

    @property
    def text(self) -> str:
        cost = "price unknown" if self.cost is None else f"about ${self.cost:,.2f}"
        return (
            f"{self.calls:,} calls of the chat model ({self.cached:,} answers are in the cache): about "
            f"{self.tokens_in:,} tokens in, {self.tokens_out:,} out, {cost}"
        )


@dataclass(frozen=True)
class Answer:
    """What the chat model said, and why that will not do (None: it will)."""

    text: str
    fault: str | None = None


class ChatDescriber:
    """Asks a chat model for descriptions.

    Args:
        chat: the model.
        cache: a file for its answers; None keeps none.
        workers: how many calls run at a time.
        progress: told, in one line each, what takes long.
        name: stands for the chat model in the cache; what it says of itself if None.
        sleep: waits so many seconds between attempts; None waits in a way that a stop can end.
    """

    def __init__(
        self,
        chat: "BaseChatModel",
        *,
        cache: Path | None = None,
        workers: int = 4,
        progress: Callable[[str], None] | None = None,
        name: str | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.name = name or name_of(chat)
        self._chat = chat
        self._cache = AnswerCache(cache)
        self._workers = max(1, workers)
        self._tell = progress or (lambda line: None)
        self._sleep = sleep

    def estimate(self, subjects: Iterable[Subject], prices: Prices | None = None) -> Estimate:
        """What `describe` will take; asks nothing.

        Raises:
            StorageError: the cache cannot be read.
        """
        calls = cached = tokens = 0
        for subject in subjects:
            asked = request(subject)
            if self._cache.get(self._key(asked)) is not None:
                cached += 1
            else:
                calls += 1
                tokens += tokens_of(asked.system) + tokens_of(asked.text)
        return Estimate(calls, cached, tokens, calls * _TOKENS_OUT, prices)

    def describe(self, subjects: Sequence[Subject]) -> dict[int, Answer]:
        """An answer for every subject, by model id, in their order.

        Raises:
            ServiceError: the service refuses every call (key, money, name of the model), or many records in a
                row got no answer. What was answered is in the cache.
            StorageError: the cache cannot be written.
        """
        answers: dict[int, Answer] = {}
        run = _Run()
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="describe")
        try:
            running: dict[Future[str | Answer], Subject] = {
                pool.submit(self._answer, subject, run): subject for subject in subjects
            }
            for future in as_completed(running):
                subject = running[future]
                said = future.result()
                answers[subject.facts.model_id] = said if isinstance(said, Answer) else checked(said, subject)
                if len(answers) % 50 == 0 or len(answers) == len(running):
                    self._tell(f"described {len(answers):,} of {len(running):,} models")
        finally:
            run.stopped.set()  # wakes those that wait for another attempt
            pool.shutdown(cancel_futures=True)
        return {subject.facts.model_id: answers[subject.facts.model_id] for subject in subjects}

    def _answer(self, subject: Subject, run: "_Run") -> "str | Answer":
        """The model's words, or an Answer without any that says why."""
        asked = request(subject)
        key = self._key(asked)
        kept = self._cache.get(key)
        if kept is not None:
            return kept
        said = self._ask(asked, run)
        if isinstance(said, str):
            self._cache.put(key, subject.facts.model_id, said)
        if run.is_down(silent=said == _SILENT):
            raise ServiceError(
                f"{self.name} gave no answer to {_SILENT_ROW} records in a row; needed is a chat model "
                "that answers. Try again later: what was answered is kept in the cache"
            )
        return said

    def _ask(self, asked: Request, run: "_Run") -> "str | Answer":
        from langchain_core.messages import HumanMessage, SystemMessage
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
        messages = [SystemMessage(asked.system), HumanMessage(asked.text)]
        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS) | stop_when_event_set(run.stopped),
            wait=wait_random_exponential(multiplier=1, max=_LONGEST_WAIT),
            retry=retry_if_exception(is_transient),
            sleep=self._sleep or sleep_using_event(run.stopped),
        )
        try:
            return str(retrying(self._chat.invoke, messages).text)
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
            return Answer("", f"refused with HTTP {status}")

    def _key(self, asked: Request) -> str:
        parts = json.dumps([self.name, TEMPLATE_HASH, asked.record_hash])
        return hashlib.sha256(parts.encode()).hexdigest()


class _Run:
    """What the threads of one `describe` share: whether to stop, and how many in a row got no answer."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._silent = 0

    def is_down(self, *, silent: bool) -> bool:
        """Counts one record; true for the one that makes the row too long."""
        with self._lock:
            self._silent = self._silent + 1 if silent else 0
            down = self._silent == _SILENT_ROW and not self.stopped.is_set()
            if down:
                self.stopped.set()
        return down


NO_ANSWER = f"no answer in {_ATTEMPTS} attempts"
_SILENT = Answer("", NO_ANSWER)


def checked(said: str, subject: Subject) -> Answer:
    """The description in an answer, and the first rule that it breaks."""
    text = " ".join(_THOUGHT.sub(" ", said).split()).strip("`\"'“” ")
    fault = fault_of(text, subject.source)
    if fault is None and not text.endswith((".", "!")):
        text += "."
    return Answer(text, fault)


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


def name_of(chat: "BaseChatModel") -> str:
    """The class and the settings that change answers, such as "ChatOpenAI gpt-5-mini temperature=0"."""
    named = (getattr(chat, name, None) for name in ("model_name", "model", "model_id", "deployment_name"))
    model = next((str(value) for value in named if isinstance(value, str) and value), "")
    settings = [
        f"{name}={value}"
        for name in ("temperature", "top_p", "seed")
        if (value := getattr(chat, name, None)) is not None
    ]
    return " ".join(part for part in (type(chat).__name__, model, *settings) if part)


def tokens_of(text: str) -> int:
    """A rough count: four Latin letters or one of another script."""
    latin = sum(character.isascii() for character in text)
    return -(-latin // 4) + len(text) - latin

"""Descriptions by a chat model: any that LangChain can call, cached, checked, paid for knowingly.

    describer = ChatDescriber(CachedChat(init_chat_model("openai:gpt-5-mini"), cache=Path("said.sqlite")))
    print(describer.estimate(subjects, Prices(0.25, 2.0)).text)
    answers = describer.describe(subjects)        # {model id: Answer(text, fault)}

Answers are kept as they came, by chat model, record and template: a stopped run goes on where it was, and
stricter checks need no new calls. `complete` (finetune/describe/catalogue.py) is the way in for catalogues.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from diffagent_tools.llm.chat_model import CachedChat, Question, bare
from finetune.describe.chat_prompt import TEMPLATE_HASH, Subject, request
from finetune.describe.checks import fault_of
from finetune.describe.extract import MAX_WORDS

_TOKENS_OUT = MAX_WORDS * 3 // 2


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
    """Asks a chat model for descriptions; `progress` is told, in one line each, what takes long."""

    def __init__(self, chat: CachedChat, progress: Callable[[str], None] = lambda line: None) -> None:
        self._chat = chat
        self._tell = progress

    def estimate(self, subjects: Iterable[Subject], prices: Prices | None = None) -> Estimate:
        """What `describe` will take; asks nothing.

        Raises:
            StorageError: the cache cannot be read.
        """
        calls = cached = tokens = 0
        for subject in subjects:
            asked = question(subject)
            if self._chat.kept(asked) is not None:
                cached += 1
            else:
                calls += 1
                tokens += sum(tokens_of(text) for _, text in asked.messages)
        return Estimate(calls, cached, tokens, calls * _TOKENS_OUT, prices)

    def describe(self, subjects: Sequence[Subject]) -> dict[int, Answer]:
        """An answer for every subject, by model id, in their order.

        Raises:
            ServiceError: the service refuses every call (key, money, name of the model), or many records in a
                row got no answer. What was answered is in the cache.
            StorageError: the cache cannot be written.
        """

        def tell(count: int) -> None:
            if count % 50 == 0 or count == len(subjects):
                self._tell(f"described {count:,} of {len(subjects):,} models")

        replies = self._chat.ask([question(subject) for subject in subjects], progress=tell)
        return {
            subject.facts.model_id: Answer("", reply.fault)
            if reply.text is None
            else checked(reply.text, subject)
            for subject, reply in zip(subjects, replies, strict=True)
        }


def question(subject: Subject) -> Question:
    """What a chat model is asked about a record."""
    asked = request(subject)
    messages = [("system", asked.system), ("human", asked.text)]
    return Question((TEMPLATE_HASH, asked.record_hash), messages)


def checked(said: str, subject: Subject) -> Answer:
    """The description in an answer, and the first rule that it breaks."""
    text = bare(said)
    fault = fault_of(text, subject.source)
    if fault is None and not text.endswith((".", "!")):
        text += "."
    return Answer(text, fault)


def tokens_of(text: str) -> int:
    """A rough count: four Latin letters or one of another script."""
    latin = sum(character.isascii() for character in text)
    return -(-latin // 4) + len(text) - latin

"""Concise prompts of COCO and Parti to well-structured ones, by in-context learning (paper section 4.1).

    rewriter = PromptRewriter(init_chat_model("openai:gpt-5-mini"), cache=Path("rewrites.sqlite"))
    texts, how = rewriter(["a corgi on a beach"])

The paper used GPT-3.5-turbo and does not print its examples; those here are our own sentences. Any chat model
of LangChain will do. Answers are kept by chat model, template and prompt, so that nothing is paid for twice.
A prompt whose answer cannot be used stays as it is, and `how` says how many did.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.describe.answer_cache import AnswerCache
from finetune.describe.chat import is_transient, name_of, status_of
from retrieval.errors import ServiceError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

SYSTEM = (
    "You rewrite short descriptions of pictures as well-structured prompts for Stable Diffusion. "
    "Write one line: the subject first and everything that the description says of it, then "
    "surroundings, style, light and quality as short phrases parted by commas. Add no other subject, and no "
    "name of an artist or a model. Answer with the prompt alone."
)
EXAMPLES = (
    (
        "A dog sleeping on a sofa.",
        "a dog sleeping on a sofa, curled up on soft cushions, cosy living room, warm afternoon light, "
        "shallow depth of field, photo, highly detailed",
    ),
    (
        "two robots playing chess",
        "two robots playing chess, facing each other over a wooden board, dim workshop, glowing eyes, rim "
        "light, science fiction illustration, intricate details",
    ),
    (
        "the number seven made of flowers",
        "the number seven made of flowers, petals of many colours on a plain white background, seen from "
        "above, soft even light, studio photo, sharp focus",
    ),
    (
        "A train going through the mountains in winter.",
        "a train going through the mountains in winter, snowy slopes and pine forest, steam in cold air, "
        "wide view, pale morning light, realistic, high quality",
    ),
)
"""Written for this project; none is a prompt of the data that is rewritten."""
MAX_CHARS = 600
_ATTEMPTS = 4
_TEMPLATE = hashlib.sha256(json.dumps([SYSTEM, EXAMPLES]).encode()).hexdigest()
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_LABEL = re.compile(r"^(?:prompt|rewritten prompt|answer)\s*:\s*", re.IGNORECASE)


class PromptRewriter:
    """Rewrites prompts with a chat model.

    Args:
        cache: a file for its answers; None keeps them in memory.
        workers: how many calls run at a time.
        progress: told how far it is.
        wait: seconds before the second attempt at a call; twice as many before each further one.
    """

    def __init__(
        self,
        chat: "BaseChatModel",
        *,
        cache: Path | None = None,
        workers: int = 4,
        progress: Callable[[str], None] | None = None,
        wait: float = 1.0,
    ) -> None:
        self.name = name_of(chat)
        self._chat = chat
        self._cache = AnswerCache(cache)
        self._workers = max(1, workers)
        self._tell = progress or (lambda line: None)
        self._wait = wait

    def __call__(self, prompts: Sequence[str]) -> tuple[list[str], str]:
        """The prompts in their order, rewritten or as they were, and in words how they were made.

        Raises:
            ServiceError: the service refuses, or does not answer; what was answered is in the cache.
            StorageError: the cache cannot be written.
        """
        said: list[str] = []
        with ThreadPoolExecutor(self._workers, thread_name_prefix="rewrite") as pool:
            futures = [pool.submit(self._answer, prompt) for prompt in prompts]
            try:
                for number, future in enumerate(futures, start=1):
                    said.append(future.result())
                    if number % 50 == 0 or number == len(futures):
                        self._tell(f"rewrote {number:,} of {len(futures):,} prompts")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        found = [usable(text) for text in said]
        kept = sum(text is None for text in found)
        how = f"rewritten by {self.name} with {len(EXAMPLES)} examples"
        how += f", {kept:,} left as they were" if kept else ""
        return [new or old for new, old in zip(found, prompts, strict=True)], how

    def _answer(self, prompt: str) -> str:
        key = hashlib.sha256(json.dumps([self.name, _TEMPLATE, prompt]).encode()).hexdigest()
        known = self._cache.get(key)
        if known is None:
            known = self._ask(prompt)
            self._cache.put(key, 0, known)
        return known

    def _ask(self, prompt: str) -> str:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(multiplier=self._wait, max=60),
            retry=retry_if_exception(is_transient),
            reraise=True,
        )
        try:
            return str(retrying(self._chat.invoke, messages_of(prompt)).text)
        except Exception as error:
            # providers' errors share no base class; what is neither busy nor an HTTP status goes on up
            status = status_of(error)
            if status is None and not is_transient(error):
                raise
            said = f"HTTP {status}" if status is not None else type(error).__name__
            raise ServiceError(
                f"{self.name} does not rewrite prompts ({said}); needed are a network, a valid key, credit "
                "and the name of a model that exists. What was answered is kept in the cache; without a chat "
                "model the raw prompts are used, and the table says so"
            ) from error


def messages_of(prompt: str) -> list[tuple[str, str]]:
    """The template with its examples, as LangChain takes messages."""
    shown = [message for short, long in EXAMPLES for message in (("human", short), ("ai", long))]
    return [("system", SYSTEM), *shown, ("human", prompt)]


def usable(said: str) -> str | None:
    """The prompt in an answer; None where there is none, or far more than one."""
    text = " ".join(_THOUGHT.sub(" ", said).split()).strip("`\"'“” ")
    text = _LABEL.sub("", text).strip("`\"'“” ")
    return text if 0 < len(text) <= MAX_CHARS else None

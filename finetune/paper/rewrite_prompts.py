"""Concise prompts of COCO and Parti to well-structured ones, by in-context learning (paper section 4.1).

    rewriter = PromptRewriter(CachedChat(init_chat_model("openai:gpt-5-mini"), cache=Path("rewrites.sqlite")))
    texts, how = rewriter(["a corgi on a beach"])

The paper used GPT-3.5-turbo and does not print its examples; those here are our own sentences. Any chat model
of LangChain will do. Answers are kept by chat model, template and prompt, so that nothing is paid for twice.
A prompt whose answer cannot be used stays as it is, and `how` says how many did.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence

from diffagent_tools.llm.chat_model import CachedChat, Question, bare
from retrieval.errors import ServiceError

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
_TEMPLATE = hashlib.sha256(json.dumps([SYSTEM, EXAMPLES]).encode()).hexdigest()
_LABEL = re.compile(r"^(?:prompt|rewritten prompt|answer)\s*:\s*", re.IGNORECASE)


class PromptRewriter:
    """Rewrites prompts with a chat model; `progress` is told how far it is."""

    def __init__(self, chat: CachedChat, progress: Callable[[str], None] = lambda line: None) -> None:
        self._chat = chat
        self._tell = progress

    def __call__(self, prompts: Sequence[str]) -> tuple[list[str], str]:
        """The prompts in their order, rewritten or as they were, and in words how they were made.

        Raises:
            ServiceError: the service refuses, or does not answer; what was answered is in the cache.
            StorageError: the cache cannot be written.
        """

        def tell(count: int) -> None:
            if count % 50 == 0 or count == len(prompts):
                self._tell(f"rewrote {count:,} of {len(prompts):,} prompts")

        questions = [Question((_TEMPLATE, prompt), messages_of(prompt)) for prompt in prompts]
        replies = self._chat.ask(questions, progress=tell)
        missing = next((reply.fault for reply in replies if reply.text is None), None)
        if missing is not None:
            raise ServiceError(
                f"{self._chat.name} does not rewrite every prompt ({missing}); try again later: what was "
                "answered is kept in the cache. Without a chat model the raw prompts are used, and the table "
                "says so"
            )
        found = [usable(reply.text or "") for reply in replies]
        kept = sum(text is None for text in found)
        how = f"rewritten by {self._chat.name} with {len(EXAMPLES)} examples"
        how += f", {kept:,} left as they were" if kept else ""
        return [new or old for new, old in zip(found, prompts, strict=True)], how


def messages_of(prompt: str) -> list[tuple[str, str]]:
    """The template with its examples, as LangChain takes messages."""
    shown = [message for short, long in EXAMPLES for message in (("human", short), ("ai", long))]
    return [("system", SYSTEM), *shown, ("human", prompt)]


def usable(said: str) -> str | None:
    """The prompt in an answer; None where there is none, or far more than one."""
    text = _LABEL.sub("", bare(said)).strip("`\"'“” ")
    return text if 0 < len(text) <= MAX_CHARS else None

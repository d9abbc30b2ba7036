"""What a description must not be, whoever wrote it: `fault_of` names the first rule that a text breaks.

fault_of("A LoRA, see https://example.org", Source())  # "a link"
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from finetune.describe.extract import MAX_WORDS
from finetune.describe.lexicon import FACETS, QUALITY, STOP_WORDS, SUBJECTS
from retrieval.search.terms import words
from retrieval.tables.facets import facets
from retrieval.tables.screen import is_advertised, is_blocked

COPIED_RUN = 6
"""so many words in a row that also stand in a prompt or the creator's text are a copy"""
_HTML = re.compile(r"[<>]|&(?:[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,6});", re.IGNORECASE)
_LINK = re.compile(
    r"://|\bwww\.|\]\(|(?:^|\s)@\w|\b[\w-]+\.(?:com|net|org|io|ai|gg|co|me|dev|app|xyz|html?)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")
# a refusal, an aside to the reader or an obeyed instruction: a description speaks of pictures
_TALK = re.compile(
    r"\b(?:i|i'm|i’m|i'll|my|sorry|cannot|can't|can’t|as an ai|language model|instructions?|ignor(?:e|ed|ing)"
    r"|system prompt|assistant|here is|here's|sure|description:)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Source:
    """What a description was written from, as far as it is checked against it.

    Args:
        prompts: the model's sample prompts.
        creators_text: what its creator wrote.
        trigger_words: which the description must not repeat, unless they are `ordinary` words.
        ordinary: words that many models' prompts hold.
        about: words of which a description must hold one, in whatever form; () asks for none.
    """

    prompts: Sequence[str] = ()
    creators_text: str = ""
    trigger_words: Sequence[str] = ()
    ordinary: Collection[str] = field(default_factory=frozenset)
    about: Collection[str] = ()


def fault_of(text: str, source: Source) -> str | None:
    """The first rule that the text breaks, as a noun; None if it is fit."""
    if not words(text):
        return "empty"
    if len(text.split()) > MAX_WORDS:
        return f"over {MAX_WORDS} words"
    if _HTML.search(text):
        return "HTML"
    if _LINK.search(text):
        return "a link"
    if is_blocked(text) or is_advertised(text):
        return "NSFW"
    if _TALK.search(text):
        return "talk instead of a description"
    if said_triggers(text, source):
        return "trigger words"
    said = set(long_runs(text))
    if any(not said.isdisjoint(long_runs(prompt)) for prompt in source.prompts):
        return "copied from a sample prompt"
    if not said.isdisjoint(long_runs(source.creators_text)):
        return "copied from the creator's text"
    about = stems(" ".join(source.about))
    if about and stems(text).isdisjoint(about):
        return "not about the model"
    return None


def said_triggers(text: str, source: Source) -> list[str]:
    """The trigger words in the text that are no ordinary language: those have a field of their own.

    One or two ordinary words may stand: a model that is triggered by "chibi" or "robot" makes those.
    """
    spaced = f" {' '.join(words(text))} "
    found = []
    for trigger in {part.strip() for entry in source.trigger_words for part in entry.split(",")}:
        parts = words(trigger)
        plain = len(parts) <= 2 and all(part in PLAIN_WORDS or part in source.ordinary for part in parts)
        if parts and not plain and f" {' '.join(parts)} " in spaced:
            found.append(trigger)
    return sorted(found)


def long_runs(text: str) -> Iterator[tuple[str, ...]]:
    """Every run of COPIED_RUN neighbouring words, in lower case, whatever stands between them."""
    found = [word.casefold() for word in _WORD.findall(text)]
    return zip(*(found[start:] for start in range(COPIED_RUN)), strict=False)


def stems(text: str) -> set[str]:
    """The words of a text that speak of a thing, each cut to six letters, so that endings do not count."""
    return {
        word[:6].rstrip("s")
        for word in words(text)
        if len(word) > 2 and word not in STOP_WORDS and word not in _EMPTY
    }


PLAIN_WORDS = frozenset(
    word
    for entry in (
        *SUBJECTS,
        *SUBJECTS.values(),
        *FACETS.values(),
        *(said for facet in facets() for said in (facet.name, *facet.said, *facet.also)),
    )
    for word in (*words(entry), entry)
)
# said of every model
_EMPTY = (QUALITY - PLAIN_WORDS) | {
    "lora",
    "checkpoint",
    "model",
    "pictures",
    "image",
    "images",
    "stable",
    "diffusion",
}

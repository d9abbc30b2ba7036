"""The closed vocabulary of what may be written into a prompt that nobody asked for word by word.

    [phrase.text for phrase in suitable("a fox", "quality")]     # ["masterpiece", "best quality", ...]
    phrase.share(record.terms)                                  # how many of the samples say it

The table is vocabulary.txt beside this file. What is shown is the user's choice, so it holds how a picture is
made and lit, and what spoils one. A frequent negative term that is the name of somebody's embedding is not in
it: without its file it says nothing.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from retrieval.search.purpose import asked_facets, is_medium
from retrieval.search.terms import words

Kind = Literal["quality", "light", "mood", "colour", "photo", "render", "fault", "mark", "body", "style"]
_ENTRY = re.compile(r"(?P<text>\S.*?)(?: (?P<usual>0\.\d+))?")
_FILE = Path(__file__).with_name("vocabulary.txt")
_JOINTS = frozenset({"of", "on", "out", "too"})
"""words that profiles leave out (finetune/describe/lexicon.py)"""
_PHOTO = frozenset({"photo", "analog"})
_RENDER = frozenset({"3d", "disney 3d", "low poly", "isometric", "concept art", "digital painting"})
_LETTERED = frozenset({"icon", "poster", "sticker", "comic", "manga", "tarot", "game asset"})
_COLOURLESS = frozenset({"monochrome", "noir", "sketch", "line art", "ink painting", "manga"})


@dataclass(frozen=True)
class Phrase:
    """A phrase of the vocabulary; `usual` is the mean share of the sample pictures of a model that say it."""

    text: str
    kind: Kind
    usual: float = 0.0

    def share(self, terms: Mapping[str, float]) -> float:
        """The share of a profile's pictures that say it; terms of a profile have at most two words."""
        said = words(self.text)
        if len(said) < 3:
            return terms.get(" ".join(said), 0.0)
        if _JOINTS.isdisjoint(said):
            return min(terms.get(" ".join(pair), 0.0) for pair in pairwise(said))
        return min(terms.get(word, 0.0) for word in said if word not in _JOINTS)


@functools.cache
def vocabulary() -> tuple[Phrase, ...]:
    """All phrases, in the order in which they are written."""
    found: list[Phrase] = []
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, _, listed = line.partition("|")
            for entry in listed.split(","):
                match = _ENTRY.fullmatch(entry.strip())
                if match is None:
                    raise ValueError(
                        f"{_FILE.name} holds {entry!r}; needed is a phrase and its share, if any"
                    )
                found.append(Phrase(match["text"], _kind(kind.strip()), float(match["usual"] or 0)))
    return tuple(found)


def suitable(request: str, *kinds: Kind) -> Iterator[Phrase]:
    """Phrases that may stand beside a request: none takes sides against a medium or a look that is asked for,
    and none says again what the request says."""
    said = f" {' '.join(words(request))} "
    asked = asked_facets(request).keys()
    media = {name for name in asked if is_medium(name)}
    unfit: set[Kind] = set()
    if not asked.isdisjoint(_COLOURLESS):
        unfit.add("colour")
    if not asked.isdisjoint(_LETTERED):
        unfit.add("mark")
    if not media <= _PHOTO:
        unfit |= {"photo", "style"}
    if not media <= _RENDER:
        unfit.add("render")
    for phrase in vocabulary():
        if phrase.kind not in kinds or phrase.kind in unfit or f" {' '.join(words(phrase.text))} " in said:
            continue
        if phrase.kind != "style" or asked.isdisjoint(_facets_of(phrase)):
            yield phrase


@functools.cache
def _facets_of(phrase: Phrase) -> frozenset[str]:
    return frozenset(asked_facets(phrase.text))


def _kind(text: str) -> Kind:
    kinds: tuple[Kind, ...] = (
        *("quality", "light", "mood", "colour", "photo", "render"),
        *("fault", "mark", "body", "style"),
    )
    return next(kind for kind in kinds if kind == text)

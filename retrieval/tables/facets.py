"""The closed vocabulary of facets: what a picture can be asked to be, and what a model can be made for.

The tables are facets.txt and asked.txt beside this file; retrieval/search/purpose.py finds their phrases in
requests and records.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["medium", "look", "genre", "subject"]
_FILE = Path(__file__).parent / "facets.txt"
_ASKED = Path(__file__).parent / "asked.txt"


@dataclass(frozen=True)
class Facet:
    """One facet: its kind, the phrases that stand for it, and the names of its neighbours (`near`), which do
    for it where nothing better is there.

    `said` are phrases of requests and records, `shown` things that belong to a genre, `also` phrases of
    records only, `asked` of requests only, `asked_shown` things of requests only.
    """

    name: str
    kind: Kind
    said: tuple[str, ...]
    shown: tuple[str, ...]
    also: tuple[str, ...]
    near: tuple[str, ...]
    asked: tuple[str, ...] = ()
    asked_shown: tuple[str, ...] = ()


@functools.cache
def facets() -> tuple[Facet, ...]:
    """All facets, in the order of the table."""
    asked = {name: (_listed(said), _listed(shown)) for name, said, shown in _rows(_ASKED)}
    return tuple(
        Facet(
            name,
            _kind(kind),
            _listed(said),
            _listed(shown),
            _listed(also),
            _listed(near),
            *asked.get(name, ((), ())),
        )
        for name, kind, said, shown, also, near in _rows(_FILE)
    )


def _rows(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [[part.strip() for part in line.split("|")] for line in lines if line and not line.startswith("#")]


def _kind(text: str) -> Kind:
    kinds: tuple[Kind, ...] = ("medium", "look", "genre", "subject")
    return next(kind for kind in kinds if kind == text)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


class Phrases:
    """Phrases of words, each standing for one or more facets."""

    def __init__(self, phrases: Mapping[tuple[str, ...], tuple[str, ...]]) -> None:
        self._facets = dict(phrases)
        self._starts = {phrase[0] for phrase in phrases}
        self._longest = max(map(len, phrases), default=0)

    def found(self, spoken: list[str]) -> Iterator[tuple[str, str, bool]]:
        """Facet, phrase, and whether the phrase is all that was said; the longest phrases first."""
        if not self._starts.intersection(spoken):
            return
        taken = [False] * len(spoken)
        for length in range(min(self._longest, len(spoken)), 0, -1):
            for first in range(len(spoken) - length + 1):
                if spoken[first] not in self._starts or any(taken[first : first + length]):
                    continue
                phrase = tuple(spoken[first : first + length])
                if phrase in self._facets:
                    taken[first : first + length] = [True] * length
                    for facet in self._facets[phrase]:
                        yield facet, " ".join(phrase), length == len(spoken)

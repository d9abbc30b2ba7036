"""The closed vocabulary of facets: what a picture can be asked to be, and what a model can be made for.

The table is facets.txt beside this file; retrieval/search/purpose.py finds its
phrases in requests and records.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["medium", "look", "genre", "subject"]
_FILE = Path(__file__).parent / "facets.txt"


@dataclass(frozen=True)
class Facet:
    """One facet: its kind, the phrases of requests and records (`said`) and of records only (`also`), and the
    names of its neighbours, which do for it where nothing better is there."""

    name: str
    kind: Kind
    said: tuple[str, ...]
    also: tuple[str, ...]
    near: tuple[str, ...]


@functools.cache
def facets() -> tuple[Facet, ...]:
    """All facets, in the order of the table."""
    found = []
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, kind, said, also, near = (part.strip() for part in line.split("|"))
            found.append(Facet(name, _kind(kind), _listed(said), _listed(also), _listed(near)))
    return tuple(found)


def _kind(text: str) -> Kind:
    kinds: tuple[Kind, ...] = ("medium", "look", "genre", "subject")
    return next(kind for kind in kinds if kind == text)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())

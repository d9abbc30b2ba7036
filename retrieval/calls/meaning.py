"""The model nearest in meaning to some words: by the ranker's encoder, or else by shared words.

    found = nearest_in_meaning("a dark gothic castle", catalogue, search=index, keep=proposable)
    if found is not None and found.accepted: ...

`search` may be a `DescriptionIndex` or anything else with its `near`.
"""

import re
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord
from retrieval.search.lexical import LexicalScorer
from retrieval.search.terms import words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

# Calibrated by `python benchmarks/repair_edits.py --meaning` on the starter. The greatest sum of both cosines
# reaches 0.48 for 38 of 40 requests and for 3 of 40 texts that ask for no image; shared words alone reach
# 0.12 for 34 of the requests and 2 of the others.
MIN_BOTH = 0.48
MIN_SHARED = 0.12
_MAX_QUERY = 2000
_FEW, _MANY = 20, 200
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")


class SearchHit(Protocol):
    """A model that was found; `dense` is the cosine of its vector and the query's, in [-1, 1], `words` that
    of their terms, in [0, 1]."""

    @property
    def record(self) -> ModelRecord: ...

    @property
    def dense(self) -> float: ...

    @property
    def words(self) -> float: ...


class Searcher(Protocol):
    """What finds models by meaning, best first, within a family and type if they are named."""

    def near(
        self, text: str, /, *, k: int, base_model: str | None, type: str | None
    ) -> Sequence[SearchHit]: ...


@dataclass(frozen=True)
class Meaning:
    """A model, how near it is, and whether that is near enough to stand in for the one that was named."""

    record: ModelRecord
    similarity: float
    accepted: bool


def nearest_in_meaning(
    text: str,
    catalogue: Catalogue,
    search: Searcher | None,
    *,
    keep: Callable[[ModelRecord], bool],
    family: str | None = None,
    type: str | None = None,
) -> Meaning | None:
    """The best model that `keep` lets pass; None if there is none or the text holds no word.

    Args:
        search: without it, words shared with the name, trigger words, description, tags and terms count.
        family: its models only.
        type: "LORA" or "Checkpoint", models of this type only.
    """
    # a text that begins with a brace might be taken for JSON
    text = text[:_MAX_QUERY].lstrip().lstrip("{").strip()
    if not _words(text):
        return None
    if search is None:
        return _by_words(text, catalogue, keep)
    for k in (_FEW, _MANY):
        hits = search.near(text, k=k, base_model=family, type=type)
        kept = [hit for hit in hits if hit.record.model_id in catalogue and keep(hit.record)]
        for hit in kept:
            if hit.dense + hit.words >= MIN_BOTH:
                return Meaning(catalogue.get(hit.record.model_id), hit.dense, True)
        if kept or len(hits) < k:
            break
    if not kept:
        return None
    best = max(kept, key=lambda hit: hit.dense + hit.words)
    return Meaning(catalogue.get(best.record.model_id), best.dense, False)


def _words(text: str) -> set[str]:
    """The words of a text, those of `UltraDreamShaper_v2` apart."""
    return set(words(_HUMP.sub(" ", text)))


_SCORERS: weakref.WeakKeyDictionary[Catalogue, LexicalScorer] = weakref.WeakKeyDictionary()
# tools for agents check in several threads at once
_LOCK = threading.Lock()


def shared_words(text: str, catalogue: Catalogue) -> "Scores":
    """Cosines of a text's terms and each model's, [N] in the catalogue's order; rare terms count more."""
    with _LOCK:
        scorer = _SCORERS.get(catalogue)
        if scorer is None:
            scorer = _SCORERS[catalogue] = LexicalScorer(catalogue)
    return scorer.nearness(_HUMP.sub(" ", text))


def _by_words(text: str, catalogue: Catalogue, keep: Callable[[ModelRecord], bool]) -> Meaning | None:
    """The best model that shares a word with the text; equal ones by id."""
    ids = catalogue.model_ids
    scores = shared_words(text, catalogue)
    for place in sorted(scores.nonzero()[0], key=lambda place: (-scores[place], ids[place])):
        record = catalogue.get(ids[place])
        if keep(record):
            return Meaning(record, float(scores[place]), bool(scores[place] >= MIN_SHARED))
    return None

"""The model nearest in meaning to some words: by an index of embeddings, or else by shared words.

    found = nearest_in_meaning("a dark gothic castle", catalogue, search=index, keep=proposable)
    if found is not None and found.accepted: ...

`search` may be a `DescriptionIndex` or anything else with its `search`.
"""

import math
import re
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord, document_text
from retrieval.search.terms import words

# Calibrated by `python benchmarks/repair_edits.py --meaning` on the starter. With all-MiniLM-L6-v2 the best
# model has a cosine of 0.38 or more for 32 of 40 requests and for 3 of 40 texts that ask for no image.
# Shared words reach 0.15 for 32 of the requests and 5 of the others. Other embedders need another MIN_DENSE.
MIN_DENSE = 0.38
MIN_SHARED = 0.15
_MAX_QUERY = 2000
_FEW, _MANY = 20, 200
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")


class SearchHit(Protocol):
    """A model that was found; `dense` is the cosine of its embedding and the query's, in [-1, 1]."""

    @property
    def record(self) -> ModelRecord: ...

    @property
    def dense(self) -> float: ...


class Searcher(Protocol):
    """What finds models by meaning, best first, within a family and type if they are named."""

    def search(
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
        shared = _word_index(catalogue).nearest(text, catalogue, keep)
        if shared is None:
            return None
        return Meaning(shared[0], shared[1], shared[1] >= MIN_SHARED)
    for k in (_FEW, _MANY):
        hits = search.search(text, k=k, base_model=family, type=type)
        kept = [hit for hit in hits if hit.record.model_id in catalogue and keep(hit.record)]
        for hit in kept:
            if hit.dense >= MIN_DENSE:
                return Meaning(catalogue.get(hit.record.model_id), hit.dense, True)
        if kept or len(hits) < k:
            break
    if not kept:
        return None
    best = max(kept, key=lambda hit: hit.dense)
    return Meaning(catalogue.get(best.record.model_id), best.dense, False)


def _words(text: str) -> set[str]:
    """The words of a text, those of `UltraDreamShaper_v2` apart."""
    return set(words(_HUMP.sub(" ", text)))


class _WordIndex:
    """Words weighted by rarity; a model's similarity is the cosine of its words and the query's."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._ids = catalogue.model_ids
        holders: dict[str, list[int]] = {}
        for position, record in enumerate(catalogue):
            for word in _words(document_text(record)):
                holders.setdefault(word, []).append(position)
        self._holders = holders
        self._weights = {word: math.log(1 + len(self._ids) / len(held)) for word, held in holders.items()}
        squares = [0.0] * len(self._ids)
        for word, held in holders.items():
            for position in held:
                squares[position] += self._weights[word] ** 2
        self._lengths = [math.sqrt(square) for square in squares]

    def nearest(
        self, text: str, catalogue: Catalogue, keep: Callable[[ModelRecord], bool]
    ) -> tuple[ModelRecord, float] | None:
        asked = _words(text)
        unknown = math.log(1 + len(self._ids))
        # in one order, so that the last digit of a similarity is the same in every process
        length = math.sqrt(sum(self._weights.get(word, unknown) ** 2 for word in sorted(asked)))
        sums: dict[int, float] = {}
        for word in sorted(asked & self._holders.keys()):
            for position in self._holders[word]:
                sums[position] = sums.get(position, 0.0) + self._weights[word] ** 2
        scores = {position: total / (length * self._lengths[position]) for position, total in sums.items()}
        for position in sorted(scores, key=lambda position: (-scores[position], self._ids[position])):
            record = catalogue.get(self._ids[position])
            if keep(record):
                return record, scores[position]
        return None


_INDEXES: weakref.WeakKeyDictionary[Catalogue, _WordIndex] = weakref.WeakKeyDictionary()
# tools for agents check in several threads at once
_LOCK = threading.Lock()


def _word_index(catalogue: Catalogue) -> _WordIndex:
    with _LOCK:
        index = _INDEXES.get(catalogue)
        if index is None:
            index = _INDEXES[catalogue] = _WordIndex(catalogue)
        return index

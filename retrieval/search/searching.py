"""Searching by meaning and by words together, over any store of vectors.

`Searching` ranks; where the vectors lie is its subclass's matter (retrieval/search/index.py keeps them in
Chroma).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import Instruction, read_instruction
from retrieval.records.model import ModelRecord
from retrieval.search.encoders import Embedder
from retrieval.search.filters import FacetTable, Filter, FilterWords
from retrieval.search.hybrid import HybridScorer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

EXACT_UP_TO = 4096
"""Up to this many models every one is compared; of more, those that are nearest by meaning or by words."""
_POOL = 1000
_PAGE = 1000


@dataclass(frozen=True)
class Hit:
    """A model that was found. `score` orders the hits of one search and is of no meaning across searches;
    `dense` is the cosine of the embeddings in [-1, 1], `lexical` the words' part of the score, `matched` what
    of the model's trigger words and terms the request says."""

    record: ModelRecord
    score: float
    dense: float
    lexical: float
    matched: tuple[str, ...] = ()


class Searching(ABC):
    """Search over the vectors and the records of a catalogue."""

    catalogue: Catalogue
    embedder: Embedder

    @abstractmethod
    def _query(self, vector: "Vectors", n: int, where: dict[str, Any] | None) -> Sequence[tuple[str, float]]:
        """Ids and cosines of up to `n` nearest vectors of those that `where` lets pass."""

    @abstractmethod
    def _stored(self, names: Sequence[str]) -> tuple[Sequence[str], "Vectors"]:
        """The ids that are there, and their vectors [n, D]."""

    def search(
        self,
        query: str | Instruction,
        /,
        k: int = 10,
        *,
        available: bool | None = True,
        wanted: Filter | None = None,
        **words: Unpack[FilterWords],
    ) -> list[Hit]:
        """The best `k` models by meaning and by words together, best first; fewer where fewer pass.

        Args:
            available: None for withdrawn models too.
            wanted: a filter in place of `words`; `Filter.offered` for what people see.
            words: see `FilterWords`; what nobody rated does not pass a `max_nsfw`.

        Raises:
            InvalidInstruction: the query is empty or too long.
            UnknownBaseModel: `base_model` is of no known family.
            InvalidInput: `k` is below one, or another word is no known value.
        """
        import numpy as np

        request = read_instruction(query)
        if wanted is None:
            wanted = Filter.of(self.catalogue, available=available, **words)
        allowed = np.flatnonzero(self._facets.mask(wanted)) if _at_least_one(k) else np.zeros(0, dtype=int)
        if not len(allowed):
            return []
        lexical = self._scorer.lexical(request)
        vector = self.embedder.embed([request.prompt])[0]
        pool = max(_POOL, 2 * k)
        near = self._nearest(vector, len(allowed) if len(self.catalogue) <= EXACT_UP_TO else pool, wanted)
        if len(allowed) <= max(EXACT_UP_TO, pool):
            chosen = allowed
        else:
            by_words = allowed[np.argpartition(-lexical[allowed], pool)[:pool]]
            by_meaning = [self._place[model_id] for model_id in near if model_id in self._place]
            chosen = np.intersect1d(np.union1d(by_words, np.asarray(by_meaning, dtype=int)), allowed)
        dense = self._cosines(vector, chosen, near)
        scores = lexical[chosen] + self._scorer.dense_weight(request) * dense
        ids = np.asarray(self._ids)[chosen]
        best = np.lexsort((ids, -scores))[:k]
        hits = []
        for i in best:
            record = self.catalogue.get(int(ids[i]))
            matched = self._scorer.matched(record, request)
            hits.append(Hit(record, float(scores[i]), float(dense[i]), float(lexical[chosen[i]]), matched))
        return [hit for hit in hits if wanted.passes(hit.record)]

    def dense(self, text: str, k: int) -> list[tuple[int, float]]:
        """Ids and cosines of the `k` models nearest in meaning, available or not, nearest first."""
        if not _at_least_one(k):
            return []
        return list(self._nearest(self.embedder.embed([text])[0], k, Filter()).items())

    def _nearest(self, vector: "Vectors", k: int, wanted: Filter) -> dict[int, float]:
        """Cosines by id, the nearest first, of models that this catalogue holds."""
        found = self._query(vector, max(min(k, len(self.catalogue)), 1), wanted.where())
        cosines = [(int(name), cosine) for name, cosine in found]
        return dict(sorted((pair for pair in cosines if pair[0] in self._place), key=lambda pair: -pair[1]))

    def _cosines(self, vector: "Vectors", chosen: "NDArray[np.intp]", near: Mapping[int, float]) -> "Vectors":
        """[n] for places of the catalogue: as the query found them, the others from their vectors."""
        import numpy as np

        ids = [self._ids[place] for place in chosen]
        cosines = np.asarray([near.get(model_id, np.nan) for model_id in ids], dtype=np.float32)
        missing = [row for row in range(len(ids)) if np.isnan(cosines[row])]
        for start in range(0, len(missing), _PAGE):
            rows = {str(ids[row]): row for row in missing[start : start + _PAGE]}
            names, vectors = self._stored(list(rows))
            for name, cosine in zip(names, vectors @ vector, strict=True):
                cosines[rows[name]] = cosine
        # a model whose vector is gone is as far as can be
        return np.nan_to_num(cosines, nan=-1.0)

    @cached_property
    def _ids(self) -> tuple[int, ...]:
        return self.catalogue.model_ids

    @cached_property
    def _place(self) -> dict[int, int]:
        return {model_id: place for place, model_id in enumerate(self._ids)}

    @cached_property
    def _scorer(self) -> HybridScorer:
        return HybridScorer(self.catalogue)

    @cached_property
    def _facets(self) -> FacetTable:
        return FacetTable(self.catalogue)


def _at_least_one(k: int) -> bool:
    if k < 1:
        raise InvalidInput(f"k is {k}; ask for one model or more")
    return True

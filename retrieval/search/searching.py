"""Searching a catalogue by the ranker, over any store of vectors.

`Searching` asks the one ranker that `select` asks, too; where the vectors of the models' facts lie is its
subclass's matter (retrieval/search/index.py keeps them in Chroma).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import Instruction, read_instruction
from retrieval.records.model import ModelRecord
from retrieval.search.encoders import Embedder
from retrieval.search.filters import Ask, Filter, FilterWords, understood
from retrieval.search.lexical import matched_triggers
from retrieval.search.pool import MOST, WHOLE_UP_TO
from retrieval.search.ranker import Candidate, Ranker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_POOL = 1000
_PAGE = 1000
_MATCHED = 8


@dataclass(frozen=True)
class Hit:
    """A model that was found. `score` is the ranker's chance in [0, 1] among all that pass the filter;
    `dense` the cosine of the request and the model's facts in [-1, 1], `words` that of their terms in [0, 1];
    `matched` what of the request the model is made for, is triggered by, or shares with its samples."""

    record: ModelRecord
    score: float
    dense: float
    words: float
    matched: tuple[str, ...] = ()


class Searching(ABC):
    """Search over the vectors and the records of a catalogue.

    `embedder` made the vectors; where it is the ranker's own encoder, None.
    """

    catalogue: Catalogue
    _foreign: Embedder | None

    @property
    @abstractmethod
    def ranker(self) -> Ranker:
        """Ranks; made when it is first needed."""

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
        """The best `k` models, best first, understood as every request is; fewer where fewer pass.

        Args:
            available: None for withdrawn models too.
            wanted: a filter in place of `words`; `Filter.offered` for what people see.
            words: see `FilterWords`; what nobody rated does not pass a `max_nsfw`.

        Raises:
            InvalidInstruction: the query is empty or too long.
            NoPictureAsked: it asks for no picture.
            UnknownBaseModel: `base_model` is of no known family.
            InvalidInput: `k` is below one, or another word is no known value.
        """
        if k < 1:
            raise InvalidInput(f"k is {k}; ask for one model or more")
        request = read_instruction(query)
        if wanted is None:
            wanted = Filter.of(self.catalogue, available=available, **words)
        return self._hits(understood(request, wanted, k, self.ranker.named))

    def near(self, text: str, /, *, k: int, base_model: str | None, type: str | None) -> list[Hit]:
        """The models nearest to any text, say another model's description, that is no request."""
        wanted = Filter.of(self.catalogue, base_model=base_model, type=type)
        return self._hits(Ask(read_instruction(text), wanted, k))

    def _hits(self, ask: Ask) -> list[Hit]:
        request, wanted = ask.evidence, ask.wanted

        foreign = None if self._foreign is None else self._foreign.embed([request.prompt])[0]

        def near(
            vector: "Vectors", found: "Vectors | None" = None, rows: "NDArray[np.intp] | None" = None, /
        ) -> "Vectors":
            asked = vector if foreign is None else foreign
            if found is None:
                return self._nearest(asked, wanted, ask.k)
            return self._completed(asked, found, () if rows is None else rows.tolist())

        named = ask.understood.named if ask.understood is not None else None
        ranking = self.ranker.rank(
            request,
            wanted,
            ask.refused,
            is_sentence=ask.sentence,
            near=near,
            most=max(MOST, ask.k),
            also=() if named is None else (named,),
        )
        return [self._hit(each, request.prompt) for each in ranking.led_by(named, ask.k)]

    def _hit(self, found: Candidate, prompt: str) -> Hit:
        record = found.record
        said = [
            *found.made_for.values(),
            *matched_triggers(record, prompt),
            *self.ranker.shared_terms(record, prompt),
        ]
        return Hit(
            record,
            score=found.chance,
            dense=found.scores["retriever.facts"],
            words=found.scores["all.cosine"],
            matched=tuple(dict.fromkeys(said))[:_MATCHED],
        )

    def _nearest(self, vector: "Vectors", wanted: Filter, k: int) -> "Vectors":
        """Cosines, [N], of the models that are nearest to a vector, of those that pass; -1 for the others."""
        import numpy as np

        count = len(self.catalogue)
        pool = count if count <= WHOLE_UP_TO else min(max(_POOL, 2 * k), count)
        cosines = np.full(count, np.float32(-1))
        for name, cosine in self._query(vector, max(1, pool), wanted.where()):
            place = self._place.get(int(name))
            if place is not None:
                cosines[place] = cosine
        return cosines

    def _completed(self, vector: "Vectors", cosines: "Vectors", rows: Sequence[int]) -> "Vectors":
        """The same with the cosines of the models at these places."""
        missing = [row for row in rows if cosines[row] == -1]
        found = cosines.copy()
        for start in range(0, len(missing), _PAGE):
            names = [str(self.catalogue.model_ids[row]) for row in missing[start : start + _PAGE]]
            stored, vectors = self._stored(names)
            for name, cosine in zip(stored, vectors @ vector, strict=True):
                found[self._place[int(name)]] = cosine
        return found

    @cached_property
    def _place(self) -> dict[int, int]:
        return {model_id: place for place, model_id in enumerate(self.catalogue.model_ids)}

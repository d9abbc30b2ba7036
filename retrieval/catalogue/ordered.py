"""The records of a catalogue by their place, for what counts in rows."""

from collections.abc import Sequence
from typing import overload

from retrieval.catalogue.catalogue import Catalogue
from retrieval.records.model import ModelRecord


class Records(Sequence[ModelRecord]):
    """The records of a catalogue in its order, each read when it is asked for."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._ids = catalogue.model_ids

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, place: int) -> ModelRecord: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[ModelRecord]: ...
    def __getitem__(self, place: int | slice) -> ModelRecord | Sequence[ModelRecord]:
        if isinstance(place, slice):
            return [self._catalogue.get(model_id) for model_id in self._ids[place]]
        return self._catalogue.get(self._ids[place])

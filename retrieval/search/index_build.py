"""Filling a collection of vectors with a catalogue: resumable, and only what changed is embedded.

The store is a Chroma collection (retrieval/search/index.py makes it); this file knows no more than what it
calls.
Beside each vector lie the record's facets for filters and a hash of the text that was embedded, so that the
store itself says what is done: a build that was killed goes on after its last batch.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, Self

from retrieval.catalogue import Catalogue
from retrieval.records.model import DOCUMENT_SCHEMA, ModelRecord, document_text
from retrieval.search.encoders import Embedder
from retrieval.search.filters import Facet, facets
from retrieval.search.vectors import Embeddings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

SCHEMA = 100 * DOCUMENT_SCHEMA + 1
"""Raised with the text that is embedded, or with what is stored beside a vector (the last two digits)."""
BATCH = 256
VECTORS_FILE = "embeddings.safetensors"
_PAGE = 2000


class Store(Protocol):
    """What is called of a Chroma collection."""

    def get(self, *, limit: int, offset: int, include: Any) -> Any: ...
    def upsert(self, *, ids: Any, embeddings: Any, metadatas: Any) -> Any: ...
    def update(self, *, ids: Any, metadatas: Any) -> Any: ...
    def delete(self, *, ids: Any) -> Any: ...
    def modify(self, *, metadata: Any) -> Any: ...


@dataclass(frozen=True)
class Manifest:
    """What an index says of itself. `complete` is false while it is being built."""

    schema: int
    embedder: str
    dimension: int
    catalogue: str
    catalogue_name: str
    complete: bool = True

    @classmethod
    def wanted(cls, catalogue: Catalogue, embedder: Embedder) -> Self:
        """What an index of this catalogue, made with this embedder, says."""
        return cls(SCHEMA, embedder.name, embedder.dimension, catalogue.digest, catalogue.name)

    @classmethod
    def read(cls, metadata: Mapping[str, Any] | None) -> Self | None:
        """From a collection's metadata; None where it is not of this project."""
        names = [field.name for field in fields(cls)]
        if metadata is None or any(name not in metadata for name in names):
            return None
        return cls(**{name: metadata[name] for name in names})

    def wire(self, *, complete: bool) -> dict[str, str | int | bool]:
        """As a collection's metadata."""
        return {**asdict(self), "complete": complete}

    def same_vectors(self, other: "Manifest") -> bool:
        """Whether the vectors of one can stand beside those of the other."""
        return (self.schema, self.embedder, self.dimension) == (other.schema, other.embedder, other.dimension)

    def differences(self, wanted: "Manifest") -> list[str]:
        """What is not as it is wanted, in words."""
        found = []
        if (self.embedder, self.dimension) != (wanted.embedder, wanted.dimension):
            found.append(
                f"the embedder {self.embedder} ({self.dimension} dimensions) instead of "
                f"{wanted.embedder} ({wanted.dimension})"
            )
        if self.schema != wanted.schema:
            found.append(f"the schema {self.schema} instead of {wanted.schema}")
        if self.catalogue != wanted.catalogue:
            found.append(
                f"{self.catalogue_name} ({self.catalogue[:12]}) instead of "
                f"{wanted.catalogue_name} ({wanted.catalogue[:12]})"
            )
        return found


def fill(
    store: Store, catalogue: Catalogue, embedder: Embedder, wanted: Manifest, tell: Callable[[str], None]
) -> None:
    """Makes the store hold every model of the catalogue once, and nothing else.

    Packaged vectors are taken where they are of this embedder, text and catalogue. An exception leaves the
    batches before it in the store, and its manifest incomplete.
    """
    store.modify(metadata=wanted.wire(complete=False))
    held = _held(store)
    texts = {str(record.model_id): document_text(record) for record in catalogue}
    gone = [name for name in held if name not in texts]
    for batch in _batches(gone, BATCH):
        store.delete(ids=batch)
    described = {name: _beside(catalogue.get(int(name)), text) for name, text in texts.items()}
    old = [name for name, beside in described.items() if held.get(name, {}).get("text") != beside["text"]]
    again = set(old)
    moved = [name for name, beside in described.items() if name not in again and held[name] != beside]
    for batch in _batches(moved, BATCH):
        store.update(ids=batch, metadatas=[described[name] for name in batch])
    done = len(texts) - len(old)
    for batch in _batches(old, BATCH):
        vectors = _vectors(catalogue, embedder, batch, texts)
        store.upsert(ids=batch, embeddings=vectors, metadatas=[described[name] for name in batch])
        done += len(batch)
        tell(f"{done:,} of {len(texts):,} models are in the index")
    store.modify(metadata=wanted.wire(complete=True))


def _held(store: Store) -> dict[str, Mapping[str, Facet]]:
    held: dict[str, Mapping[str, Facet]] = {}
    while True:
        page = store.get(limit=_PAGE, offset=len(held), include=["metadatas"])
        held.update(zip(page["ids"], page["metadatas"], strict=True))
        if len(page["ids"]) < _PAGE:
            return held


def _beside(record: ModelRecord, text: str) -> dict[str, Facet]:
    return {**facets(record), "text": hashlib.sha256(text.encode()).hexdigest()[:16]}


def packaged_vectors(catalogue: Catalogue) -> Embeddings | None:
    """The vectors beside a catalogue's file; None where there are none, or they are of other content."""
    path = catalogue.path.parent / VECTORS_FILE if catalogue.path is not None else None
    if path is None or not path.is_file():
        return None
    embeddings = Embeddings.load(path)
    return embeddings if embeddings.catalogue == catalogue.digest else None


def _vectors(
    catalogue: Catalogue, embedder: Embedder, names: Sequence[str], texts: Mapping[str, str]
) -> "Vectors":
    """[n, D], rows of length one: the packaged ones, the others embedded."""
    import numpy as np

    packaged = packaged_vectors(catalogue)
    usable = (
        packaged is not None
        and packaged.embedder == embedder.name
        and packaged.document_schema == DOCUMENT_SCHEMA
        and packaged.matrix.shape[1] == embedder.dimension
    )
    ready = [packaged is not None and usable and int(name) in packaged for name in names]
    vectors = np.zeros((len(names), embedder.dimension), dtype=np.float32)
    missing = [place for place, is_ready in enumerate(ready) if not is_ready]
    if missing:
        vectors[missing] = embedder.embed([texts[names[place]] for place in missing])
    for place, name in enumerate(names):
        if packaged is not None and ready[place]:
            row = packaged.row(int(name))
            vectors[place] = row / max(float(np.linalg.norm(row)), 1e-12)  # half precision is not quite unit
    return vectors


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

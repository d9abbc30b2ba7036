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
from urllib.parse import urlsplit

from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.model import ModelRecord
from retrieval.search.dense import facts_text
from retrieval.search.encoders import Embedder
from retrieval.search.filters import Facet, facets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

SCHEMA = 201
"""Raised with the text that is embedded, or with what is stored beside a vector (the last two digits)."""
BATCH = 256
ANSWERS = 5.0
"""seconds in which a Chroma server says that it is there"""
PATIENCE = 60.0
"""seconds in which it answers whatever else it is asked"""
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
    store: Store,
    catalogue: Catalogue,
    vectors: "Callable[[Sequence[ModelRecord]], Vectors]",
    wanted: Manifest,
    tell: Callable[[str], None],
) -> None:
    """Makes the store hold every model of the catalogue once, and nothing else.

    An exception leaves the batches before it in the store, and its manifest incomplete.

    Args:
        vectors: of what records say, [n, D], rows of length one.
    """
    store.modify(metadata=wanted.wire(complete=False))
    held = _held(store)
    texts = {str(record.model_id): facts_text(record) for record in catalogue}
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
        made = vectors([catalogue.get(int(name)) for name in batch])
        store.upsert(ids=batch, embeddings=made, metadatas=[described[name] for name in batch])
        done += len(batch)
        tell(f"{done:,} of {len(texts):,} models are in the index")
    store.modify(metadata=wanted.wire(complete=True))


def server_address(url: str) -> dict[str, Any]:
    """Host, port and ssl of a Chroma server.

    Raises:
        InvalidInput: the text is no address of a server.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise InvalidInput(
            f"{url!r} is not the address of a Chroma server; it looks like http://localhost:8000"
        )
    return {
        "host": parts.hostname,
        "port": port or (443 if parts.scheme == "https" else 80),
        "ssl": parts.scheme == "https",
    }


def require_answer(url: str) -> None:
    """Raises httpx.HTTPError where no server answers in time: Chroma's own client would wait without end."""
    import httpx

    httpx.get(f"{url.rstrip('/')}/api/v2/heartbeat", timeout=ANSWERS)


def _held(store: Store) -> dict[str, Mapping[str, Facet]]:
    held: dict[str, Mapping[str, Facet]] = {}
    while True:
        page = store.get(limit=_PAGE, offset=len(held), include=["metadatas"])
        held.update(zip(page["ids"], page["metadatas"], strict=True))
        if len(page["ids"]) < _PAGE:
            return held


def _beside(record: ModelRecord, text: str) -> dict[str, Facet]:
    return {**facets(record), "text": hashlib.sha256(text.encode()).hexdigest()[:16]}


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

"""Vectors of a catalogue's texts: made once, kept below `DIFFAGENT_HOME`, and mapped into memory.

    kept_vectors(catalogue, "facts", len(catalogue), make_texts, embed, weights=digest, tell=print)   # [N, D]

A file holds the vectors of one catalogue in its order and, beside each, a digest of the text that it was made
of: a later version of the catalogue takes from there what it says in the same words, and only what changed is
embedded. A digest of the whole record would change with every download. While texts are embedded, every few
hundred of them become a small file, so that a process that is killed loses no more than those. Of two
processes the second waits, and finds the vectors made.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from retrieval.catalogue import Catalogue
from retrieval.kept import mapped
from retrieval.storage import Progress, atomic_write, cache_dir

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Keys = NDArray[np.uint64]

PART = 400
"""Texts that are embedded between one file and the next: a few seconds."""
_MOST_FILES = 32
_SUPERSEDED = 0.9
"""A file of whose vectors the newest holds as many is of an older version of the catalogue."""
_LONGEST = 1.01  # a cosine's bound, and what rounding adds
_PATIENCE = 1.0  # seconds after which the wait for another process is told
_KEYS, _VECTORS, _PART_MARK = "keys", "vectors", "part"


def kept_vectors(
    catalogue: Catalogue,
    name: str,
    count: int,
    texts: Callable[[], Sequence[str]],
    embed: "Callable[[Sequence[str]], Vectors]",
    *,
    weights: str,
    tell: Progress,
) -> "Vectors":
    """The vectors of `count` texts, [count, D] rows of length one, read-only.

    Args:
        name: of the texts; there may be several a catalogue.
        texts: makes them, in an order that the catalogue's decides.
        embed: makes vectors of texts, [n, D], also of none.
        weights: the digest of what embeds, in hex digits.
        tell: told how far the texts are read.

    Raises:
        StorageError: the folder cannot be written or the disk is full; what was embedded before is kept.
    """
    folder, prefix = cache_dir("retriever"), weights[:12]
    path = folder / f"{prefix}-{_ordered_digest(catalogue)}-{name}.safetensors"
    found = _whole(path, count, tell)
    if found is None:
        with _alone(folder / f"{prefix}.lock", tell):
            found = _whole(path, count, tell)
            if found is None:
                found = _make(path, prefix, embed, texts(), name, tell)
    return found


def text_keys(texts: Sequence[str]) -> "Keys":
    """Digests of texts, [N]."""
    import numpy as np

    digests = (hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), "<u8")


def _ordered_digest(catalogue: Catalogue) -> str:
    """Of the content and of the order, which a catalogue's own digest leaves out: rows are in that order."""
    import numpy as np

    ids = np.asarray(catalogue.model_ids, "<i8").tobytes()
    return hashlib.sha256(catalogue.digest.encode() + ids).hexdigest()[:12]


def _whole(path: Path, count: int, tell: Progress) -> "Vectors | None":
    """The vectors of a file; None where it is not there, damaged, or of another number of texts."""
    import numpy as np

    if not path.is_file():
        return None
    try:
        vectors: Vectors = mapped(path)[_VECTORS]
        # one NaN or infinity makes the sum of its row one; a sum costs no more than a query
        sums = np.abs(vectors @ np.ones(vectors.shape[1], np.float32))
        if len(vectors) == count and (sums <= _LONGEST * vectors.shape[1] ** 0.5).all():
            return vectors
    except _unreadable():
        pass
    tell(f"{path} is damaged; making it again")
    return None


def _make(
    path: Path,
    prefix: str,
    embed: "Callable[[Sequence[str]], Vectors]",
    texts: Sequence[str],
    name: str,
    tell: Progress,
) -> "Vectors":
    """Makes the vectors of all texts, in their order, and writes them; what is no longer needed goes."""
    import numpy as np
    from safetensors.numpy import save

    keys = text_keys(texts)
    filling = _Filling(keys, embed([]).shape[1])
    sources = [other for other in _files(path.parent, prefix) if other != path]
    for source in sources:
        filling.take(*_read(source))
    missing = filling.missing()
    for first in range(0, len(missing), PART):
        part = missing[first : first + PART]
        # at half precision, as they are kept, so that the first answer is the second one's
        made = embed([texts[place] for place in part]).astype(np.float16)
        written = path.parent / f"{prefix}-{_PART_MARK}-{int(keys[part[0]]):016x}.safetensors"
        atomic_write(written, save({_KEYS: keys[part], _VECTORS: made}))
        sources.append(written)
        filling.take(keys[part], made)
        tell(f"read the {name} of {filling.done:,} of {len(texts):,} models, once for this catalogue")
    atomic_write(path, save({_KEYS: keys, _VECTORS: filling.vectors}))
    _prune(path, sources, keys)
    return filling.vectors


class _Filling:
    """Vectors by the digests of their texts, filled in as they are found; one text may be that of several."""

    def __init__(self, keys: "Keys", width: int) -> None:
        import numpy as np

        self.vectors: Vectors = np.zeros((len(keys), width), np.float32)
        self._keys = keys
        self._lacks = np.ones(len(keys), bool)

    @property
    def done(self) -> int:
        return len(self._keys) - int(self._lacks.sum())

    def missing(self) -> "NDArray[np.intp]":
        """Places of the texts that have no vector, in their order, one of those that are equal."""
        import numpy as np

        places = np.flatnonzero(self._lacks)
        _, first = np.unique(self._keys[places], return_index=True)
        found: NDArray[np.intp] = places[np.sort(first)]
        return found

    def take(self, keys: "Keys", vectors: "NDArray[np.float16] | Vectors") -> None:
        """Uses what is needed of the vectors, [n, D], of texts with these digests, [n]."""
        import numpy as np

        if not len(keys) or vectors.shape[1:] != self.vectors.shape[1:]:
            return
        places = np.flatnonzero(self._lacks)
        order = np.argsort(keys)
        at = np.minimum(np.searchsorted(keys, self._keys[places], sorter=order), len(keys) - 1)
        rows = order[at]
        same = keys[rows] == self._keys[places]
        places, rows = places[same], rows[same]
        good = np.isfinite(vectors[rows].sum(1, dtype=np.float32))
        self.vectors[places[good]] = vectors[rows[good]]
        self._lacks[places[good]] = False


def _read(path: Path) -> "tuple[Keys, Vectors]":
    """Digests and vectors of a file; none where it is damaged, or holds no digests."""
    import numpy as np

    try:
        tables = mapped(path)
        if len(tables[_KEYS]) == len(tables[_VECTORS]):
            return tables[_KEYS], tables[_VECTORS]
    except _unreadable():
        pass
    return np.zeros(0, np.uint64), np.zeros((0, 0), np.float32)


def _files(folder: Path, prefix: str) -> list[Path]:
    return sorted(folder.glob(f"{prefix}-*.safetensors"))


def _prune(path: Path, sources: Sequence[Path], keys: "Keys") -> None:
    """Deletes the parts, the file of the catalogue's last version, and what is older than the newest few."""
    import numpy as np

    with suppress(OSError):
        for source in sources:
            held, _ = _read(source)
            if np.isin(held, keys).mean() >= _SUPERSEDED if len(held) else _is_part(source):
                source.unlink(missing_ok=True)
        whole = [other for other in _files(path.parent, "*") if not _is_part(other)]
        for old in sorted(whole, key=lambda other: other.stat().st_mtime)[:-_MOST_FILES]:
            old.unlink(missing_ok=True)


def _is_part(path: Path) -> bool:
    return path.name.split("-")[1] == _PART_MARK


@contextmanager
def _alone(path: Path, tell: Progress) -> Iterator[None]:
    """One process, and one thread of it, at a time."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        tell("waiting for another process that reads a catalogue's models")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _unreadable() -> tuple[type[Exception], ...]:
    """What reading a damaged file may raise; the library is imported where it is used."""
    from safetensors import SafetensorError

    return (SafetensorError, KeyError, OSError, ValueError)

"""An append-only store of what an API returned: models and images, compressed JSON lines with a checkpoint.

    with RawStore.open(Path("raw"), query={"types": ["LORA"]}) as store:
        store.append("models", [{"id": 5, "modelVersions": []}])
        store.commit({"cursor": "75363|932023"})  # the records and the place to go on from, together
    for model in read_models(Path("raw")):
        ...

    raw/store.json              the query; a store of another one is refused
    raw/checkpoint.json         how many bytes of each part count, where to go on, counts of what was dropped
    raw/models/00000.jsonl.gz   parts; each commit is one gzip member, so `zcat` reads them
    raw/images/00000.jsonl.gz

A commit appends to the parts and then replaces the checkpoint: what lies behind the checkpoint's lengths was
never committed, is not read, and is cut off by the next `open`. A process may be killed at any instruction.
"""

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from finetune.civitai.store_parts import (
    append_member,
    cannot_write,
    part_path,
    read_json,
    read_part,
    replace_json,
)
from retrieval.errors import InvalidInput, StorageError

if TYPE_CHECKING:
    from filelock import BaseFileLock

Kind = Literal["models", "images"]
KINDS: tuple[Kind, ...] = ("models", "images")
FORMAT = 1
PART_BYTES = 64_000_000
QUERY_FILE = "store.json"
CHECKPOINT_FILE = "checkpoint.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoreReport:
    """What a store holds.

    Attributes:
        query: what was asked for.
        finished: whether the collection came to its end.
        counts: records of each kind.
        dropped: how many records were not kept, by reason.
        notes: what else a reader should know, such as versions that never answered.
    """

    query: Mapping[str, Any]
    finished: bool
    counts: Mapping[str, int]
    dropped: Mapping[str, int]
    notes: tuple[str, ...] = ()


@dataclass
class _Checkpoint:
    state: dict[str, Any] | None = None
    finished: bool = False
    parts: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def read_models(path: Path, problems: Counter[str] | None = None) -> Iterator[dict[str, Any]]:
    """The models of a store, each as `GET /api/v1/models` returned it, in the order of collection.

    Args:
        problems: counts what cannot be read, by reason; without it the counts are logged as a warning.

    Raises:
        InvalidInput: no store is there.
        StorageError: its checkpoint is broken.
    """
    return _read(path, "models", problems)


def read_images(path: Path, problems: Counter[str] | None = None) -> Iterator[dict[str, Any]]:
    """The images of a store, each as `GET /api/v1/images` returned it, with its `meta`.

    A collected image has one key more, `collectedFor`: `{"modelId", "modelVersionId"}` of the version whose
    images were asked for. An image that two versions list is there once for each of them. Images that lie
    inside `modelVersions[].images[]` of the models are not among these.

    Args:
        problems: counts what cannot be read, by reason; without it the counts are logged as a warning.

    Raises:
        InvalidInput: no store is there.
        StorageError: its checkpoint is broken.
    """
    return _read(path, "images", problems)


def _read(path: Path, kind: Kind, problems: Counter[str] | None) -> Iterator[dict[str, Any]]:
    # checked here and not at the first record, because a caller wants to know before it starts
    _read_query(path)
    lengths = _read_checkpoint(path).parts[kind]
    return _read_parts(path, kind, lengths, problems)


def _read_parts(
    path: Path, kind: Kind, lengths: list[int], problems: Counter[str] | None
) -> Iterator[dict[str, Any]]:
    found: Counter[str] = Counter() if problems is None else problems
    for number, length in enumerate(lengths):
        yield from read_part(part_path(path, kind, number), length, found)
    if problems is None and found:
        _log.warning("%s: %s", path / kind, ", ".join(f"{reason}: {n:,}" for reason, n in found.items()))


def read_report(path: Path) -> StoreReport:
    """What the store holds, by its checkpoint.

    Raises:
        InvalidInput: no store is there.
        StorageError: its checkpoint is broken.
    """
    query = _read_query(path)
    held = _read_checkpoint(path)
    return StoreReport(query, held.finished, held.counts, dict(held.dropped), tuple(held.notes))


class RawStore:
    """A store open for writing, by one process at a time."""

    def __init__(self, path: Path, checkpoint: _Checkpoint, lock: "BaseFileLock", part_bytes: int) -> None:
        """Use `open`."""
        self.path = path
        self._held = checkpoint
        self._lock = lock
        self._part_bytes = part_bytes
        self._waiting: dict[Kind, list[bytes]] = {kind: [] for kind in KINDS}

    @classmethod
    def open(cls, path: Path, query: Mapping[str, Any], *, part_bytes: int = PART_BYTES) -> "RawStore":
        """Opens a store, or makes it; what was appended but never committed is cut off.

        Args:
            part_bytes: a part that has reached this size is followed by another.

        Raises:
            InvalidInput: the folder holds a store of another query, or something else than a store.
            StorageError: the folder cannot be written, is in use, or its own files are broken.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        lock = _lock(path)
        try:
            _claim(path, json.loads(json.dumps(query)))
            held = _read_checkpoint(path)
            _cut(path, held.parts)
        except BaseException:
            lock.release()
            raise
        return cls(path, held, lock, part_bytes)

    @property
    def state(self) -> dict[str, Any] | None:
        """The place to go on from, as the last commit was given it; None in a new store."""
        return self._held.state

    @property
    def finished(self) -> bool:
        """Whether the collection came to its end."""
        return self._held.finished

    @property
    def dropped(self) -> Counter[str]:
        """How many records were not kept, by reason: add to it, it is written with the next commit."""
        return self._held.dropped

    def count(self, kind: Kind) -> int:
        """How many records of a kind there are, those not yet committed among them."""
        return self._held.counts[kind]

    def note(self, sentence: str) -> None:
        """Adds a sentence to the report; it is written with the next commit."""
        if sentence not in self._held.notes:
            self._held.notes.append(sentence)

    def append(self, kind: Kind, records: Iterable[Mapping[str, Any]]) -> None:
        """Adds records, which count from the next `commit` on; one that JSON cannot hold is dropped."""
        for record in records:
            try:
                # ASCII, so that half of a surrogate pair in somebody's prompt can be written
                line = json.dumps(record, separators=(",", ":")).encode("ascii")
            except RecursionError:
                self.dropped["record nested too deeply"] += 1
                continue
            self._waiting[kind].append(line + b"\n")
            self._held.counts[kind] += 1

    def commit(self, state: Mapping[str, Any], *, finished: bool = False) -> None:
        """Makes the appended records and the place to go on from permanent, both or neither.

        Raises:
            StorageError: the disk is full or not writable; the last commit still stands.
        """
        held = self._held
        for kind, lines in self._waiting.items():
            if not lines:
                continue
            lengths = held.parts[kind]
            if not lengths or lengths[-1] >= self._part_bytes:
                lengths.append(0)
            number = len(lengths) - 1
            lengths[-1] = append_member(part_path(self.path, kind, number), lengths[-1], lines)
            lines.clear()
        held.state, held.finished = dict(state), finished
        replace_json(self.path / CHECKPOINT_FILE, vars(held))

    def close(self) -> None:
        """Lets another process write here."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lock(path: Path) -> "BaseFileLock":
    from filelock import FileLock, Timeout

    lock = FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StorageError(f"another process writes to {path}; let it end, or stop it") from error
    except OSError as error:
        raise cannot_write(path, error) from error
    return lock


def _claim(path: Path, query: dict[str, Any]) -> None:
    """Sees that the folder is a store of this query, or makes it one."""
    if (path / QUERY_FILE).exists():
        held = _read_query(path)
        if held != query:
            raise InvalidInput(
                f"{path} holds what was collected with {json.dumps(held)}; asked for now is "
                f"{json.dumps(query)}. Repeat the first query to go on with it, or name another --output"
            )
        return
    visible = {name for name in os.listdir(path) if not name.startswith(".")}
    if visible - {CHECKPOINT_FILE}:
        raise InvalidInput(f"{path} holds other files than a store's; name a new folder as --output")
    # the query last: with it the store exists, and then a missing checkpoint is damage and not a beginning
    replace_json(path / CHECKPOINT_FILE, vars(_Checkpoint()))
    replace_json(path / QUERY_FILE, {"format": FORMAT, "query": query})


def _cut(path: Path, parts: Mapping[str, list[int]]) -> None:
    """Removes what was appended but never committed."""
    for kind, lengths in parts.items():
        try:
            for number, length in enumerate(lengths):
                part = part_path(path, kind, number)
                if part.exists() and part.stat().st_size > length:
                    os.truncate(part, length)
            part_path(path, kind, len(lengths)).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path / kind, error) from error


def _read_query(path: Path) -> dict[str, Any]:
    if not (path / QUERY_FILE).is_file():
        raise InvalidInput(f"no store of collected models in {path}; `diffagent dabench collect` makes one")
    held = read_json(path / QUERY_FILE)
    if held.get("format") != FORMAT or not isinstance(held.get("query"), dict):
        raise StorageError(f"{path / QUERY_FILE} is of another version; collect into a new folder")
    return dict(held["query"])


def _read_checkpoint(path: Path) -> _Checkpoint:
    value = read_json(path / CHECKPOINT_FILE)
    try:
        held = _Checkpoint(**value)
        held.dropped = Counter(held.dropped)
        numbers = [length for kind in KINDS for length in (*held.parts[kind], held.counts[kind])]
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise ValueError("lengths and counts are numbers")
    except (TypeError, KeyError, ValueError) as error:
        raise StorageError(f"{path / CHECKPOINT_FILE} is damaged; collect into a new folder") from error
    return held

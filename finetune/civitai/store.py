"""What an API returned, kept as it is in one SQLite file: models and images as compressed JSON lines.

    with RawStore.open(Path("raw"), query={"types": ["LORA"]}) as store:
        store.append("models", [{"id": 5, "modelVersions": []}])
        store.commit({"cursor": "75363|932023"})  # the records and the place to go on from, together
    for model in read_models(Path("raw")):
        ...

A commit is one transaction: a row with the records, and the checkpoint, which holds the query (a store of
another one is refused), where to go on, and counts of what was dropped. A process may be killed at any
instruction: what it had not committed was never there.
"""

import json
import logging
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from retrieval.errors import InvalidInput, StorageError

if TYPE_CHECKING:
    from filelock import BaseFileLock

Kind = Literal["models", "images"]
KINDS: tuple[Kind, ...] = ("models", "images")
FORMAT = 2
FILE = "store.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pages (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, lines BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoint (
    id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, report TEXT NOT NULL, state TEXT NOT NULL
);
"""
_log = logging.getLogger(__name__)


@dataclass
class StoreReport:
    """What a store holds, by its checkpoint.

    Attributes:
        query: what was asked for.
        finished: whether the collection came to its end.
        counts: records of each kind.
        dropped: how many records were not kept, by reason.
        notes: what else a reader should know, such as versions that never answered.
    """

    query: Mapping[str, Any]
    finished: bool = False
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def read_models(path: Path, problems: Counter[str] | None = None) -> Iterator[dict[str, Any]]:
    """The models of a store, each as `GET /api/v1/models` returned it, in the order of collection.

    Args:
        problems: counts what cannot be read, by reason; without it the counts are logged as a warning.

    Raises:
        InvalidInput: no store is there.
        StorageError: it is damaged.
    """
    read_report(path)  # at once and not at the first record: a caller wants to know before it starts
    return _records(path, "models", problems)


def read_images(path: Path, problems: Counter[str] | None = None) -> Iterator[dict[str, Any]]:
    """The images of a store, each as `GET /api/v1/images` returned it, with its `meta`; see `read_models`.

    A collected image has one key more, `collectedFor`: `{"modelId", "modelVersionId"}` of the version whose
    images were asked for. An image that two versions list is there once for each of them. Images that lie
    inside `modelVersions[].images[]` of the models are not among these.
    """
    read_report(path)
    return _records(path, "images", problems)


def _records(path: Path, kind: Kind, problems: Counter[str] | None) -> Iterator[dict[str, Any]]:
    broken = 0
    with _database(path) as database:
        # row by row, each read to its end: a writer need not wait for a reader
        numbers = database.execute("SELECT id FROM pages WHERE kind = ? ORDER BY id", (kind,)).fetchall()
        for number in numbers:
            (lines,) = database.execute("SELECT lines FROM pages WHERE id = ?", number).fetchone()
            try:
                records = [json.loads(line) for line in zlib.decompress(lines).splitlines()]
            except (zlib.error, ValueError, RecursionError):
                broken += 1
                continue
            yield from records
    if broken and problems is None:
        _log.warning("%s: broken pages of %s: %d", path, kind, broken)
    elif broken and problems is not None:
        problems["broken page of a store"] += broken


def read_report(path: Path) -> StoreReport:
    """What the store holds, by its checkpoint.

    Raises:
        InvalidInput: no store is there.
        StorageError: it is damaged.
    """
    with _database(path) as database:
        return _checkpoint(path, database)[0]


class RawStore:
    """A store open for writing, by one process at a time."""

    def __init__(
        self, path: Path, report: StoreReport, state: dict[str, Any] | None, lock: "BaseFileLock"
    ) -> None:
        """Use `open`."""
        self.path = path
        self.state = state
        """The place to go on from, as the last commit was given it; None in a new store."""
        self._report = report
        self._lock = lock
        self._waiting: dict[Kind, list[bytes]] = {kind: [] for kind in KINDS}

    @classmethod
    def open(cls, path: Path, query: Mapping[str, Any]) -> "RawStore":
        """Opens a store, or makes it.

        Raises:
            InvalidInput: the folder holds a store of another query, or something else than a store.
            StorageError: the folder cannot be written, is in use, or the store is damaged.
        """
        asked = json.loads(json.dumps(query))
        lock = _lock(path)
        try:
            if not (path / FILE).exists() and any(file.name[0] != "." for file in path.iterdir()):
                raise InvalidInput(f"{path} holds other files than a store's; name a new folder as --output")
            with _database(path, make=True) as database, database:
                database.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                row = (FORMAT, json.dumps(vars(StoreReport(asked))), "null")
                database.execute("INSERT OR IGNORE INTO checkpoint VALUES (1, ?, ?, ?)", row)
                report, state = _checkpoint(path, database)
            if report.query != asked:
                raise InvalidInput(
                    f"{path} holds what was collected with {json.dumps(report.query)}; asked for now is "
                    f"{json.dumps(asked)}. Repeat the first query to go on with it, or name another --output"
                )
        except BaseException:
            lock.release()
            raise
        return cls(path, report, state, lock)

    @property
    def finished(self) -> bool:
        """Whether the collection came to its end."""
        return self._report.finished

    @property
    def dropped(self) -> Counter[str]:
        """How many records were not kept, by reason: add to it, it is written with the next commit."""
        return self._report.dropped

    def count(self, kind: Kind) -> int:
        """How many records of a kind there are, those not yet committed among them."""
        return self._report.counts[kind]

    def note(self, sentence: str) -> None:
        """Adds a sentence to the report; it is written with the next commit."""
        if sentence not in self._report.notes:
            self._report.notes.append(sentence)

    def append(self, kind: Kind, records: Iterable[Mapping[str, Any]]) -> None:
        """Adds records, which count from the next `commit` on; one that JSON cannot hold is dropped."""
        for record in records:
            try:
                # ASCII, so that half of a surrogate pair in somebody's prompt can be written
                line = json.dumps(record, separators=(",", ":")).encode("ascii")
            except RecursionError:
                self.dropped["record nested too deeply"] += 1
                continue
            self._waiting[kind].append(line)
            self._report.counts[kind] += 1

    def commit(self, state: Mapping[str, Any], *, finished: bool = False) -> None:
        """Makes the appended records and the place to go on from permanent, both or neither.

        Raises:
            StorageError: the disk is full or not writable; the last commit still stands.
        """
        self.state, self._report.finished = dict(state), finished
        with _database(self.path) as database, database:
            database.execute("BEGIN IMMEDIATE")
            for kind, lines in self._waiting.items():
                if lines:
                    page = (kind, zlib.compress(b"\n".join(lines)))
                    database.execute("INSERT INTO pages (kind, lines) VALUES (?, ?)", page)
            row = (json.dumps(vars(self._report)), json.dumps(state))
            database.execute("UPDATE checkpoint SET report = ?, state = ?", row)
        for lines in self._waiting.values():
            lines.clear()

    def close(self) -> None:
        """Lets another process write here."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _lock(path: Path) -> "BaseFileLock":
    from filelock import FileLock, Timeout

    lock = FileLock(path / ".lock")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StorageError(f"another process writes to {path}; let it end, or stop it") from error
    except OSError as error:
        raise StorageError(
            f"cannot write {path} ({error.strerror or error}); name another --output"
        ) from error
    return lock


@contextmanager
def _database(path: Path, *, make: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection for one use, whose errors are this project's; only `make` makes a file."""
    file = path / FILE
    if not make and not file.is_file():
        raise InvalidInput(f"no store of collected models in {path}; `diffagent dabench collect` makes one")
    uri = f"{file.absolute().as_uri()}?mode={'rwc' if make else 'rw'}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)) as database:
            yield database
    except sqlite3.OperationalError as error:
        raise StorageError(
            f"cannot use {file} ({error}); free some space, or collect into a new folder"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StorageError(f"{file} is damaged ({error}); collect into a new folder") from error


def _checkpoint(path: Path, database: sqlite3.Connection) -> tuple[StoreReport, dict[str, Any] | None]:
    row = database.execute("SELECT format, report, state FROM checkpoint").fetchone()
    try:
        version, written, state = row
        if version == FORMAT:
            report = StoreReport(**json.loads(written))
            report.dropped = Counter(report.dropped)
            return report, json.loads(state)
    except (TypeError, ValueError) as error:
        raise StorageError(f"{path / FILE} is damaged ({error}); collect into a new folder") from error
    raise StorageError(f"{path / FILE} is of another version; collect into a new folder")

"""The description index: what every model of a catalogue is, as a vector in Chroma, searched by the ranker.

    index = DescriptionIndex(Catalogue.starter())            # below the user's cache, built when missing
    index = DescriptionIndex(catalogue, path=Path("index"))  # a folder of one's own
    index = DescriptionIndex(catalogue, url="http://localhost:8000")  # a Chroma server
    for hit in index.search("a corgi, pixel art", k=5, type="LORA"):
        print(f"{hit.score:.2f} {hit.record.model} {hit.matched}")

The only file that imports chromadb. Vectors are passed to Chroma explicitly, because its own embedder
downloads its weights at run time. retrieval/search/searching.py ranks, retrieval/search/index_build.py
fills an index.
"""

import hashlib
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from filelock import FileLock, Timeout

from retrieval.catalogue import Catalogue
from retrieval.errors import (
    DescriptionIndexError,
    DiffAgentError,
    IndexMismatch,
    IndexMissing,
    InvalidInput,
    StorageError,
)
from retrieval.records.model import ModelRecord
from retrieval.search.dense import FactsEmbedder, facts_text
from retrieval.search.encoders import Embedder
from retrieval.search.index_build import PATIENCE, Manifest, fill, require_answer, server_address
from retrieval.search.ranker import Ranker
from retrieval.search.searching import Hit, Searching
from retrieval.storage import cache_dir

__all__ = ["DescriptionIndex", "Hit", "IndexInfo"]

if TYPE_CHECKING:
    import numpy as np
    from chromadb import Collection as ChromaCollection
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Rebuild = Literal["auto", "never"]
Progress = Callable[[str], None]
COLLECTION = "diffagent-models"
LOCK_FILE = "diffagent.lock"
# the graph of Chroma's HNSW index: wide enough that a search for a thousand finds nearly all of them
_HNSW = {"space": "cosine", "ef_construction": 200, "ef_search": 1000, "max_neighbors": 32}
_PATIENCE = 1.0  # seconds after which the wait for another process is told


@dataclass(frozen=True)
class IndexInfo:
    """What an index is of. `where` is a folder or an address; an interrupted build is not `complete`."""

    where: str
    embedder: str
    dimension: int
    schema: int
    catalogue: str
    catalogue_name: str
    records: int
    complete: bool


class DescriptionIndex(Searching):
    """The models of a catalogue, searchable. Nothing is read or built before the first use.

    Args:
        embedder: makes the vectors instead of the ranker's own encoder, whose cosines its weights are fitted
            for; that is seldom better.
        path: a folder; by default one below the user's cache.
        url: a Chroma server, instead of a folder.
        ranker: makes the ranker, when it is first needed: where a selector has one already.
        progress: told, in one line each, what takes long.

    Raises:
        InvalidInput: both a folder and a server are named.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        embedder: Embedder | None = None,
        *,
        path: Path | None = None,
        url: str | None = None,
        ranker: Callable[[], Ranker] | None = None,
        progress: Progress | None = None,
    ) -> None:
        if path is not None and url is not None:
            raise InvalidInput(f"an index lies in a folder ({path}) or on a server ({url}); name one of them")
        self.catalogue = catalogue
        self._foreign = embedder
        self.embedder: Embedder = embedder or FactsEmbedder(lambda: self.ranker.retriever)
        self._make_ranker = ranker
        self.url = url
        self._path = Path(path) if path is not None else None
        self._tell: Progress = progress if progress is not None else _silent
        self._lock = threading.RLock()
        self._ranker: Ranker | None = None
        self._client: Any = None
        self._opened: ChromaCollection | None = None

    @property
    def ranker(self) -> Ranker:
        """Ranks what is found; made when it is first needed."""
        with self._lock:
            if self._ranker is None:
                make = self._make_ranker or (lambda: Ranker.packaged(self.catalogue, progress=self._tell))
                self._ranker = make()
            return self._ranker

    def _vectors(self, records: Sequence[ModelRecord]) -> "Vectors":
        """Of what the records say, [n, D]: those that the ranker keeps, or embedded."""
        if self._foreign is None:
            return self.ranker.retriever.facts[[self._place[record.model_id] for record in records]]
        return self.embedder.embed([facts_text(record) for record in records])

    @cached_property
    def path(self) -> Path:
        """The folder of the index; with a server, that of the lock alone."""
        if self._path is not None:
            return self._path
        key = f"{self.catalogue.name} {self.embedder.name} {self.url or ''}"
        digest = hashlib.sha256(key.encode()).hexdigest()[:8]
        return cache_dir("index", f"{_slug(self.catalogue.name)}-{_slug(self.embedder.name)}-{digest}")

    @property
    def where(self) -> str:
        """The folder or the address, for messages."""
        return self.url if self.url is not None else str(self.path)

    def open(self, rebuild: Rebuild | None = None) -> Self:
        """Makes the index ready; searching does so by itself.

        Args:
            rebuild: "auto" builds what is missing, goes on with what was interrupted and rebuilds what is of
                another embedder, catalogue or schema; "never" builds nothing. Without it a missing index is
                built, and an index that does not match is rebuilt below the user's cache, but left alone in a
                folder or on a server that the caller named.

        Raises:
            IndexMissing: there is none, or half of one, and none may be built.
            IndexMismatch: it is of another embedder, catalogue or schema, and may not be rebuilt.
            StorageError: the folder cannot be written.
            DescriptionIndexError: the folder is damaged, or the server does not answer.
        """
        with self._lock:
            if self._opened is None:
                with self._alone(), self._plainly():
                    self._opened = self._ready(rebuild)
        return self

    def build(self) -> IndexInfo:
        """Brings the index up to date, whatever is there; embeds only what changed. Raises as `open` does."""
        with self._lock, self._alone(), self._plainly():
            self._opened = self._filled(self._find())
        return self.info()

    def info(self) -> IndexInfo:
        """What the index is of; opens nothing else and builds nothing.

        Raises:
            IndexMissing: there is none.
        """
        with self._lock, self._alone() if self._is_there else nullcontext(), self._plainly():
            found = self._find()
            manifest = Manifest.read(found.metadata) if found is not None else None
            if found is None or manifest is None:
                raise IndexMissing(f"there is no index in {self.where}; {_BUILD}")
            return IndexInfo(
                where=self.where,
                embedder=manifest.embedder,
                dimension=manifest.dimension,
                schema=manifest.schema,
                catalogue=manifest.catalogue,
                catalogue_name=manifest.catalogue_name,
                records=found.count(),
                complete=manifest.complete,
            )

    def _query(self, vector: "Vectors", n: int, where: dict[str, Any] | None) -> Sequence[tuple[str, float]]:
        collection = self._collection
        with self._plainly():
            found = collection.query(
                query_embeddings=vector[None, :], n_results=n, where=where, include=["distances"]
            )
        distances = (found["distances"] or [[]])[0]
        return [(name, 1 - float(far)) for name, far in zip(found["ids"][0], distances, strict=True)]

    def _stored(self, names: Sequence[str]) -> tuple[Sequence[str], "Vectors"]:
        import numpy as np

        if self._foreign is None and self.url is None:
            # where the index was built they are mapped into memory, and Chroma takes longer
            return names, self.ranker.retriever.facts[[self._place[int(name)] for name in names]]
        collection = self._collection
        with self._plainly():
            found = collection.get(ids=list(names), include=["embeddings"])
        vectors = np.asarray(found["embeddings"], dtype=np.float32).reshape(-1, self.embedder.dimension)
        return found["ids"], vectors

    @property
    def _collection(self) -> "ChromaCollection":
        self.open()
        assert self._opened is not None
        return self._opened

    def _ready(self, rebuild: Rebuild | None) -> "ChromaCollection":
        found = self._find()
        manifest = Manifest.read(found.metadata) if found is not None else None
        if found is None or manifest is None:
            if rebuild == "never":
                raise IndexMissing(f"there is no index in {self.where}; {_BUILD}")
            return self._filled(found)
        differences = manifest.differences(self._wanted)
        if differences:
            own = self._path is None and self.url is None
            if rebuild == "never" or (rebuild is None and not own):
                raise IndexMismatch(
                    f"the index in {self.where} is of {', and of '.join(differences)}; {_BUILD} "
                    "(this replaces it), or name another folder"
                )
            self._tell(f"the index in {self.where} is of {', and of '.join(differences)}; building it anew")
        elif manifest.complete and found.count() == len(self.catalogue):
            return found
        elif rebuild == "never":
            raise IndexMissing(
                f"the index in {self.where} holds {found.count():,} of {len(self.catalogue):,} models, "
                f"its build was interrupted; {_BUILD}"
            )
        return self._filled(found)

    @cached_property
    def _wanted(self) -> Manifest:
        return Manifest.wanted(self.catalogue, self.embedder)

    @property
    def _name(self) -> str:
        # one server may hold the indexes of several catalogues
        return COLLECTION if self.url is None else f"diffagent-{_slug(self.catalogue.name)}"

    @property
    def _is_there(self) -> bool:
        return self.url is not None or (self.path / _DATABASE).is_file()

    def _find(self) -> "ChromaCollection | None":
        """The collection that is there; an empty folder is none."""
        from chromadb.errors import NotFoundError

        if not self._is_there:
            return None
        try:
            found: ChromaCollection = self._connected().get_collection(self._name, embedding_function=None)
        except NotFoundError:
            return None
        return found

    def _filled(self, found: "ChromaCollection | None") -> "ChromaCollection":
        client = self._connected()
        manifest = Manifest.read(found.metadata) if found is not None else None
        if found is not None and (manifest is None or not manifest.same_vectors(self._wanted)):
            client.delete_collection(self._name)
            found = None
        if found is None:
            self._tell(f"building the index of {self.catalogue.name}, once, in {self.where}")
            found = client.create_collection(
                self._name,
                embedding_function=None,
                configuration={"hnsw": _HNSW},
                metadata=self._wanted.wire(complete=False),
            )
        fill(found, self.catalogue, self._vectors, self._wanted, self._tell)
        return found

    def _connected(self) -> Any:
        if self._client is None:
            import chromadb
            from chromadb.config import Settings

            # settings are made anew each time, because the clients write into them
            settings = Settings(anonymized_telemetry=False)
            where = server_address(self.url) if self.url is not None else {}
            self._check_database()
            try:
                with _CLIENTS:
                    if self.url is None:
                        self._client = chromadb.PersistentClient(self.path, settings=settings)
                    else:
                        require_answer(self.url)
                        self._client = chromadb.HttpClient(**where, settings=settings)
                        self._client._server._session.timeout = PATIENCE
            except ValueError as error:  # how Chroma says that no server answers
                raise self._explained(error) from error
        return self._client

    def _check_database(self) -> None:
        """Refuses a file that is no database before Chroma sees it.

        Chroma keeps a client that failed to start, and later ones of the same folder would fail with it.
        """
        if self.url is not None or not self._is_there:
            return
        try:
            with closing(sqlite3.connect(self.path / _DATABASE)) as database:
                database.execute("PRAGMA schema_version").fetchone()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def close(self) -> None:
        """Lets go of Chroma's files; the next search opens them again."""
        with self._lock:
            self._opened = None
            if self._client is not None:
                client, self._client = self._client, None
                client.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time; the others wait, and then find the index built."""
        folder = self.path
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / LOCK_FILE)
            try:
                lock.acquire(timeout=_PATIENCE)
            except Timeout:
                self._tell(f"waiting for another process that builds the index in {self.where}")
                lock.acquire()
        except OSError as error:
            raise StorageError(
                f"cannot write to the folder {folder} ({error.strerror or error}); name a folder that you "
                "may write, or set DIFFAGENT_HOME to one"
            ) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Chroma's errors as this project's, and nothing kept open that is broken."""
        import httpx
        from chromadb.errors import ChromaError, NotFoundError

        try:
            yield
        except (ChromaError, httpx.HTTPError) as error:
            self.close()
            if isinstance(error, NotFoundError):
                raise DescriptionIndexError(
                    f"the index in {self.where} was replaced while it was open; search again"
                ) from error
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> DiffAgentError:
        said = " ".join(str(error).split())[:200]
        if self.url is not None:
            return DescriptionIndexError(
                f"the Chroma server {self.url} cannot be used ({said}); start it "
                "(chroma run --path FOLDER --port PORT), or use a folder"
            )
        if any(sign in said.lower() for sign in _CANNOT_WRITE):
            return StorageError(
                f"cannot write the index in {self.path} ({said}); free some space, or name a folder that you "
                "may write"
            )
        return DescriptionIndexError(
            f"the index in {self.path} cannot be used ({said}); delete the folder, it is built again at the "
            "next search"
        )


_CLIENTS = threading.Lock()
_DATABASE = "chroma.sqlite3"
_BUILD = "build it: diffagent index build"
# what SQLite says of a full disk and of a folder or file that may not be written
_CANNOT_WRITE = ("disk is full", "readonly database", "read-only", "permission denied", "no space left")


def _slug(text: str) -> str:
    """Letters, digits and hyphens that both a folder and a Chroma collection may be named by."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "other"


def _silent(line: str) -> None:
    """Tells nobody."""

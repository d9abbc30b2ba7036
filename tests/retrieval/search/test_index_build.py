"""Building and opening: what is reused, resumed, refused and rebuilt, and what is said when it cannot be."""

import multiprocessing
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chroma_server import chroma_command, chroma_server, free_port
from index_world import CountingEmbedder, build, catalogue, records

import retrieval.search.index
import retrieval.search.index_build
from retrieval.catalogue import Catalogue
from retrieval.errors import DescriptionIndexError, IndexMismatch, IndexMissing, InvalidInput, StorageError
from retrieval.search.dense import FactsEmbedder, facts_text
from retrieval.search.encoders import HashEmbedder
from retrieval.search.filters import Filter
from retrieval.search.index import DescriptionIndex


def found(index: DescriptionIndex) -> list[int]:
    return [hit.record.model_id for hit in index.search("pixel art", 3)]


def test_a_missing_index_is_built_once(tmp_path: Path) -> None:
    said: list[str] = []
    first = CountingEmbedder()
    index = DescriptionIndex(catalogue(), first, path=tmp_path, progress=said.append)
    with pytest.raises(IndexMissing, match=r"there is no index in .*diffagent index build"):
        index.info()
    with pytest.raises(IndexMissing, match="there is no index"):
        index.open("never")
    assert index.open() is index
    assert first.texts == [facts_text(record) for record in catalogue()]
    assert said == [f"building the index of eight, once, in {tmp_path}", "8 of 8 models are in the index"]
    info = index.info()
    assert (info.where, info.embedder, info.dimension) == (str(tmp_path), "hashed-words-32", 32)
    assert (info.catalogue, info.catalogue_name) == (catalogue().digest, "eight")
    assert (info.records, info.complete) == (8, True)
    index.close()
    again = CountingEmbedder()
    reopened = DescriptionIndex(catalogue(), again, path=tmp_path).open("never")
    assert again.texts == []
    assert found(reopened) == found(index)


def test_only_what_changed_is_embedded_again(tmp_path: Path) -> None:
    DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path).build()
    changed = [*records(description="Now of castles.", available=False)[:-1]]
    embedder = CountingEmbedder()
    index = DescriptionIndex(Catalogue(changed), embedder, path=tmp_path)
    assert index.build().records == 7
    assert embedder.texts == [facts_text(changed[0])]
    assert 1 not in found(index)
    assert index.search("castles", 1, available=False)[0].record.model_id == 1


def test_changed_facts_need_no_embedding(tmp_path: Path) -> None:
    DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path).build()
    embedder = CountingEmbedder()
    index = DescriptionIndex(catalogue(available=False), embedder, path=tmp_path)
    index.build()
    assert embedder.texts == []
    assert 1 not in [hit.record.model_id for hit in index.search("pixel art", 8)]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"embedder": HashEmbedder(16)}, r"embedder hashed-words-32 .*instead of hashed-words-16 \(16\)"),
        ({"catalogue": catalogue("nine", description="other")}, r"is of eight \(.*instead of nine \("),
    ],
)
def test_an_index_of_something_else_is_refused_where_the_caller_named_the_folder(
    tmp_path: Path, other: dict[str, object], said: str
) -> None:
    DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path).build()
    arguments = {"catalogue": catalogue(), "embedder": HashEmbedder(32)} | other
    index = DescriptionIndex(**arguments, path=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(IndexMismatch, match=said):
        index.search("pixel art")
    with pytest.raises(IndexMismatch):
        index.open("never")
    assert index.info().catalogue_name == "eight"
    assert found(index.open("auto"))[0] == 1
    assert index.info().embedder == index.embedder.name


def test_another_schema_is_a_mismatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path).build()
    monkeypatch.setattr(retrieval.search.index_build, "SCHEMA", 999)
    embedder = CountingEmbedder()
    index = DescriptionIndex(catalogue(), embedder, path=tmp_path)
    with pytest.raises(IndexMismatch, match="the schema 201 instead of 999"):
        index.open()
    index.build()
    assert len(embedder.texts) == 8


def test_below_the_cache_a_mismatch_is_rebuilt_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    DescriptionIndex(catalogue(), HashEmbedder(32)).open()
    said: list[str] = []
    changed = DescriptionIndex(catalogue(description="of castles"), HashEmbedder(32), progress=said.append)
    assert changed.path.is_relative_to(tmp_path)
    with pytest.raises(IndexMismatch):
        changed.open("never")
    assert found(changed)[0] == 1
    assert any("building it anew" in line for line in said)
    other = DescriptionIndex(catalogue(), HashEmbedder(16))
    assert other.path != changed.path


def test_an_interrupted_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval.search.index_build, "BATCH", 3)
    with pytest.raises(KeyboardInterrupt):
        DescriptionIndex(catalogue(), CountingEmbedder(fails_at=2), path=tmp_path).build()
    second = CountingEmbedder()
    index = DescriptionIndex(catalogue(), second, path=tmp_path)
    assert (index.info().records, index.info().complete) == (3, False)
    with pytest.raises(IndexMissing, match="holds 3 of 8 models"):
        index.open("never")
    index.open()
    assert second.texts == [facts_text(record) for record in catalogue()][3:]
    assert (index.info().records, index.info().complete) == (8, True)


def test_a_killed_build_goes_on(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=build, args=(tmp_path, 2, 3, None))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    embedder = CountingEmbedder()
    DescriptionIndex(catalogue(), embedder, path=tmp_path).open()
    assert len(embedder.texts) == 5


def test_two_processes_make_one_good_index(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    processes = [context.Process(target=build, args=(tmp_path, None, 2, done)) for _ in range(2)]
    for process in processes:
        process.start()
    embedded = sorted(done.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert embedded == [0, 8]
    index = DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path).open("never")
    assert (index.info().records, found(index)[0]) == (8, 1)


def test_who_waits_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    monkeypatch.setattr(retrieval.search.index, "_PATIENCE", 0.01)
    lock = FileLock(tmp_path / retrieval.search.index.LOCK_FILE)
    lock.acquire()
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        lock.release()

    DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path, progress=tell).open()
    assert "waiting for another process" in said[0]


def test_models_lost_from_the_store_are_put_back(tmp_path: Path) -> None:
    index = DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path).open()
    index._collection.delete(ids=["1", "2"])
    index.close()
    embedder = CountingEmbedder()
    DescriptionIndex(catalogue(), embedder, path=tmp_path).open()
    assert len(embedder.texts) == 2


def test_vectors_that_came_with_the_weights_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = Catalogue.starter()
    index = DescriptionIndex(starter, path=tmp_path)
    monkeypatch.setattr(FactsEmbedder, "embed", lambda self, texts: pytest.fail("they were embedded again"))
    assert "pixel" in index.search("a corgi, pixel art", 3)[0].record.model.lower()
    assert len(index.search("castle", len(starter), available=None)) == len(index.ranker.allowed(Filter()))


def test_of_another_catalogue_the_facts_are_embedded(tmp_path: Path) -> None:
    index = DescriptionIndex(catalogue(), path=tmp_path).open()
    assert index.info().embedder.startswith("retriever-")
    _, vectors = index._stored(["1"])
    assert vectors[0] == pytest.approx(index.ranker.retriever.facts[0], abs=1e-3)


def test_a_damaged_folder_is_a_plain_error_and_can_be_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "chroma.sqlite3").write_bytes(b"not a database" * 500)
    index = DescriptionIndex(catalogue(), HashEmbedder(32), path=folder)
    with pytest.raises(DescriptionIndexError, match=r"cannot be used .*not a database.*delete the folder"):
        index.search("pixel art")
    shutil.rmtree(folder)
    assert found(index)[0] == 1


def test_damaged_vectors_are_a_plain_error(tmp_path: Path) -> None:
    """In another process, because Chroma keeps what it has read."""
    many = (
        "import sys; from pathlib import Path\n"
        "from retrieval.catalogue import Catalogue\n"
        "from retrieval.records.model import ModelRecord\n"
        "from retrieval.search.encoders import HashEmbedder\n"
        "from retrieval.search.index import DescriptionIndex\n"
        "records = [ModelRecord(model_id=i, model=f'word{i} pixel', type='LORA', base_model='SD 1.5')\n"
        "           for i in range(1, 1201)]\n"
        "index = DescriptionIndex(Catalogue(records), HashEmbedder(32), path=Path(sys.argv[1]))\n"
        "print(len(index.search('pixel')))"
    )

    def search() -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", many, str(tmp_path)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
        )

    assert search().stdout == "10\n"
    damaged = [path for path in tmp_path.rglob("*.bin") if path.stat().st_size]
    assert damaged
    for path in damaged:
        path.write_bytes(b"x" * 7)
    after = search()
    assert "DescriptionIndexError: the index in" in after.stderr.splitlines()[-1]
    assert "delete the folder" in after.stderr.splitlines()[-1]


def test_an_index_replaced_by_another_process_says_so(tmp_path: Path) -> None:
    index = DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path).open()
    DescriptionIndex(catalogue(), HashEmbedder(16), path=tmp_path).open("auto")
    with pytest.raises(DescriptionIndexError, match="was replaced while it was open"):
        index.search("pixel art")
    with pytest.raises(IndexMismatch, match="hashed-words-16"):
        index.search("pixel art")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    index = DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path / "file" / "index")
    with pytest.raises(StorageError, match="cannot write to the folder"):
        index.open()


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    from chromadb.errors import InternalError

    index = DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path)
    for said in ("database or disk is full", "attempt to write a readonly database"):
        with pytest.raises(StorageError, match="free some space"), index._plainly():
            raise InternalError(said)


def test_a_folder_and_a_server_are_too_much(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="name one of them"):
        DescriptionIndex(catalogue(), path=tmp_path, url="http://localhost:1")


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://localhost", "http://", "http://localhost:x"])
def test_an_address_that_is_none(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    with pytest.raises(InvalidInput, match="is not the address of a Chroma server"):
        DescriptionIndex(catalogue(), HashEmbedder(32), url=url).open()


def test_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    index = DescriptionIndex(catalogue(), HashEmbedder(32), url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DescriptionIndexError, match=r"the Chroma server .* cannot be used .*chroma run"):
        index.search("pixel art")


def test_a_server_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    monkeypatch.setattr(retrieval.search.index_build, "ANSWERS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DescriptionIndexError, match=r"the Chroma server .* cannot be used \(timed out\)"):
            DescriptionIndex(catalogue(), HashEmbedder(32), url=url).search("pixel art")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if chroma_command() is None:
        pytest.skip("the command `chroma` is not installed")
    with chroma_server(tmp_path_factory.mktemp("server"), free_port()) as url:
        yield url


def test_a_server_holds_indexes_too(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    embedder = CountingEmbedder()
    index = DescriptionIndex(catalogue(), embedder, url=server)
    with pytest.raises(IndexMissing):
        index.info()
    assert found(index)[0] == 1
    assert index.info().where == server
    assert index._connected()._server._session.timeout.read == retrieval.search.index_build.PATIENCE
    local = DescriptionIndex(catalogue(), HashEmbedder(32), path=tmp_path / "local")
    assert [hit.record.model_id for hit in index.search("neon rain", 7, max_nsfw=4)] == [
        hit.record.model_id for hit in local.search("neon rain", 7, max_nsfw=4)
    ]
    again = CountingEmbedder()
    DescriptionIndex(catalogue(), again, url=server).open("never")
    assert (len(embedder.texts) > 8, again.texts) == (True, [])
    with pytest.raises(IndexMismatch):
        DescriptionIndex(catalogue(description="of castles"), HashEmbedder(32), url=server).open()
    assert DescriptionIndex(catalogue("another"), HashEmbedder(32), url=server).build().records == 8

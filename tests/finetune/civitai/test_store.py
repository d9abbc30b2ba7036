"""The raw store: both or neither, one writer, and reading past what is broken."""

import gzip
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from finetune.civitai.saved import collect_saved, describe_source
from finetune.civitai.store import FILE, RawStore, read_images, read_models, read_report
from retrieval.errors import DataError, InvalidInput, StorageError

QUERY = {"types": ["LORA"]}


def filled(path: Path, pages: int = 3) -> Path:
    """A store of a page of two models, `pages` times."""
    with RawStore.open(path, QUERY) as store:
        for page in range(pages):
            store.append("models", [{"id": 2 * page + 1}, {"id": 2 * page + 2}])
            store.commit({"page": page})
    return path


def ids(path: Path, problems: Counter[str] | None = None) -> list[int]:
    return [model["id"] for model in read_models(path, problems)]


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path / FILE)) as database, database:
        database.execute(statement)


def test_what_is_committed_is_read_in_order(tmp_path: Path) -> None:
    path = filled(tmp_path / "raw")
    assert ids(path) == [1, 2, 3, 4, 5, 6]
    assert list(read_images(path)) == []
    assert read_report(path).counts == {"models": 6, "images": 0}


def test_what_was_never_committed_is_neither_read_nor_kept(tmp_path: Path) -> None:
    path = filled(tmp_path / "raw")
    with RawStore.open(path, QUERY) as store:
        store.append("models", [{"id": 7}])
    assert ids(path) == [1, 2, 3, 4, 5, 6]
    with RawStore.open(path, QUERY) as store:
        assert store.state == {"page": 2}
        assert store.count("models") == 6


def test_a_broken_page_costs_itself_and_is_counted_or_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = filled(tmp_path / "raw")
    execute(path, "UPDATE pages SET lines = x'78' WHERE id = 2")
    problems: Counter[str] = Counter()
    assert ids(path, problems) == [1, 2, 5, 6]
    assert problems == {"broken page of a store": 1}
    assert not caplog.text
    assert ids(path) == [1, 2, 5, 6]
    assert "broken pages of models: 1" in caplog.text


def test_one_process_writes(tmp_path: Path) -> None:
    with (
        RawStore.open(tmp_path / "raw", QUERY),
        pytest.raises(StorageError, match="another process writes"),
    ):
        RawStore.open(tmp_path / "raw", QUERY)
    RawStore.open(tmp_path / "raw", QUERY).close()


def test_another_query_is_refused_and_both_are_named(tmp_path: Path) -> None:
    filled(tmp_path / "raw")
    with pytest.raises(InvalidInput, match=r'\["LORA"\].*\["Checkpoint"\]'):
        RawStore.open(tmp_path / "raw", {"types": ["Checkpoint"]})
    # and the lock is free again
    RawStore.open(tmp_path / "raw", QUERY).close()


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="other files"):
        RawStore.open(tmp_path, QUERY)
    with pytest.raises(InvalidInput, match="collect"):
        read_models(tmp_path)


@pytest.mark.parametrize("damage", ["file", "report = '{'", "report = '{}'", "report = '[]'", "format = 1"])
def test_a_damaged_store_is_said_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    path = filled(tmp_path / "raw")
    if damage == "file":
        (path / FILE).write_bytes(b"no database at all" * 99)
    else:
        execute(path, f"UPDATE checkpoint SET {damage}")
    before = (path / FILE).read_bytes()
    with pytest.raises(StorageError, match=r"damaged|another version"):
        RawStore.open(path, QUERY)
    with pytest.raises(StorageError, match=r"damaged|another version"):
        read_models(path)
    assert (path / FILE).read_bytes() == before


def test_a_store_that_was_killed_while_it_was_made_is_made(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / FILE).touch()
    filled(tmp_path / "raw")
    assert ids(tmp_path / "raw") == [1, 2, 3, 4, 5, 6]


def test_half_a_surrogate_pair_is_kept(tmp_path: Path) -> None:
    with RawStore.open(tmp_path / "raw", QUERY) as store:
        store.append("images", [{"id": 1, "meta": {"prompt": "\ud83d é 猫"}}])
        store.commit({})
    assert next(read_images(tmp_path / "raw"))["meta"]["prompt"] == "\ud83d é 猫"


def saved(tmp_path: Path) -> Path:
    """A folder with some of everything that goes wrong."""
    folder = tmp_path / "saved"
    folder.mkdir()
    lines = [
        {"id": 1, "name": "a", "type": "LORA", "modelVersions": []},
        {"id": 2, "name": "a record without versions", "type": "LORA"},
        {"id": 1, "name": "again", "type": "LORA", "modelVersions": []},
        {"id": 3, "modelVersions": [{"images": [{"meta": {"prompt": "long " * 40_000, "Size": "0x0"}}]}]},
        {"id": 4, "url": "x", "width": 1, "meta": None},
        {"id": 5, "url": "x", "width": 1, "meta": {"steps": 40_000, "sampler": "Nobody's"}},
        {"what": "else"},
        ["a list's members are read", 7],
    ]
    text = "\ufeff" + "\n".join([*map(json.dumps, lines), "{", "", "1" * 5_000]) + "\n"
    (folder / "a.jsonl").write_text(text, encoding="utf-8")
    page = {"items": [{"id": 6, "name": "of a page", "type": "Checkpoint", "modelVersions": []}]}
    (folder / "b.json").write_text(json.dumps(page))
    whole = gzip.compress(
        b"".join(json.dumps({"id": 100 + i, "modelVersions": []}).encode() + b"\n" for i in range(9))
    )
    (folder / "c.jsonl.gz").write_bytes(whole[:-9])
    (folder / "d.jsonl.gz").write_bytes(b"no gzip at all")
    (folder / "readme.txt").write_text("passed over")
    return folder


def test_bad_saved_objects_are_counted_and_the_rest_is_kept_as_it_is(tmp_path: Path) -> None:
    source = saved(tmp_path)
    with RawStore.open(tmp_path / "raw", describe_source(source)) as store:
        collect_saved(source, store)
    found = read_report(tmp_path / "raw")
    assert found.finished
    models = ids(tmp_path / "raw")
    assert models[:4] == [1, 2, 3, 6]
    assert [image["id"] for image in read_images(tmp_path / "raw")] == [5]
    assert found.dropped == {
        "model listed twice": 1,
        "image without generation metadata": 1,
        "object that is neither a model nor an image": 1,
        "model that is no object": 2,
        "broken JSON": 2,
        "rest of a file whose gzip is broken": 2,
    }
    long = list(read_models(tmp_path / "raw"))[2]["modelVersions"][0]["images"][0]["meta"]
    assert len(long["prompt"]) == 200_000


def test_saved_objects_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = saved(tmp_path)
    with RawStore.open(tmp_path / "whole", describe_source(source)) as store:
        collect_saved(source, store)
    monkeypatch.setattr("finetune.civitai.saved.COMMIT_EVERY", 1)
    attempt = 0
    while attempt < 40:
        attempt += 1
        with RawStore.open(tmp_path / "raw", describe_source(source)) as store:
            shown = 0

            def show(what: str, done: int, total: int | None) -> None:
                nonlocal shown
                shown += 1
                if shown == 2:
                    raise KeyboardInterrupt

            try:
                collect_saved(source, store, show)
            except KeyboardInterrupt:
                continue
        break
    assert attempt > 5
    assert ids(tmp_path / "raw") == ids(tmp_path / "whole")
    assert read_report(tmp_path / "raw").dropped == read_report(tmp_path / "whole").dropped


def test_a_source_without_anything_is_said(tmp_path: Path) -> None:
    (tmp_path / "saved.json").write_text('{"unrelated": true}')
    with (
        RawStore.open(tmp_path / "raw", {}) as store,
        pytest.raises(DataError, match="neither a model nor an image: 1"),
    ):
        collect_saved(tmp_path / "saved.json", store)
    with pytest.raises(InvalidInput, match="no file or folder"):
        describe_source(tmp_path / "nowhere")

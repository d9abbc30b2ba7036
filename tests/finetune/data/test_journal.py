"""A file of answers grows, survives a kill, and is never taken for that of another run."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.data.journal import Journal
from retrieval.errors import DataError, StorageError

ASKED = ["a", "b", "c", "d", "e"]


def opened(path: Path, asked: list[str] = ASKED, batch: int = 1, run: str = "one") -> Journal[dict[str, Any]]:
    return Journal(
        path,
        {"name": run},
        dict,
        asked=asked,
        key=lambda row: str(row["key"]),
        batch=batch,
        another="move",
    )


def filled(path: Path, count: int) -> list[bytes]:
    with opened(path).appending() as write:
        for key in ASKED[:count]:
            write({"key": key})
    return path.read_bytes().splitlines(keepends=True)


def keys(journal: Journal[dict[str, Any]]) -> list[str]:
    return [row["key"] for row in journal.done]


def test_a_run_goes_on_after_what_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "new" / "answers.jsonl"
    lines = filled(path, 3)
    assert json.loads(lines[0]) == {"run": {"name": "one"}}
    assert keys(opened(path)) == ["a", "b", "c"]
    assert keys(opened(path, ASKED[:2])) == ["a", "b"]
    assert path.read_bytes() == b"".join(lines)


def test_a_line_without_an_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    lines = filled(path, 3)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:-2])
    assert keys(opened(path)) == ["a", "b"]
    assert path.read_bytes() == b"".join(lines[:3])
    path.write_bytes(lines[0][:-2])
    assert keys(opened(path)) == []
    assert path.read_bytes() == lines[0]


def test_only_whole_batches_are_kept_but_for_the_last_of_a_finished_run(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    lines = filled(path, 3)
    assert keys(opened(path, batch=2)) == ["a", "b"]
    assert path.read_bytes() == b"".join(lines[:3])
    whole = filled(tmp_path / "whole.jsonl", 5)
    assert keys(opened(tmp_path / "whole.jsonl", batch=2)) == ASKED
    assert (tmp_path / "whole.jsonl").read_bytes() == b"".join(whole)


def test_what_is_of_another_run_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    lines = filled(path, 2)
    with pytest.raises(DataError, match=r"another run: .*one.*; move"):
        opened(path, run="two")
    with pytest.raises(DataError, match="another request in place 2; move"):
        opened(path, ["a", "x"])
    path.write_bytes(lines[0] + b"{broken\n" + lines[1])
    with pytest.raises(DataError, match="damaged"):
        opened(path)
    assert path.read_bytes() == lines[0] + b"{broken\n" + lines[1]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*name a folder"):
        opened(tmp_path / "file" / "answers.jsonl")

"""Kept vectors: killed, stopped by the disk, made by two at once, damaged, changed; always the texts' own."""

import os
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from retrieval.catalogue import Catalogue
from retrieval.kept_vectors import kept_vectors
from retrieval.records.model import ModelRecord
from retrieval.search.dense import FOLDER, Retriever, facts_text
from retrieval.search.encoders import HashEmbedder, LazyEncoder
from retrieval.search.ranker import STARTER_WEIGHTS

COUNT, PART = 48, 4
BUILD = f"""
import sys
from pathlib import Path
import retrieval.kept_vectors
from retrieval.catalogue import Catalogue
from retrieval.search.dense import Retriever
from retrieval.search.ranker import STARTER_WEIGHTS

retrieval.kept_vectors.PART = {PART}
catalogue = Catalogue.load(Path(sys.argv[1]))
tell = lambda line: print(line, flush=True)
Retriever.load(STARTER_WEIGHTS, catalogue, progress=tell).facts
"""


def models(count: int = COUNT) -> list[ModelRecord]:
    kinds = ("castle", "forest", "robot", "portrait")
    return [
        ModelRecord(
            model_id=number + 1,
            model=f"Painter {number}",
            type="LORA",
            base_model="SD 1.5",
            description=f"Pictures of a {kinds[number % 4]} in the style of {number} hills.",
        )
        for number in range(count)
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("retrieval.kept_vectors.PART", PART)
    return tmp_path / "home" / "retriever"


def saved(tmp_path: Path, records: Sequence[ModelRecord]) -> Path:
    path = tmp_path / "models.jsonl"
    Catalogue(records).save(path)
    return path


def started(path: Path, **limits: int) -> "subprocess.Popen[str]":
    """A builder of the vectors in a process of its own."""

    def limit() -> None:
        for size in limits.values():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        preexec_fn=limit if limits else None,
    )


def parts(home: Path) -> list[Path]:
    # a hidden one was being written when its builder was killed
    return sorted(path for path in home.glob("*-part-*") if not path.name.startswith("."))


class Counting:
    """Hashed words, and how many texts were embedded."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        return HashEmbedder(16).embed(texts)


def kept(records: Sequence[ModelRecord], told: list[str] | None = None) -> tuple[np.ndarray, int]:
    """The vectors of the records' facts by hashed words, and how many were embedded for them."""
    embed = Counting()
    texts = [facts_text(record) for record in records]
    lines = told if told is not None else []
    found = kept_vectors(
        Catalogue(records), "facts", len(texts), lambda: texts, embed, weights="ab" * 32, tell=lines.append
    )
    return found, len(embed.texts)


def of_hashed_words(records: Sequence[ModelRecord]) -> np.ndarray:
    return HashEmbedder(16).embed([facts_text(record) for record in records])


def test_a_builder_that_is_killed_at_any_moment_goes_on(home: Path, tmp_path: Path) -> None:
    path = saved(tmp_path, models())
    rng = random.Random(7)
    before = 0
    for _ in range(5):
        builder = started(path)
        wanted = min(before + rng.randint(0, 2), COUNT // PART - 1)
        until = time.monotonic() + 60
        while len(parts(home)) < wanted or (builder.poll() is None and not home.exists()):
            assert builder.poll() is None
            assert time.monotonic() < until
            time.sleep(0.001)
        time.sleep(rng.random() / 20)
        builder.kill()
        builder.communicate()
        assert len(parts(home)) >= before  # nothing of what was there is lost
        before = len(parts(home))
    assert before > 0
    lines: list[str] = []
    catalogue = Catalogue.load(path)
    facts = Retriever.load(STARTER_WEIGHTS, catalogue, progress=lines.append).facts
    said = [int(found[1]) for line in lines if (found := re.search(r"the facts of (\d+) of 48", line))]
    assert said[0] == (before + 1) * PART
    assert len(said) == COUNT // PART - before
    encoder = LazyEncoder(STARTER_WEIGHTS / FOLDER)
    expected = encoder.embed([encoder.text_ids(facts_text(record)) for record in catalogue])
    assert facts == pytest.approx(expected, abs=1e-3)
    assert [file.suffix for file in home.iterdir()].count(".safetensors") == 1


def test_two_builders_do_the_work_once(home: Path, tmp_path: Path) -> None:
    path = saved(tmp_path, models())
    both = [started(path), started(path)]
    answers = [builder.communicate(timeout=120) for builder in both]
    assert [builder.returncode for builder in both] == [0, 0], answers
    said = [re.findall(r"the facts of (\d+) of", text) for text, _ in answers]
    assert sorted(map(int, said[0] + said[1])) == list(range(PART, COUNT + 1, PART))


def test_a_disk_that_takes_no_more_loses_nothing(home: Path, tmp_path: Path) -> None:
    path = saved(tmp_path, models())
    # room for every part, of four vectors in half precision, but not for all vectors in one file
    builder = started(path, most=20_000)
    _, said = builder.communicate(timeout=120)
    assert builder.returncode == 1
    assert "StorageError: cannot write" in said
    assert "free some space" in said
    assert len(parts(home)) == COUNT // PART
    assert not list(home.glob(".*"))
    lines: list[str] = []
    retriever = Retriever.load(STARTER_WEIGHTS, Catalogue.load(path), progress=lines.append)
    assert len(retriever.facts) == COUNT
    assert lines == []  # nothing was embedded again


def test_only_what_changed_is_embedded(home: Path) -> None:
    old = models()
    first, made = kept(old)
    assert made == COUNT
    assert first == pytest.approx(of_hashed_words(old), abs=1e-3)
    again, made = kept(old)
    assert made == 0
    np.testing.assert_array_equal(again, first)
    new = [
        old[5].model_copy(update={"model": "Another Name"}),
        *(each.model_copy(update={"samples": 9}) for each in old[6:]),
        *old[:5],
        old[5].model_copy(update={"model_id": 999, "model": "One More"}),
    ]
    found, made = kept(new)
    assert made == 2
    assert found == pytest.approx(of_hashed_words(new), abs=1e-3)
    # the older version is gone, and costs nothing to be made again
    assert len(list(home.glob("*.safetensors"))) == 1
    assert kept(old)[1] == 1


def test_the_order_of_a_catalogue_is_that_of_its_vectors(home: Path) -> None:
    records = models(8)
    kept(records)
    backwards = records[::-1]
    assert kept(backwards)[0] == pytest.approx(of_hashed_words(backwards), abs=1e-3)


def test_equal_texts_are_embedded_once_and_no_text_is_no_error(home: Path) -> None:
    twins = [models(1)[0].model_copy(update={"model_id": number}) for number in (1, 2, 3)]
    found, made = kept(twins)
    assert made == 1
    assert found == pytest.approx(of_hashed_words(twins), abs=1e-3)
    assert kept([])[0].shape == (0, 16)
    assert kept([])[0].shape == (0, 16)


@pytest.mark.parametrize("damage", ["cut", "not finite", "junk"])
def test_a_damaged_file_is_made_again(home: Path, damage: str) -> None:
    records = models(8)
    kept(records)
    (path,) = home.glob("*.safetensors")
    whole = path.read_bytes()
    infinite = np.asarray([np.inf], np.float32).tobytes()
    path.write_bytes({"cut": whole[:-9], "not finite": whole[:-4] + infinite, "junk": b"junk" * 200}[damage])
    told: list[str] = []
    found, _ = kept(records, told)
    assert found == pytest.approx(of_hashed_words(records), abs=1e-3)
    assert any("damaged; making it again" in line for line in told)
    assert kept(records)[1] == 0


def test_a_damaged_part_is_made_again(home: Path, tmp_path: Path) -> None:
    home.mkdir(parents=True)
    (home / f"{'ab' * 6}-part-0000000000000001.safetensors").write_bytes(b"junk")
    records = models(8)
    found, made = kept(records)
    assert made == 8
    assert found == pytest.approx(of_hashed_words(records), abs=1e-3)
    assert parts(home) == []


def test_old_files_go(home: Path) -> None:
    for number in range(36):
        kept([models(1)[0].model_copy(update={"model": f"Model {number}"})])
    assert len(list(home.glob("*.safetensors"))) == 32

"""Kept arrays: made once and read afterwards; made again where they cannot be read or kept."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_world import small_catalogue

import retrieval.kept
from retrieval.catalogue import Catalogue
from retrieval.kept import kept_tables, packed, unpacked
from retrieval.records.api import Instruction
from retrieval.search.fusion import Fusion
from retrieval.search.ranker import LEXICAL_FILE, STARTER_WEIGHTS, Ranker

DIGEST = "ab" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Maker:
    """Makes one array, and counts how often."""

    def __init__(self, value: int = 0) -> None:
        self.made = 0
        self.value = value

    def __call__(self) -> dict[str, np.ndarray]:
        self.made += 1
        return {
            "numbers": np.asarray([self.value, 2, 3]),
            "texts": packed(["a", "é\n", "\ud83d"]),
            "table": np.arange(6, dtype=np.float32).reshape(2, 3) / 3,
            "places": np.asarray([7, -1], np.int32),
            "flags": np.asarray([True, False, True]),
            "none": np.zeros((0, 4), np.float32),
        }


def test_arrays_are_made_once(home: Path) -> None:
    make = Maker()
    first = kept_tables(DIGEST, make)
    again = kept_tables(DIGEST, make)
    assert make.made == 1
    assert first.keys() == again.keys()
    for name, array in first.items():
        assert (array.dtype, array.shape) == (again[name].dtype, again[name].shape)
        np.testing.assert_array_equal(again[name], array)
        assert again[name].flags.aligned
    assert unpacked(again["texts"]) == ["a", "é\n", "\ud83d"]
    kept_tables("cd" * 32, make)
    assert make.made == 2


def test_newer_code_reads_nothing_of_an_older_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_tables(DIGEST, Maker(1))
    monkeypatch.setattr(retrieval.kept, "_code_digest", lambda: "newer")
    assert kept_tables(DIGEST, Maker(5))["numbers"][0] == 5


def test_the_code_s_digest_tells_versions_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest() -> str:
        retrieval.kept._code_digest.cache_clear()
        return retrieval.kept._code_digest()

    before = digest()
    folder = tmp_path / "retrieval"
    shutil.copytree(Path(retrieval.kept.__file__).parent, folder, ignore=shutil.ignore_patterns("starter"))
    monkeypatch.setattr(retrieval.kept, "__file__", str(folder / "kept.py"))
    assert digest() == before
    for changed in ("search/purpose.py", "tables/facets.txt"):
        with (folder / changed).open("a", encoding="utf-8") as file:
            file.write("\n")
        assert digest() != before
        before = digest()
    monkeypatch.undo()
    retrieval.kept._code_digest.cache_clear()


def test_a_damaged_file_is_made_again(home: Path) -> None:
    kept_tables(DIGEST, Maker(1))
    (path,) = (home / "tables").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    make = Maker(1)
    assert kept_tables(DIGEST, make)["numbers"][0] == 1
    assert kept_tables(DIGEST, make)["numbers"][0] == 1
    assert make.made == 1


def test_where_nothing_can_be_kept_there_is_an_answer(home: Path) -> None:
    home.write_text("no folder")
    make = Maker(7)
    assert kept_tables(DIGEST, make)["numbers"][0] == kept_tables(DIGEST, make)["numbers"][0] == 7
    assert make.made == 2


def test_old_files_go(home: Path) -> None:
    for number in range(12):
        kept_tables(f"{number:032x}", Maker())
    assert len(list((home / "tables").iterdir())) == 8
    newest = Maker()
    kept_tables(f"{11:032x}", newest)
    assert newest.made == 0


def ranked(catalogue: Catalogue) -> list[tuple[int, float]]:
    ranker = Ranker(catalogue, Fusion.load(STARTER_WEIGHTS / LEXICAL_FILE))
    ranking = ranker.rank(Instruction(prompt="pixel art of a castle"), ranker.filter(), ("a robot",))
    return [(found.record.model_id, found.logit) for found in ranking.best(10)]


def test_a_ranker_over_kept_tables_answers_as_over_the_records(home: Path, tmp_path: Path) -> None:
    catalogue = small_catalogue()
    catalogue.save(tmp_path / "models.jsonl")
    expected = ranked(catalogue)
    assert not home.exists()  # a catalogue of no file is of no later use
    assert ranked(Catalogue.load(tmp_path / "models.jsonl")) == expected
    read = Catalogue.load(tmp_path / "models.jsonl")
    assert ranked(read) == expected
    assert len(list((home / "tables").iterdir())) == 1
    assert read.digest == catalogue.digest
    # only what is shown was read
    assert len(read._built) < len(read)


def test_a_changed_catalogue_is_read_anew(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "models.jsonl"
    catalogue = small_catalogue()
    catalogue.save(path)
    ranked(Catalogue.load(path))
    less = Catalogue([record for record in catalogue if record.model_id != 201])
    less.save(path)
    assert ranked(Catalogue.load(path)) == ranked(less)

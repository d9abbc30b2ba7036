"""A hash stands for one checkpoint, or for none that may be guessed."""

from dabench_world import sha256_of

from finetune.dabench.checkpoint_hashes import CheckpointHashes, KnownCheckpoint
from finetune.dabench.model_rules import Dropped


def known(number: int, name: str, sha256: str | None = None, **changes: object) -> KnownCheckpoint:
    sha = sha256 or sha256_of(name)
    fields = {
        "model_id": number,
        "version_id": number * 10,
        "model": name,
        "family": "SD 1.5",
        "architecture": "sd1",
        "hashes": (sha, sha[:10], "0000ABCD"),
        "names": (f"{name}_v1", name),
    }
    return KnownCheckpoint(**{**fields, **changes})  # type: ignore[arg-type]


TABLE = CheckpointHashes([known(1, "oil"), known(2, "ink")])


def found_by(*hashes: str, name: str | None = None, table: CheckpointHashes = TABLE) -> int | str:
    answer = table.resolve(hashes, name)
    return answer.rule if isinstance(answer, Dropped) else answer.model_id


def test_every_length_of_a_hash_finds_its_file() -> None:
    sha = sha256_of("ink")
    assert len(TABLE) == 2
    assert [found_by(sha), found_by(sha[:10]), found_by(sha[:12]), found_by(sha[:8])] == [2, 2, 2, 2]


def test_what_is_not_there_is_said() -> None:
    assert found_by() == found_by("ABC123") == "base checkpoint has no hash"
    assert found_by("F" * 10) == "base checkpoint is unknown"


def test_a_hash_of_two_files_is_decided_by_the_name_or_not_at_all() -> None:
    assert found_by("0000ABCD") == "base checkpoint is ambiguous"
    assert found_by("0000ABCD", name="Ink v1") == 2
    assert found_by("0000ABCD", name="folder\\oil_v1") == 1
    assert found_by("0000ABCD", name="another") == "base checkpoint is ambiguous"
    assert found_by(sha256_of("oil")[:10], "0000ABCD") == 1


def test_one_file_on_two_pages_is_one_file() -> None:
    sha = sha256_of("oil")
    twice = CheckpointHashes(
        [known(9, "copy", sha), known(1, "oil"), known(3, "older", sha, dropped="gone", version_id=1)]
    )
    assert found_by(sha[:10], table=twice) == 1


def test_the_id_of_a_version_stands_where_no_hash_decides() -> None:
    def by_version(*versions: int, hashes: tuple[str, ...] = ()) -> int | str:
        answer = TABLE.resolve(hashes, None, versions)
        return answer.rule if isinstance(answer, Dropped) else answer.model_id

    assert by_version(20) == by_version(999, 20) == 2
    assert by_version(20, hashes=("F" * 10,)) == by_version(20, hashes=("0000ABCD",)) == 2
    # a hash is of the file itself
    assert by_version(20, hashes=(sha256_of("oil"),)) == 1
    assert by_version(999) == "base checkpoint is unknown"
    assert by_version(999, hashes=("F" * 10,)) == "base checkpoint is unknown"

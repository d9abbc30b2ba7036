"""The store of raw scores: whole shards or none, no key twice, no other run's scores."""

from pathlib import Path

import pytest
import torch

from finetune.rewards.store import RewardStore, Row
from retrieval.errors import DataError, InvalidInput, StorageError

REWARDS = ("clip", "imagereward")


def row(prompt: str = "p0", response: int = 0, seed: int = 0, clip: float = 0.5, reward: float = -1.0) -> Row:
    return Row(prompt, response, seed, {"clip": clip, "imagereward": reward})


@pytest.fixture
def store(tmp_path: Path) -> RewardStore:
    return RewardStore.create(tmp_path / "s", REWARDS, run={"candidates": "abc"})


def test_what_is_appended_is_read(store: RewardStore) -> None:
    store.append([row(seed=1, clip=0.1), row(seed=0, clip=0.2)])
    store.append([row(response=1, seed=0, clip=0.3), row(response=1, seed=1, clip=0.4)])
    again = RewardStore.open(store.folder)
    assert again.rewards == REWARDS
    assert again.keys() == {("p0", 0, 0), ("p0", 0, 1), ("p0", 1, 0), ("p0", 1, 1)}
    found = again.scores({"p0": 2}, seeds=(0, 1))["p0"]
    assert torch.equal(found["clip"], torch.tensor([[0.2, 0.1], [0.3, 0.4]]))
    assert found["imagereward"].shape == (2, 2)
    assert torch.equal(again.columns()["clip"].sort().values, torch.tensor([0.1, 0.2, 0.3, 0.4]))


def test_an_empty_store_has_no_key(store: RewardStore) -> None:
    store.append([])
    assert store.keys() == set()
    assert not list(store.folder.glob("*.parquet"))


def test_a_key_is_never_there_twice(store: RewardStore) -> None:
    store.append([row()])
    for rows in ([row(seed=1), row(clip=0.9)], [row(seed=2), row(seed=2)]):
        with pytest.raises(InvalidInput, match="has been scored before"):
            RewardStore.open(store.folder).append(rows)
    assert RewardStore.open(store.folder).keys() == {("p0", 0, 0)}, "of a refused shard nothing is written"


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused(store: RewardStore, score: float) -> None:
    with pytest.raises(
        InvalidInput, match=r"\('p0', 0, 0\) \(prompt, response, seed\) by clip is not a finite"
    ):
        store.append([row(clip=score)])
    assert store.keys() == set()


def test_every_reward_has_a_score(store: RewardStore) -> None:
    with pytest.raises(InvalidInput, match="has scores of clip; this store keeps clip, imagereward"):
        store.append([Row("p0", 0, 0, {"clip": 0.5})])


def test_missing_images_are_counted(store: RewardStore) -> None:
    store.append([row()])
    with pytest.raises(DataError, match=r"3 images in .* have no score yet, such as \('p0', 0, 1\)"):
        store.scores({"p0": 2}, seeds=(0, 1))


def test_the_same_run_goes_on_and_another_is_refused(store: RewardStore) -> None:
    store.append([row()])
    assert RewardStore.create(store.folder, REWARDS, run={"candidates": "abc"}).keys() == {("p0", 0, 0)}
    with pytest.raises(DataError, match=r"another run \(candidates: abc there, xyz now\)"):
        RewardStore.create(store.folder, REWARDS, run={"candidates": "xyz"})
    with pytest.raises(DataError, match="rewards: "):
        RewardStore.create(store.folder, ("clip",), run={"candidates": "abc"})


def test_one_process_writes(store: RewardStore) -> None:
    with store.writing():
        other = RewardStore.open(store.folder)
        with pytest.raises(StorageError, match="another process writes into"), other.writing():
            pass
    with other.writing():
        other.append([row()])


def test_a_damaged_shard_is_named(store: RewardStore) -> None:
    store.append([row()])
    (shard,) = store.folder.glob("*.parquet")
    shard.write_bytes(shard.read_bytes()[:40])
    with pytest.raises(StorageError, match=rf"{shard.name} cannot be read .* delete it"):
        RewardStore.open(store.folder).keys()


def test_a_half_written_shard_is_not_seen(store: RewardStore) -> None:
    store.append([row()])
    # what a killed process leaves behind
    (store.folder / ".part-00-1234.parquet").write_bytes(b"PAR1")
    assert RewardStore.open(store.folder).keys() == {("p0", 0, 0)}


def test_a_folder_that_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no store of scores"):
        RewardStore.open(tmp_path)
    (tmp_path / "store.json").write_text('{"format": 9, "rewards": ["clip"], "run": {}}')
    with pytest.raises(DataError, match="format 9, needed is 1"):
        RewardStore.open(tmp_path)


def test_a_store_needs_a_reward(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="at least one reward"):
        RewardStore.create(tmp_path, (), run={})


def test_a_reward_with_a_version_in_its_name(tmp_path: Path) -> None:
    store = RewardStore.create(tmp_path, ("hps-v2.0", "hps-v2.1"), run={})
    store.append([Row("p0", 0, 0, {"hps-v2.0": 27.0, "hps-v2.1": 28.0})])
    assert store.scores({"p0": 1}, seeds=(0,))["p0"]["hps-v2.1"].tolist() == [[28.0]]
    assert store.columns()["hps-v2.0"].tolist() == [27.0]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None])
def test_a_shard_of_others_holds_finite_scores_alone(store: RewardStore, score: float | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    store.append([row()])
    foreign = {"prompt_id": ["p1"], "response": [0], "seed": [0], "clip": [0.1], "imagereward": [score]}
    shard = store.folder / "part-foreign.parquet"
    parquet.write_table(pa.table({**foreign, "imagereward": pa.array([score], pa.float32())}), shard)
    with pytest.raises(StorageError, match=r"part-foreign\.parquet .*imagereward holds a score"):
        RewardStore.open(store.folder).columns()

"""The Unified Metric, Eq. 5 and 6, on literal numbers."""

from pathlib import Path

import pytest
import torch

from finetune.rewards.store import RewardStore, Row
from finetune.rewards.unified import (
    Range,
    load_calibration,
    main,
    normalised,
    pool_ranges,
    save_calibration,
    unified,
    unified_of_images,
)
from retrieval.errors import DataError, InvalidInput

CLIP = torch.tensor([[0.5, 0.7], [0.9, 0.6]])  # two responses, k = 2
REWARD = torch.tensor([[-1.0, 0.0], [1.0, 3.0]])
HPS = torch.tensor([[26.0, 27.0], [28.0, 30.0]])
SCORES = {"clip": CLIP, "imagereward": REWARD, "hps-v2.1": HPS}


def test_pool_by_hand() -> None:
    # clip: 0, .5 | 1, .25   imagereward: 0, .25 | .5, 1   hps: 0, .25 | .5, 1
    first = [(0 + 0 + 0) / 3, (0.5 + 0.25 + 0.25) / 3]
    second = [(1 + 0.5 + 0.5) / 3, (0.25 + 1 + 1) / 3]
    assert torch.allclose(
        unified_of_images(SCORES), torch.tensor([first, second], dtype=torch.float64), atol=1e-6
    )
    expected = torch.tensor([sum(first) / 2, sum(second) / 2], dtype=torch.float64)
    assert torch.allclose(unified(SCORES), expected, atol=1e-6)


def test_the_pool_is_everything_that_is_compared() -> None:
    alone = unified({"clip": CLIP[:1]})
    among = unified({"clip": CLIP})[:1]
    assert alone.item() == pytest.approx(0.5)
    assert among.item() == pytest.approx(0.25)


def test_reference_ranges_do_not_move() -> None:
    ranges = {"clip": Range(0.0, 1.0), "imagereward": Range(-2.0, 2.0), "hps-v2.1": Range(20.0, 30.0)}
    whole = unified(SCORES, normalise=ranges)
    part = unified({name: values[:1] for name, values in SCORES.items()}, normalise=ranges)
    assert torch.equal(whole[:1], part)
    # 3.0 lies above the range and counts as 1
    assert unified_of_images(SCORES, normalise=ranges)[1, 1].item() == pytest.approx((0.6 + 1 + 1) / 3)


def test_reference_taken_from_the_pool_is_the_pool(tmp_path: Path) -> None:
    save_calibration(tmp_path / "c.json", pool_ranges(SCORES), images=4)
    assert torch.equal(unified(SCORES, normalise=load_calibration(tmp_path / "c.json")), unified(SCORES))


def test_a_score_that_never_changes_tells_nothing_apart() -> None:
    same = torch.full((2, 2), 0.3)
    assert torch.equal(unified({"clip": same}), torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert normalised(torch.tensor([0.1, 0.2, 0.3]), Range(0.2, 0.2)).tolist() == [0.0, 0.5, 1.0]


def test_higher_scores_of_a_response_never_lower_its_metric() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        scores = {name: torch.randn(4, 3, generator=generator) for name in SCORES}
        better = {name: values.clone() for name, values in scores.items()}
        for values in better.values():
            values[2] += 0.5
        ranges = pool_ranges(scores)
        assert unified(better, normalise=ranges)[2] >= unified(scores, normalise=ranges)[2]
        assert ((unified(scores) >= 0) & (unified(scores) <= 1)).all()


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, "no score to make a metric of"),
        ({"clip": torch.zeros(0, 3)}, "no score to make a metric of"),
        ({"clip": torch.tensor([0.1, float("nan")])}, "1 of 2 scores of clip are not finite"),
        ({"clip": torch.zeros(2, 3), "hps-v2.0": torch.zeros(2, 2)}, "needed is one score an image each"),
    ],
)
def test_scores_that_cannot_be_used(scores: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        unified(scores)


def test_a_reward_without_a_range() -> None:
    with pytest.raises(InvalidInput, match=r"no range of hps-v2.1, imagereward; it has clip"):
        unified(SCORES, normalise={"clip": Range(0, 1)})


def test_a_range_the_wrong_way_round() -> None:
    with pytest.raises(InvalidInput, match="a range from 2 to 1"):
        Range(2, 1)


def test_a_calibration_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the calibration .*gone\.json"):
        load_calibration(tmp_path / "gone.json")
    (tmp_path / "c.json").write_text('{"ranges": {"clip": [0, 1]}}')
    with pytest.raises(DataError, match="cannot read the calibration"):
        load_calibration(tmp_path / "c.json")


def test_the_command_calibrates_on_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RewardStore.create(tmp_path / "s", ("clip",), run={})
    store.append([Row("p", 0, 0, {"clip": 0.25}), Row("p", 0, 1, {"clip": 0.75})])
    main(["--store", str(tmp_path / "s"), "--output", str(tmp_path / "c.json")])
    assert load_calibration(tmp_path / "c.json") == {"clip": Range(0.25, 0.75)}
    assert "2 images" in capsys.readouterr().out

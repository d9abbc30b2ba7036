"""Measures on literals that can be checked in one's head."""

import math

import numpy as np
import pytest
from calls import checkpoint

from finetune.evaluate import metrics
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord, VersionRecord

CATALOGUE = Catalogue(
    [
        ModelRecord(
            model_id=1,
            model="Pixel Art",
            type="LORA",
            base_model="SD 1.5",
            versions=(VersionRecord(version_id=10, version="v1", base_model="SD 1.5"),),
        ),
        ModelRecord(model_id=2, model="Dream Mix", type="Checkpoint", base_model="SD 1.5"),
        ModelRecord(
            model_id=3,
            model="Gone Style",
            type="LORA",
            base_model="SD 1.5",
            available=False,
            status="deleted",
        ),
    ]
)


def test_ties_stand_against_us() -> None:
    scores = [[0.9, 0.1, 0.5], [0.5, 0.5, 0.1], [0.0, 0.0, 0.0], [0.3, 0.2, 0.1]]
    assert metrics.worst_ranks(scores, [2, 0, 1, -1]).tolist() == [2, 2, 3, 0]


def test_hits_and_reciprocal_ranks() -> None:
    ranks = [1, 2, 0, 11]
    assert metrics.hits(ranks, 1).tolist() == [1, 0, 0, 0]
    assert metrics.hits(ranks, 10).tolist() == [1, 1, 0, 0]
    assert metrics.reciprocal_ranks(ranks).tolist() == [1, 0.5, 0, 1 / 11]
    assert metrics.reciprocal_ranks(ranks, 10).tolist() == [1, 0.5, 0, 0]
    assert metrics.rank_in_list(7, [5, 7, 7]) == 2
    assert metrics.rank_in_list(8, [5, 7]) == 0


def test_the_interval_is_seeded_holds_the_mean_and_narrows() -> None:
    few, many = [0.0, 1.0] * 10, [0.0, 1.0] * 500
    interval = metrics.bootstrap(few)
    assert interval == metrics.bootstrap(few)
    assert interval.mean == 0.5
    assert interval.count == 20
    assert interval.low < 0.5 < interval.high
    narrow = metrics.bootstrap(many)
    # the normal approximation: 1.96 * sqrt(0.25 / 1000) = 0.031
    assert narrow.high - 0.5 == pytest.approx(0.031, abs=0.004)
    assert 0.5 - narrow.low == pytest.approx(0.031, abs=0.004)
    assert metrics.bootstrap([1.0, 1.0]).low == 1.0


def test_no_prompts_give_nan() -> None:
    assert math.isnan(metrics.bootstrap([]).mean)
    assert metrics.bootstrap([]).count == 0


def test_a_paired_difference_sees_what_two_intervals_hide() -> None:
    theirs = [0.0, 1.0] * 50
    ours = [1.0] * 10 + theirs[10:]
    difference = metrics.paired_difference(ours, theirs)
    assert difference.mean == pytest.approx(0.05)
    assert difference.low > 0
    assert metrics.bootstrap(ours).low < metrics.bootstrap(theirs).high
    with pytest.raises(ValueError, match="3 values against 2"):
        metrics.paired_difference([1, 0, 1], [1, 0])


def test_calibration_of_equal_mass_and_equal_width() -> None:
    # width: [0, .5) holds .1 .2 .3 (mean .2, right 1/3), [.5, 1] holds 1.0 (right)
    # mass: .1 .2 (mean .15, right 0), .3 1.0 (mean .65, right 1)
    found = metrics.calibration([0.1, 0.2, 0.3, 1.0], [0, 0, 1, 1], bins=2)
    assert found.ece_width == pytest.approx(0.75 * (1 / 3 - 0.2))
    assert found.ece_mass == pytest.approx(0.5 * 0.15 + 0.5 * 0.35)
    assert found.brier == pytest.approx((0.01 + 0.04 + 0.49) / 4)
    assert [size for _, _, size in found.bins] == [2, 2]
    assert math.isnan(metrics.calibration([], []).ece_mass)


def test_perfect_calibration_is_zero() -> None:
    assert metrics.calibration([0.5] * 4, [1, 0, 1, 0], bins=1).ece_mass == 0


def test_risk_falls_with_coverage_where_confidence_is_informative() -> None:
    curve = metrics.risk_coverage([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0])
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3, 0.5])
    assert curve.aurc == pytest.approx((1 / 3 + 0.5) / 4)


def test_equal_confidences_are_averaged() -> None:
    one, other = (
        metrics.risk_coverage([0.5, 0.5, 0.1], [1, 0, 0]),
        metrics.risk_coverage([0.5, 0.5, 0.1], [0, 1, 0]),
    )
    assert one.risk.tolist() == other.risk.tolist() == pytest.approx([0.5, 0.5, 2 / 3])


@pytest.mark.parametrize(
    ("said", "outcome", "name"),
    [
        ('{"model": "Pixel Art", "type": "LORA", "base model": "SD 1.5"}', "correct", "Pixel Art"),
        ('{"model": "pixel-art", "type": "LORA", "base model": "SD 1.5"}', "correct", "pixel-art"),
        ('{"model": "Dream Mix", "type": "Checkpoint"}', "wrong but real", "Dream Mix"),
        ('{"model": "Gone Style", "type": "LORA"}', "unavailable", "Gone Style"),
        ('{"model": "Quantum Unicorn XXL", "type": "LORA"}', "invented", "Quantum Unicorn XXL"),
        ("I would use a nice pixel model.", "unparsable", None),
        ("", "unparsable", None),
    ],
)
def test_what_a_model_said_is_sorted_into_five_kinds(said: str, outcome: str, name: str | None) -> None:
    assert metrics.outcome_of(said, 1, CATALOGUE) == (outcome, name)


def test_a_real_name_with_wrong_parameters_is_no_hallucination() -> None:
    said = '{"model": "Pixel Art", "type": "Checkpoint", "base model": "SDXL 1.0", "width": 513}'
    assert metrics.outcome_of(said, 1, CATALOGUE)[0] == "correct"


def test_without_a_gold_model_nothing_is_correct() -> None:
    assert (
        metrics.outcome_of('{"model": "Pixel Art", "type": "LORA"}', None, CATALOGUE)[0] == "wrong but real"
    )


def test_rates_of_outcomes() -> None:
    kinds = ["correct", "correct", "invented", "unparsable"]
    assert metrics.outcome_rates(kinds) == {  # type: ignore[arg-type]
        "correct": 0.5,
        "wrong but real": 0,
        "invented": 0.25,
        "unavailable": 0,
        "unparsable": 0.25,
    }
    assert metrics.hallucination(kinds).mean() == 0.5  # type: ignore[arg-type]
    assert metrics.outcome_rates([])["correct"] == 0
    assert metrics.distinct(["a", "b", None, "a"]) == 2


def test_percentiles_of_durations() -> None:
    assert metrics.percentiles(np.arange(101) / 100) == {
        "p50": pytest.approx(0.5),
        "p95": pytest.approx(0.95),
    }
    assert metrics.percentiles([]) == {}


def test_parameters_agree_within_a_fifth_and_samplers_by_any_spelling() -> None:
    pair = {
        "sampling_method": "DPM++ 2M Karras",
        "sampling_steps": 20,
        "cfg_scale": 7.0,
        "width": 512,
        "height": 768,
    }
    near = checkpoint(
        sampling_method="k_dpmpp_2m_ka", sampling_steps=24, cfg_scale=8.0, width=600, height=704
    )
    assert metrics.agreement(near, pair) == {"sampler": 1, "size": 1, "steps": 1, "cfg": 1}
    far = checkpoint(sampling_method="Euler a", sampling_steps=25, cfg_scale=5.5, width=512, height=512)
    assert metrics.agreement(far, pair) == {"sampler": 0, "size": 0, "steps": 0, "cfg": 0}
    assert metrics.agreement(near, {"sampling_steps": 20, "clip_skip": None}) == {"steps": 1}

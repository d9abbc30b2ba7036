"""How the chances of a prompt, of a sentence and of popular models are put together."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import AdapterError
from retrieval.records.api import Instruction
from retrieval.search.mixture import (
    CONFIDENCE_FILE,
    FILE,
    SIGNS,
    WORDING,
    Calibration,
    Mixture,
    entropy,
    without,
    wording,
)
from retrieval.search.ranker import STARTER_WEIGHTS

PLAIN = Mixture(
    gate=dict.fromkeys(WORDING, 0.0) | {"function words": 4.0, "constant": -2.0},
    everyday={"facets.fit": 1.0, "retriever.facts": 2.0},
    temperature=0.1,
    popular=0.4,
    downloads=0.75,
    checkpoint=1.5,
)
SURE = np.asarray([0.98, 0.01, 0.01], np.float32)
SCORES = {
    "everyday": np.asarray([0.0, 0.0, 1.0], np.float32),
    "downloads": np.asarray([2.0, 12.0, 2.0], np.float32),
    "checkpoint": np.asarray([0.0, 1.0, 0.0], np.float32),
}


def test_a_sentence_is_told_by_its_words() -> None:
    asked = PLAIN.sentence(Instruction(prompt="a fox in the snow with a hat on"), SURE)
    tags = PLAIN.sentence(Instruction(prompt="fox, snow, hat"), SURE)
    assert tags < 0.5 < asked
    refusing = Instruction(prompt="a fox in the snow with a hat on", negative_prompt="blurry")
    assert PLAIN.sentence(refusing, SURE) < asked, "who gives a negative prompt knows how prompts are written"


def test_the_packaged_gate_knows_both_kinds() -> None:
    mixture = Mixture.load(STARTER_WEIGHTS)
    assert mixture is not None
    flat = np.full(968, 1 / 968, np.float32)
    peaked = np.zeros(968, np.float32)
    peaked[0] = 1.0
    asked = Instruction(prompt="can you draw a red fox in the snow for my daughter, watercolor")
    prompt = Instruction(
        prompt="masterpiece, best quality, (1girl:1.2), solo, silver hair, <lora:x:0.8>",
        negative_prompt="bad",
    )
    assert mixture.sentence(asked, flat) > 0.9
    assert mixture.sentence(prompt, peaked) < 0.1


def test_a_sentence_follows_what_models_are_made_for_and_a_prompt_the_fusion() -> None:
    assert int(np.argmax(PLAIN.chances(SURE, SCORES, 1.0))) == 2
    assert int(np.argmax(PLAIN.chances(SURE, SCORES, 0.0))) == 0
    for sentence in (0.0, 0.3, 1.0):
        assert PLAIN.chances(SURE, SCORES, sentence).sum() == pytest.approx(1)


def test_popular_models_count_where_the_fusion_is_undecided() -> None:
    flat = np.full(500, 1 / 500, np.float32)
    downloads = np.zeros(500, np.float32)
    downloads[7] = 12.0
    scores = {"everyday": np.zeros(500, np.float32), "downloads": downloads, "checkpoint": downloads > 0}
    found = PLAIN.chances(flat, scores, 0.0)
    assert int(np.argmax(found)) == 7
    assert found[7] < PLAIN.popular + 0.01
    decided = PLAIN.chances(SURE, SCORES, 0.0)
    assert decided[0] == pytest.approx(0.98, abs=0.01)


def test_scores_that_are_not_there_count_nothing() -> None:
    fit = np.asarray([0.2, 0.4], np.float32)
    assert PLAIN.everyday_logits({"facets.fit": fit}).tolist() == pytest.approx(fit.tolist())
    both = {"facets.fit": fit, "retriever.facts": np.asarray([1.0, 0.5], np.float32), "other": fit}
    assert PLAIN.everyday_logits(both).tolist() == pytest.approx([2.2, 1.4])
    unasked = replace(PLAIN, everyday={"retriever.facts": 2.0})
    assert unasked.everyday_logits({"facets.fit": fit}).tolist() == [0.0, 0.0]


def test_refusals_take_chance_away() -> None:
    chances = np.asarray([0.6, 0.3, 0.1], np.float32)
    made = np.asarray([[0.9, 0.0, 0.5]], np.float32)
    found = without(chances, made)
    assert found.sum() == pytest.approx(1)
    assert found[1] > 0.98
    assert found[0] < found[1] / 1000
    assert found.dtype == np.float32
    # half made for it leaves a hundredth, and what nobody is made for changes nothing
    half = without(chances, np.asarray([[0.5, 0.0, 0.0]], np.float32))
    assert half[0] / half[1] == pytest.approx(2 / 64)
    assert without(chances, np.zeros((1, 3), np.float32)) == pytest.approx(chances)
    # all alike refused: nobody's chance is below nought, and who had a chance keeps the greater one
    assert (without(chances, np.ones((1, 3), np.float32)) > 0).all()
    everything = without(chances, np.ones((1, 3), np.float32))
    assert np.isfinite(everything).all()
    assert everything.sum() == pytest.approx(1)


def test_entropy_and_wording() -> None:
    assert entropy(np.asarray([1.0, 0.0], np.float32)) == pytest.approx(0, abs=1e-6)
    assert entropy(np.asarray([0.5, 0.5], np.float32)) == pytest.approx(np.log(2), abs=1e-6)
    assert len(wording(Instruction(prompt="?!"), 0.0)) == len(WORDING)


def test_each_feature_of_the_wording() -> None:
    def of(prompt: str, undecided: float = 0.0, negative: str = "") -> dict[str, float]:
        asked = Instruction(prompt=prompt, negative_prompt=negative)
        return dict(zip(WORDING, wording(asked, undecided), strict=True))

    words = of("a fox in the snow, masterpiece", 6.0, "blurry")
    assert words == pytest.approx(
        {
            "constant": 1.0,
            "commas": 1 / 6,
            "function words": 3 / 6,
            "quality words": 1 / 6,
            "weights": 0.0,
            "length": math.log(6) / 3,
            "words a clause": 3 / 5,
            "negative prompt": 1.0,
            "undecided": 1.0,
            "very undecided": 1.5,
            "reads as prompt": 0.0,
        }
    )
    signs = of("(fox:1.2)")
    assert signs["weights"] == 1.0
    assert signs["reads as prompt"] == 1.0
    assert of("fox [hat")["weights"] == pytest.approx(1 / 3)
    assert of("fox ((hat)) {red}")["weights"] == 1.0, "three signs say as much as more"
    one = of("fox", 4.0)
    assert (one["length"], one["words a clause"], one["very undecided"]) == (0.0, 1 / 5, 0.0)
    assert (one["negative prompt"], one["commas"]) == (0.0, 0.0)
    assert of("fox " * 40)["words a clause"] == 2.0
    assert of("fox, , hat")["words a clause"] == 1 / 5, "nothing between two commas is no clause"
    assert of("?!")["words a clause"] == 0.2


def test_a_plain_wish_counts_for_a_sentence() -> None:
    even = replace(PLAIN, gate=dict.fromkeys(WORDING, 0.0))

    def sure(prompt: str, negative: str = "") -> float:
        return even.sentence(Instruction(prompt=prompt, negative_prompt=negative), SURE)

    plain = 1 / (1 + math.exp(-2.0))
    for prompt in ("a fox", " a fox in the snow", "a fox, a hat, a tree"):
        assert sure(prompt) == pytest.approx(plain)
    for prompt in ("a fox, a hat, a tree, snow", "(a fox", "<a fox", "masterpiece, best quality"):
        assert sure(prompt) == pytest.approx(0.5)
    assert sure("a fox", "blurry") == pytest.approx(0.5)
    assert sure("a fox", "  ") == pytest.approx(plain)
    weighed = replace(even, gate=even.gate | {"constant": -1.0})
    assert weighed.sentence(Instruction(prompt="(a fox"), SURE) == pytest.approx(1 / (1 + math.exp(2.0)))


def test_the_chances_follow_the_formula() -> None:
    chances = np.full(150, 1 / 150, np.float32)
    scores = {
        "everyday": np.linspace(0, 1, 150, dtype=np.float32),
        "downloads": np.linspace(2, 0, 150, dtype=np.float32),
        "checkpoint": np.arange(150).astype(np.float32) % 2,
    }
    wish = np.exp(scores["everyday"] / 0.1)
    use = np.exp(0.75 * scores["downloads"] + 1.5 * scores["checkpoint"])
    share = 0.4 / (1 + math.exp(-3 * (math.log(150) - 4.5)))
    mixed = 0.3 * wish / wish.sum() + 0.7 * ((1 - share) * chances + share * use / use.sum())
    found = PLAIN.chances(chances, scores, 0.3)
    assert found == pytest.approx(mixed, rel=1e-4)
    assert found.dtype == np.float32
    # somewhere undecided enough for half of the share: e^4.5 is about 90 models alike
    assert 0.2 < share < 0.4


def test_models_that_are_equal_have_equal_chances_and_keep_their_order() -> None:
    flat = np.full(4, 0.25, np.float32)
    scores = {name: np.ones(4, np.float32) for name in ("everyday", "downloads", "checkpoint")}
    for sentence in (0.0, 0.5, 1.0):
        found = PLAIN.chances(flat, scores, sentence)
        assert len(set(found.tolist())) == 1
        assert int(np.argmax(found)) == 0


def test_weights_are_kept_and_damage_is_said(tmp_path: Path) -> None:
    assert Mixture.load(tmp_path) is None
    PLAIN.save(tmp_path)
    assert Mixture.load(tmp_path) == PLAIN
    replace(PLAIN, gate={"constant": 1.0}).save(tmp_path)
    with pytest.raises(AdapterError, match="the gate weighs"):
        Mixture.load(tmp_path)
    (tmp_path / FILE).write_text(json.dumps({"gate": {}}))
    with pytest.raises(AdapterError, match=r"cannot read .*mixture\.json"):
        Mixture.load(tmp_path)


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), pytest.param(10**400, id="400 digits"), "1", True]
)
@pytest.mark.parametrize(
    "path", ["gate.commas", "everyday.facets.fit", "temperature", "popular", "downloads"]
)
def test_a_weight_of_no_use_is_named(path: str, number: object, tmp_path: Path) -> None:
    PLAIN.save(tmp_path)
    group, _, name = path.partition(".")
    wire = json.loads((tmp_path / FILE).read_text())
    if name:
        wire[group][name] = number
    else:
        wire[group] = number
    (tmp_path / FILE).write_text(json.dumps(wire))
    with pytest.raises(AdapterError, match=rf"cannot read .*mixture\.json .*{name or group} is"):
        Mixture.load(tmp_path)


def test_a_share_above_one_and_a_temperature_of_nought_are_named(tmp_path: Path) -> None:
    for change, said in (({"popular": 1.5}, "popular is 1.5"), ({"temperature": 0}, "temperature is 0")):
        replace(PLAIN, **change).save(tmp_path)
        with pytest.raises(AdapterError, match=said):
            Mixture.load(tmp_path)


def _scores(fit: float, **more: float) -> dict[str, np.ndarray]:
    known = {"facets.fit": fit, "facets.general": 0.0, "special": 0.0, "retriever.facts": 0.3, **more}
    return {name: np.asarray([value], np.float32) for name, value in known.items()}


def test_a_sentence_is_answered_rightly_by_what_fits_and_a_prompt_by_who_is_likely() -> None:
    calibration = Calibration.load(STARTER_WEIGHTS)
    assert calibration is not None

    def right(chance: float, fit: float, sentence: float, unmet: bool = False) -> float:
        found = calibration.right(
            np.asarray([chance], np.float32), _scores(fit), sentence, style=True, unmet=unmet
        )
        assert found.shape == (1,)
        return float(found[0])

    # one of many equals is as right as an only one
    assert right(0.05, 0.9, 1.0) == pytest.approx(right(0.9, 0.9, 1.0))
    assert right(0.05, 0.9, 1.0) > right(0.05, 0.1, 1.0) > right(0.05, 0.1, 1.0, unmet=True)
    assert right(0.9, 0.1, 0.0) > 0.8 > 0.2 > right(0.05, 0.9, 0.0)


@pytest.mark.parametrize("damage", ["{", "[]", '{"weights": {"fit": 1}}', '{"weights": null}'])
def test_a_damaged_calibration_is_named(damage: str, tmp_path: Path) -> None:
    assert Calibration.load(tmp_path) is None
    (tmp_path / CONFIDENCE_FILE).write_text(damage, encoding="utf-8")
    with pytest.raises(AdapterError, match=r"confidence\.json"):
        Calibration.load(tmp_path)


def test_a_calibration_is_kept_as_it_is_written(tmp_path: Path) -> None:
    made = Calibration(dict.fromkeys(SIGNS, 0.5))
    made.save(tmp_path)
    assert Calibration.load(tmp_path) == made
    (tmp_path / CONFIDENCE_FILE).write_text(json.dumps({"weights": dict.fromkeys(SIGNS, math.inf)}))
    with pytest.raises(AdapterError):
        Calibration.load(tmp_path)

"""How the chances of a prompt, of a sentence and of popular models are put together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import AdapterError
from retrieval.records.api import Instruction
from retrieval.search.mixture import FILE, WORDING, Mixture, entropy, without, wording
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

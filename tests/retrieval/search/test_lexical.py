"""Scores by words: each field's measures by hand, and what the hybrid adds and weighs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_world import catalogue, records

from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.hybrid import BM25, DENSE, HybridScorer, packaged_weights
from retrieval.search.lexical import LexicalScorer, matched_triggers


def model(number: int, name: str = "m", **fields: object) -> ModelRecord:
    return ModelRecord(model_id=number, model=name, type="LORA", base_model="SD 1.5", **fields)  # type: ignore[arg-type]


def features(records: list[ModelRecord], prompt: str, negative: str = "") -> dict[str, list[float]]:
    found = LexicalScorer(records).features(Instruction(prompt=prompt, negative_prompt=negative))
    return {name: score.tolist() for name, score in found.items()}


def test_cosine_likelihood_and_coverage_by_hand() -> None:
    two = [model(1, terms={"cat": 1.0, "red": 1.0}), model(2, terms={"dog": 0.5, "red": 0.5})]
    found = features(two, "cat, blue")
    rare = math.log1p((2 - 1 + 0.5) / 1.5)  # in one of two models
    common = math.log1p((2 - 2 + 0.5) / 2.5)  # in both
    assert found["terms.cosine"] == pytest.approx([rare / math.hypot(rare, common), 0.0], abs=1e-6)
    background = 1.5 / (1.5 + 2.0 + 1.0)  # cat, red and dog with half a count each more
    # "blue" is in no model, but counts in the mean over the request's two terms
    assert found["terms.likelihood"] == pytest.approx([math.log1p(0.5 / background) / 2, 0.0], abs=1e-6)


def test_coverage_is_the_share_of_the_models_own_words() -> None:
    two = [model(1, "Neon City"), model(2, "Neon")]
    found = features(two, "a neon street")
    assert found["name.coverage"][1] == pytest.approx(1)
    assert 0 < found["name.coverage"][0] < 1


def test_names_and_triggers_are_found_inside_other_words() -> None:
    three = [
        model(1, "ReV_Animated v1.2", trigger_words=("revstyle", "other")),
        model(2, "Style LoRA"),
        model(3, "Cat"),
    ]
    found = features(three, "rev animated cat, lora style, RevStyle2")
    assert found["name.said"] == [1, 0, 0]  # words that every name has, and short names, say nothing
    assert found["trigger.said"] == [0.5, 0, 0]


def test_without_a_negative_prompt_its_scores_are_zero() -> None:
    one = [model(1, negative_terms={"blurry": 1.0})]
    assert features(one, "a cat")["negative.cosine"] == [0]
    assert features(one, "a cat", "blurry, lowres")["negative.cosine"] == pytest.approx([1])


def test_samples_and_unseen() -> None:
    found = features([model(1, terms={"cat": 1.0}, samples=3), model(2)], "cat")
    assert found["samples"] == pytest.approx([math.log(4), 0])
    assert found["unseen"] == [0, 1]


def test_matched_triggers_keep_their_spelling() -> None:
    record = model(1, trigger_words=("Pixel-Art", "16bit", "..."))
    assert matched_triggers(record, "pixel art of a cat") == ("Pixel-Art",)


def test_rarity_falls_with_the_number_of_holders() -> None:
    scorer = LexicalScorer([model(1, terms={"cat": 1.0, "red": 1.0}), model(2, terms={"red": 1.0})])
    assert scorer.rarity("cat") > scorer.rarity("red") > scorer.rarity("nowhere") == 0


def test_bm25_by_hand() -> None:
    two = [model(1, "cat"), model(2, "dog")]
    scorer = HybridScorer(two, {})
    found = scorer.features(Instruction(prompt="cat, bird"))[BM25]
    # Lucene: idf ln(1 + (N - n + .5) / (n + .5)), k1 1.5, b .75; the name is repeated three times
    expected = math.log1p(1.5 / 1.5) * 3 / (3 + 1.5) / 2
    assert found.tolist() == pytest.approx([expected, 0], abs=1e-6)


def test_the_share_of_the_best_is_one_for_the_best() -> None:
    two = [model(1, terms={"cat": 1.0, "red": 1.0}), model(2, terms={"cat": 0.5, "dog": 1.0}), model(3)]
    found = HybridScorer(two, {}).features(Instruction(prompt="a red cat"))
    cosine, share = found["terms.cosine"], found["terms.cosine/best"]
    assert share.tolist() == pytest.approx([1, cosine[1] / cosine[0], 0])
    assert not {"samples/best", "unseen/best", "name.said/best"} & set(found)
    assert HybridScorer(two, {}).features(Instruction(prompt="tower"))["terms.cosine/best"].tolist() == [
        0,
        0,
        0,
    ]


def test_bm25_counts_every_field() -> None:
    scorer = HybridScorer(records(), {})
    for prompt, number in (
        ("grand", 3),  # name
        ("wtrclr", 2),  # trigger word
        ("cyberpunk", 7),  # tag
        ("sprites", 1),  # description
        ("水墨", 6),  # sample prompts
    ):
        found = scorer.features(Instruction(prompt=prompt))[BM25]
        assert records()[int(found.argmax())].model_id == number
        assert (found > 0).sum() == 1


def test_the_sum_is_weighed_by_the_kind_of_request() -> None:
    weights = {
        "prompt": {"name.said": 2.0, DENSE: 3.0},
        "prompt and negative prompt": {"name.said": 0.5, "negative.cosine": 1.0, DENSE: 4.0},
    }
    scorer = HybridScorer(records(), weights)
    plain, both = (
        Instruction(prompt="pixel helper"),
        Instruction(prompt="pixel helper", negative_prompt="photo"),
    )
    assert scorer.lexical(plain).tolist() == [2, 0, 0, 0, 0, 0, 0, 0]
    assert scorer.lexical(both).tolist() == [1.5, 0, 0, 0, 0, 0, 0, 0]
    assert (scorer.dense_weight(plain), scorer.dense_weight(both)) == (3, 4)


def test_the_packaged_weights_are_of_features_and_none_is_negative() -> None:
    known = {*HybridScorer(records(), {}).features(Instruction(prompt="x")), DENSE}
    assert set(packaged_weights()) == {"prompt", "prompt and negative prompt"}
    for weights in packaged_weights().values():
        assert set(weights) <= known
        assert min(weights.values()) >= 0
        assert weights[DENSE] > 0


def test_what_matched_is_said_once() -> None:
    scorer = HybridScorer(records(), {})
    found = scorer.matched(records()[0], Instruction(prompt="pixel art, small sprite of a corgi in a game"))
    assert found[0] == "pixel art"
    assert set(found[1:]) == {"small sprite", "corgi", "game"}


@given(st.text(max_size=120), st.text(max_size=60))
def test_any_request_has_finite_scores(prompt: str, negative: str) -> None:
    scorer = _EIGHT
    request = Instruction(prompt=f"x {prompt}", negative_prompt=negative)
    for name, score in scorer.features(request).items():
        assert score.shape == (8,), name
        assert score.dtype == np.float32, name
        assert np.isfinite(score).all(), name
    for record in records():
        assert len(scorer.matched(record, request)) <= 8


_EIGHT = HybridScorer(catalogue())

"""Scores by words: each field's measures by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_world import catalogue

from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
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


@given(st.text(max_size=120), st.text(max_size=60))
def test_any_request_has_finite_scores(prompt: str, negative: str) -> None:
    scorer = _EIGHT
    request = Instruction(prompt=f"x {prompt}", negative_prompt=negative)
    for name, score in scorer.features(request).items():
        assert score.shape == (8,), name
        assert score.dtype == np.float32, name
        assert np.isfinite(score).all(), name


_EIGHT = LexicalScorer(catalogue())


@given(
    names=st.lists(st.text("abc", min_size=1, max_size=12), min_size=1, max_size=6),
    triggers=st.lists(st.lists(st.text("abc", min_size=1, max_size=7), max_size=4), min_size=6, max_size=6),
    prompt=st.text("abc", min_size=1, max_size=40),
)
def test_what_is_said_is_found_wherever_it_stands(
    names: list[str], triggers: list[list[str]], prompt: str
) -> None:
    records = [
        model(place + 1, name, trigger_words=tuple(triggers[place])) for place, name in enumerate(names)
    ]
    found = features(records, prompt)
    long = [[word for word in record.trigger_words if len(word) >= 4] for record in records]
    assert found["name.said"] == [len(name) >= 4 and name in prompt for name in names]
    expected = [sum(word in prompt for word in each) / max(len(each), 1) for each in long]
    assert found["trigger.said"] == pytest.approx(expected)

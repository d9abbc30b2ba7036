"""The fusion: its inputs, its formula, its file, and that fitting one finds what decides."""

import numpy as np
import pytest
from process_numbers import numbers_stay

from finetune.ranker.evidence import Example
from finetune.ranker.fusion import accuracy, fit, fit_weights, with_temperature
from retrieval.errors import AdapterError, DataError
from retrieval.search.fusion import Fusion, design, softmax


def small(temperature: float = 1.0) -> Fusion:
    return Fusion(
        names=("a", "samples"),
        mean=np.array([0.5, 0.0, 1.0], np.float32),
        scale=np.array([0.5, 1.0, 2.0], np.float32),
        linear=np.array([1.0, 0.0, 0.5], np.float32),
        hidden=np.array([[0.0], [1.0], [0.0]], np.float32),
        bias=np.array([0.5], np.float32),
        out=np.array([2.0], np.float32),
        temperature=temperature,
        card={"pairs": 3},
    )


SCORES = {"a": np.array([1.0, 0.5], np.float32), "samples": np.array([3.0, 1.0], np.float32)}


def test_design_gives_each_score_and_its_distance_from_the_best_but_no_distance_for_static_ones() -> None:
    assert design(SCORES, ("a", "samples")).tolist() == [[1.0, 0.0, 3.0], [0.5, -0.5, 1.0]]


def test_logits_follow_the_formula() -> None:
    first = 1.0 + 0.5 * 1.0 + 2.0 * np.tanh(0.5)
    second = 0.0 + 0.0 + 2.0 * np.tanh(-0.5 + 0.5)
    assert small().logits(SCORES) == pytest.approx([first, second], abs=1e-6)


def test_a_missing_score_is_an_error_not_a_zero() -> None:
    with pytest.raises(KeyError, match="samples"):
        small().logits({"a": SCORES["a"]})


def test_softmax_sums_to_one_and_a_higher_temperature_is_less_sure() -> None:
    logits = np.array([2.0, 0.0, -1.0], np.float32)
    assert softmax(logits).sum() == pytest.approx(1.0)
    assert softmax(logits, 2.0)[0] < softmax(logits)[0]
    assert softmax(np.zeros(0, np.float32)).size == 0


def test_a_saved_fusion_comes_back_as_it_was(tmp_path) -> None:
    small(1.7).save(tmp_path / "f.safetensors")
    back = Fusion.load(tmp_path / "f.safetensors")
    assert back.names == ("a", "samples")
    assert back.temperature == 1.7
    assert back.card == {"pairs": 3}
    assert back.logits(SCORES).tolist() == small().logits(SCORES).tolist()


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all"])
def test_a_missing_or_broken_file_is_an_adapter_error(tmp_path, content) -> None:
    path = tmp_path / "f.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AdapterError, match=r"f\.safetensors"):
        Fusion.load(path)


def examples(count: int, seed: int) -> list[Example]:
    """The right one of five has the highest second input; the first input is noise."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        inputs = random.normal(size=(5, 2)).astype(np.float32)
        made.append(Example(inputs, int(inputs[:, 1].argmax()), "raw", 0))
    return made


def test_fitting_finds_the_evidence_that_decides() -> None:
    with numbers_stay():
        fitted = fit(examples(400, 1), ("noise", "truth"), hidden=4, epochs=40, learning_rate=0.02)
    fresh = examples(200, 2)
    assert accuracy(fitted, fresh) > 0.9


def test_fitting_twice_gives_the_same_weights() -> None:
    once, again = (fit(examples(50, 1), ("a", "b"), hidden=3, epochs=3) for _ in range(2))
    assert once.linear.tolist() == again.linear.tolist()
    assert once.out.tolist() == again.out.tolist()


def test_the_temperature_makes_a_boastful_fusion_modest() -> None:
    fitted = fit(examples(400, 1), ("a", "b"), hidden=4, epochs=40, learning_rate=0.02)
    random = np.random.default_rng(3)
    wrong = [Example(e.inputs, int(random.integers(5)), "raw", 0) for e in examples(200, 4)]
    assert with_temperature(fitted, wrong).temperature > fitted.temperature


def test_nothing_to_fit_on_is_an_error() -> None:
    with pytest.raises(DataError, match="no examples"):
        fit([], ("a",))


def shortlists(count: int, seed: int, *, second: float) -> list[Example]:
    """The first score decides; the second agrees as much as `second` says, down to speaking against it."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        truth = random.normal(size=4)
        first = truth + random.normal(size=4)
        other = second * truth + random.normal(size=4)
        inputs = np.stack([first, first - first.max(), other, other - other.max()], 1).astype(np.float32)
        made.append(Example(inputs, int(truth.argmax()), "raw", 0))
    return made


def test_a_second_score_that_knows_more_is_weighed_and_lifts_accuracy() -> None:
    both = fit_weights(shortlists(400, 1, second=2.0), ("first", "second"))
    alone = fit_weights(shortlists(400, 1, second=0.0), ("first", "second"))
    fresh = shortlists(400, 2, second=2.0)
    assert both.card["weights"]["second"] > 0.3
    assert accuracy(both, fresh) > accuracy(alone, fresh) + 0.1


def test_a_score_that_speaks_against_the_truth_gets_no_weight() -> None:
    fitted = fit_weights(shortlists(400, 1, second=-1.0), ("first", "second"))
    assert fitted.card["weights"]["second"] == 0.0
    assert fitted.card["weights"]["first"] > 0.3


def test_no_shortlist_to_fit_on_is_an_error() -> None:
    with pytest.raises(DataError, match="no examples"):
        fit_weights([], ("a",))

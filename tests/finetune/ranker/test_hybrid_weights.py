"""Fitting the hybrid weights: the useful feature is found, none is negative, accuracy is counted right."""

import numpy as np
from index_world import records

from finetune.ranker.hybrid_weights import Asked, accuracies, ask, fit, report, without_negative
from retrieval.search.encoders import HashEmbedder
from retrieval.search.hybrid import DENSE


def asked(**features: list[list[float]]) -> Asked:
    first = next(iter(features.values()))
    arrays = {name: np.asarray(values, dtype=np.float32) for name, values in features.items()}
    arrays.setdefault(DENSE, np.zeros_like(np.asarray(first, dtype=np.float32)))
    return Asked("as they are", arrays, np.asarray([0, 1, 2]))


GOOD = [[1.0, 0.2, 0.1], [0.3, 0.9, 0.1], [0.0, 0.2, 0.8]]
BAD = [[0.1, 0.5, 0.9], [0.8, 0.1, 0.3], [0.5, 0.9, 0.0]]


def test_the_useful_feature_gets_the_weight_and_the_misleading_one_none() -> None:
    weights = fit([asked(good=GOOD, bad=BAD)], negative=False)
    assert weights["good"] > 0
    assert "bad" not in weights


def test_negative_features_count_only_with_a_negative_prompt() -> None:
    both = asked(**{"good": BAD, "negative.cosine": GOOD})
    assert "negative.cosine" in fit([both], negative=True)
    assert "negative.cosine" not in fit([both], negative=False)
    assert not without_negative(both).features["negative.cosine"].any()
    assert without_negative(both).features["good"].any()


def test_accuracy_counts_ranks_and_a_tie_half() -> None:
    found = accuracies(asked(good=GOOD), {"good": 1.0})
    assert (found[1], found[5]) == (1, 1)
    assert accuracies(asked(good=BAD), {"good": 1.0})[1] == 0
    tied = asked(good=[[0.0] * 3] * 3)
    assert accuracies(tied, {"good": 1.0})[1] == 0  # the middle of three


def test_held_out_pairs_are_asked_in_three_ways() -> None:
    pairs = [{"model_id": 1, "prompt": "pixel corgi", "negative_prompt": "photo"}]
    pairs.append({"model_id": 999, "prompt": "of no record", "negative_prompt": ""})
    pairs.append({"model_id": 1, "prompt": "pixel", "negative_prompt": ""})  # nothing is left of it
    kinds = ask(records(), pairs, HashEmbedder(16))
    assert [(one.kind, len(one.right), one.share) for one in kinds] == [
        ("as they are", 2, 1.0),
        ("stripped", 2, 1.0),
        ("by name", 8, 0.25),
    ]
    assert kinds[0].features[DENSE].shape == (2, 8)
    assert kinds[0].features["negative.cosine"][0, 0] > 0
    weights = {"prompt": {"all.cosine": 1.0}, "prompt and negative prompt": {"negative.cosine": 1.0}}
    assert report(kinds, weights).count("\n") == 6

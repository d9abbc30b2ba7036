"""Folds: near-duplicates stay together, and a profile never holds what it is to be tested on."""

import hashlib
import os
from pathlib import Path

import pytest

from finetune.data.folds import clusters, fold_of, with_profiles
from finetune.data.pairs import read_pairs
from retrieval.records.model import ModelRecord

DATA = Path(os.environ.get("DIFFAGENT_DATA", Path(__file__).parents[4] / "shared" / "data"))

PAIRS = [
    {"model_id": 1, "prompt": "a red fox in deep snow at night", "negative_prompt": "blurry"},
    {"model_id": 1, "prompt": "a red fox in deep snow at dawn", "negative_prompt": "blurry"},
    {"model_id": 1, "prompt": "castle on a cliff", "negative_prompt": ""},
    {"model_id": 2, "prompt": "A castle on a cliff ", "negative_prompt": ""},
    {"model_id": 2, "prompt": "Castle on a cliff", "negative_prompt": "lowres, text"},
    {"model_id": 3, "prompt": "a red fox in deep snow at noon", "negative_prompt": ""},
]


def test_near_duplicates_of_one_model_and_equal_prompts_of_any_share_a_cluster() -> None:
    found = clusters(PAIRS)
    assert found[0] == found[1]
    assert found[2] == found[4]  # equal but for case, of two models
    assert found[3] == found[4]  # the same words, of one model
    assert found[5] not in found[:5]  # alike, but of another model and not equal


def test_a_cluster_has_one_fold_and_folds_do_not_move_when_pairs_are_added() -> None:
    folds = fold_of(PAIRS, 5)
    assert folds[0] == folds[1]
    assert set(folds) <= set(range(5))
    longer = [*PAIRS, {"model_id": 9, "prompt": "something else entirely", "negative_prompt": ""}]
    assert fold_of(longer, 5)[:-1] == folds


def test_profiles_come_from_the_given_pairs_alone() -> None:
    records = [
        ModelRecord(model_id=1, model="Fox", type="LORA", base_model="SD 1.5", terms={"old": 1.0}, samples=9),
        ModelRecord(model_id=4, model="Other", type="LORA", base_model="SD 1.5", terms={"old": 1.0}),
    ]
    fox, other = with_profiles(records, PAIRS[:1])
    assert fox.terms["fox"] == 1.0
    assert "old" not in fox.terms
    assert fox.negative_terms == {"blurry": 1.0}
    assert fox.samples == 1
    assert dict(other.terms) == {}
    assert other.samples == 0


def test_the_folds_are_those_that_the_packaged_weights_were_fitted_on() -> None:
    assert clusters(PAIRS) == [0, 0, 2, 2, 2, 5]
    assert fold_of(PAIRS, 5) == [1, 1, 3, 3, 3, 0]
    # the third joins the others, and is named by the one that it joined last
    chain = [range(10), range(2, 12), range(1, 11)]
    pairs = [{"model_id": 1, "prompt": " ".join(f"word{number}" for number in one)} for one in chain]
    assert clusters(pairs) == [1, 1, 1]


@pytest.mark.skipif(not (DATA / "pairs_train.jsonl.gz").is_file(), reason=f"no training pairs in {DATA}")
def test_the_folds_of_the_training_pairs_have_not_moved() -> None:
    folds = bytes(fold_of(read_pairs(DATA / "pairs_train.jsonl.gz"), 5))
    assert hashlib.sha256(folds).hexdigest().startswith("ebd09de5dc78df57")

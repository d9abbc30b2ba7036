"""Baselines on four models and nine pairs; and on the development data, where it is, the known figures."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.data.stripping import strip_prompt
from finetune.evaluate.baselines import NEGATIVE, fit_baselines, profiles
from finetune.evaluate.metrics import hits, worst_ranks
from retrieval.search.encoders import HashEmbedder

DATA = Path(os.environ.get("DIFFAGENT_DATA", Path(__file__).parents[4] / "shared" / "data"))
Row = dict[str, Any]


def _model(model_id: int, name: str, description: str | None, tags: list[str], triggers: list[str]) -> Row:
    return {
        "model_id": model_id,
        "model": name,
        "description": description,
        "tags": tags,
        "trigger_words": triggers,
    }


MODELS = [
    _model(10, "Pixel Helper", "small sprites for games", ["pixel"], ["pxlart"]),
    _model(20, "Wash", "soft watercolor paintings", ["painting"], []),
    _model(30, "Neon Night", "rainy streets", [], ["neonpunk"]),
    _model(40, "Unseen", None, [], []),
]


def _pair(model_id: int, prompt: str, negative: str = "") -> Row:
    return {"model_id": model_id, "prompt": prompt, "negative_prompt": negative}


TRAIN = [
    _pair(20, "a quiet lake, watercolor", "photo"),
    _pair(20, "a boat at dawn", "photo, grain"),
    _pair(20, "flowers in a vase", "photo"),
    _pair(30, "city in the rain at night", "daylight"),
    _pair(30, "a tram under lanterns", "daylight, sun"),
    _pair(10, "a knight with a sword, sprite", "blurry"),
    _pair(99, "a prompt of a model that is no candidate"),
]


def _first(name: str, prompt: str, negative: str = "", *, dense: bool = False) -> int:
    found = fit_baselines(MODELS, TRAIN, embedder=HashEmbedder() if dense else None)
    scores = found[name]([prompt], [negative])
    assert scores.shape == (1, 4)
    return int(MODELS[int(scores[0].argmax())]["model_id"])


@pytest.mark.parametrize(
    "name", ["TF-IDF profiles", "TF-IDF profiles, word pairs", "TF-IDF kNN", "BM25 profiles"]
)
def test_a_search_finds_the_model_of_a_like_prompt(name: str) -> None:
    assert _first(name, "rain over the city") == 30
    assert _first(name, "knight and dragon, sprite") == 10


def test_descriptions_are_read_with_name_and_trigger_words() -> None:
    assert _first("TF-IDF descriptions", "paintings of a cat") == 20
    assert _first("TF-IDF descriptions", "neonpunk cat") == 30
    assert _first("dense descriptions", "soft watercolor paintings", dense=True) == 20


def test_a_mean_prompt_is_compared_and_a_model_without_prompts_scores_zero() -> None:
    found = fit_baselines(MODELS, TRAIN, embedder=HashEmbedder())
    scores = found["dense mean prompt"](["a boat at dawn", ""], ["", ""])
    assert int(scores[0].argmax()) == 1
    assert scores[0, 3] == 0
    assert not scores[1].any()


def test_popularity_counts_pairs_of_candidates_only_and_has_no_ties() -> None:
    scores = fit_baselines(MODELS, TRAIN)["most frequent model"](["x", "y"], ["", ""])
    assert np.argsort(-scores[0]).tolist() == [1, 2, 0, 3]
    assert (scores[0] == scores[1]).all()
    assert len(set(scores[0].tolist())) == 4


def test_chance_is_the_same_twice() -> None:
    chance = fit_baselines(MODELS, TRAIN)["random"]
    assert (chance(["x"], [""]) == chance(["x"], [""])).all()


@pytest.mark.parametrize(
    "name", ["TF-IDF profiles", "TF-IDF profiles, word pairs", "TF-IDF kNN", "BM25 profiles"]
)
def test_a_negative_prompt_decides_where_the_prompt_says_nothing(name: str) -> None:
    assert _first(name + NEGATIVE, "dog", "photo") == 20
    assert _first(name + NEGATIVE, "dog", "daylight") == 30


def test_without_a_negative_prompt_both_kinds_are_one() -> None:
    found = fit_baselines(MODELS, TRAIN)
    prompts = ["a quiet sprite", ""]
    for name in ("TF-IDF profiles", "TF-IDF kNN", "BM25 profiles"):
        assert found[name](prompts, ["", ""]) == pytest.approx(found[name + NEGATIVE](prompts, ["", ""]))


def test_a_prompt_of_unknown_words_is_wrong_for_everybody() -> None:
    for name, search in fit_baselines(MODELS, TRAIN).items():
        if name not in ("random", "most frequent model"):
            scores = search(["", "zzz"], ["", ""])
            assert worst_ranks(scores, [0, 1]).tolist() == [4, 4], name


def test_nothing_to_learn_from_scores_zero() -> None:
    for name, search in fit_baselines(MODELS, []).items():
        assert search(["sprites"], ["photo"]).shape == (1, 4), name
        assert search([], []).shape == (0, 4), name


def test_a_profile_keeps_thirty_prompts() -> None:
    many = [_pair(40, f"prompt{number}") for number in range(40)]
    assert profiles(MODELS, many)[3].split() == [f"prompt{number}" for number in range(30)]
    assert profiles(MODELS, [], description_chars=5)[0].split() == ["small", "pixel", "pxlart"]


def _rows(name: str) -> list[Row]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.skipif(
    not (DATA / "pairs_val.jsonl.gz").is_file(),
    reason="the evaluation pairs are not beside the checkout; name their folder in DIFFAGENT_DATA",
)
def test_profiles_give_the_known_figures_of_the_validation_pairs() -> None:
    models, pairs = _rows("models.jsonl.gz"), _rows("pairs_val.jsonl.gz")
    column = {model["model_id"]: place for place, model in enumerate(models)}
    gold = [column[pair["model_id"]] for pair in pairs]
    search = fit_baselines(models, _rows("pairs_train.jsonl.gz"))["TF-IDF profiles"]

    def top_10(prompts: Sequence[str]) -> float:
        return float(hits(worst_ranks(search(prompts, [""] * len(prompts)), gold), 10).mean())

    raw = [pair["prompt"] for pair in pairs]
    stripped = [
        strip_prompt(prompt, models[place]["model"], models[place]["trigger_words"])
        for prompt, place in zip(raw, gold, strict=True)
    ]
    assert top_10(raw) == pytest.approx(0.861, abs=0.01)
    assert top_10(stripped) == pytest.approx(0.576, abs=0.01)

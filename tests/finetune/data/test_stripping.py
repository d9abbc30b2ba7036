"""Stripping takes a prompt its model's name and trigger words, as the published figures were measured."""

import gzip
import importlib.util
import json
import os
from pathlib import Path

import pytest

from finetune.data.pairs import read_pairs
from finetune.data.stripping import strip_prompt

DATA = Path(os.environ.get("DIFFAGENT_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.mark.parametrize(
    ("prompt", "model", "triggers", "left"),
    [
        ("a corgi in PIXEL ART style", "Retro", ["pixel art"], "a corgi in   style"),
        ("pixel-art by retrosprite", "Retro Art", ["pix, retrosprite"], "pixel-art by  "),
        ("fantastic retro art", "RETRO (art)", [], "fantastic   art"),
        ("水墨风格 mountains", "水墨风格", [], "  mountains"),
        ("nothing of it", "abc de", ["x", ""], "nothing of it"),
        ("PIXELART style, a cat, Pix", "Pixel Art Mix", ["pixelart style, cat"], " , a cat, Pix"),
        ("art of dreamland", "Dream Art", [], "art of  land"),
        ("a (c++) b", "x", ["(c++)"], "a   b"),
        ("a.c is not abcd", "-", ["a.cd"], "a.c is not abcd"),
    ],
)
def test_strip_prompt(prompt: str, model: str, triggers: list[str], left: str) -> None:
    assert strip_prompt(prompt, model, triggers) == left


@pytest.mark.skipif(not (DATA / "strip_prompt.py").is_file(), reason=f"no development data in {DATA}")
def test_strip_prompt_does_what_the_measurement_does() -> None:
    spec = importlib.util.spec_from_file_location("measured", DATA / "strip_prompt.py")
    assert spec
    assert spec.loader
    measured = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measured)
    with gzip.open(DATA / "models.jsonl.gz", "rt", encoding="utf-8") as stream:
        models = {model["model_id"]: model for model in map(json.loads, stream)}
    compared = 0
    for pair in read_pairs(DATA / "pairs_val.jsonl.gz"):
        model = models[pair["model_id"]]
        mine = strip_prompt(pair["prompt"], model["model"], model["trigger_words"] or [])
        assert mine == measured.strip_prompt(pair["prompt"], model)
        compared += 1
    assert compared > 500

"""A model that is held out leaves no trace of its sample prompts in what is trained on."""

from pathlib import Path

import pytest
from starter_world import model, pair, write

from finetune.dabench.unseen import hold_out, is_held_out, main
from finetune.data.pairs import read_pairs
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidInput

IDS = range(1, 61)
MODELS = [model(number, f"Model {number}", trigger_words=[f"trg{number}"]) for number in IDS]
PAIRS = [
    pair(number, f"heron by the lake {word}, word{number}") for number in IDS for word in ("blue", "red")
]


def test_what_is_held_out_is_in_the_catalogue_and_not_in_training(tmp_path: Path) -> None:
    count, asked = hold_out(MODELS, PAIRS, tmp_path)
    catalogue = Catalogue.load(tmp_path / "catalogue.jsonl")
    held = {number for number in IDS if is_held_out(number)}
    assert held
    assert (count, asked) == (len(held), 2 * len(held))
    seen = {each["model_id"] for each in read_pairs(tmp_path / "pairs_seen.jsonl")}
    unseen = {each["model_id"] for each in read_pairs(tmp_path / "pairs_unseen.jsonl")}
    assert unseen == held
    assert not seen & unseen
    for number in IDS:
        record = catalogue.get(number)
        assert bool(record.terms) is (number in seen)
        assert record.samples == (0 if number in held else 2)
        assert record.trigger_words == (f"trg{number}",)
        assert "heron" not in record.description or number in seen


def test_the_share_is_about_what_was_asked_for() -> None:
    assert 0.08 < sum(is_held_out(number) for number in range(10_000)) / 10_000 < 0.12
    assert {n for n in range(500) if is_held_out(n, 0.1)} <= {n for n in range(500) if is_held_out(n, 0.3)}


def test_nothing_to_hold_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="held out; needed are some of both"):
        hold_out(MODELS, PAIRS, tmp_path, share=1e-9)
    files = [
        "--models",
        str(write(tmp_path / "m.gz", MODELS)),
        "--pairs",
        str(write(tmp_path / "p.gz", PAIRS)),
    ]
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        main([*files, "--output", str(tmp_path), "--share", "1"])

"""Pairs are read by one reader, plain and compressed, and a line that is no pair is named."""

import gzip
import json
from pathlib import Path

import pytest
from small_world import small_catalogue

from finetune.data.pairs import known_pairs, parameters_of, read_pairs
from retrieval.errors import DataError

ROW = {"prompt": "a cat", "negative_prompt": None, "model_id": 201, "model": "Pixel Art Helper"}


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_pairs_are_read_plain_and_compressed(tmp_path: Path) -> None:
    full = {
        **ROW,
        "sampling_method": "DDIM",
        "sampling_steps": "20",
        "cfg_scale": 7,
        "width": None,
        "seed": 3,
    }
    plain = write(tmp_path / "pairs.jsonl", json.dumps(ROW), "", json.dumps(full))
    first, second = pairs = read_pairs(plain)
    assert first == {**ROW, "negative_prompt": ""}
    assert parameters_of(first) == {}
    assert parameters_of(second) == {"sampling_method": "DDIM", "sampling_steps": 20, "cfg_scale": 7.0}
    packed = tmp_path / "pairs.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_pairs(packed) == pairs


def test_a_line_separator_inside_a_prompt_ends_no_line(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.jsonl", json.dumps({**ROW, "prompt": "a\u2028b"}, ensure_ascii=False))
    assert [pair["prompt"] for pair in read_pairs(path)] == ["a\u2028b"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (json.dumps({"prompt": "a cat"}), "has no model_id; fill it in or delete the line"),
        (json.dumps({**ROW, "model_id": "201"}), "the model_id '201'; needed are text and the whole number"),
        (json.dumps({**ROW, "model_id": True}), "the model_id True; needed"),
        (json.dumps({**ROW, "prompt": 3}), "the prompt is '3'"),
        (json.dumps({**ROW, "width": "wide"}), "width is 'wide', needed is a value of type int"),
        (json.dumps({**ROW, "cfg_scale": float("nan")}), "cfg_scale is nan, needed is 0 to 1,000"),
        (json.dumps({**ROW, "cfg_scale": "inf"}), "cfg_scale is inf, needed is 0 to 1,000"),
        (json.dumps({**ROW, "sampling_steps": float("inf")}), "sampling_steps is inf, needed is a value of"),
        (json.dumps({**ROW, "height": 10**400}), "height is 1000"),
        (json.dumps({**ROW, "clip_skip": -1}), "clip_skip is -1, needed is 0 to 100"),
        (json.dumps({**ROW, "model_id": 2**63}), "model_id is 9223372036854775808, needed is 1 to"),
        ("[1]", "is no JSON object"),
        ('{"prompt": ', "is no JSON ("),
        (b"\xff".decode("latin-1"), "is no JSON ("),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "pairs.jsonl", json.dumps(ROW), line)
    with pytest.raises(DataError) as caught:
        read_pairs(path)
    assert str(caught.value).startswith(f"line 2 of {path}")
    assert message in str(caught.value)


def test_a_field_that_a_stage_needs_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.jsonl", json.dumps({**ROW, "clip_skip": None}), json.dumps(ROW))
    with pytest.raises(DataError, match=r"line 2 .* has no clip_skip"):
        read_pairs(path, ("clip_skip",))


def test_files_without_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.jsonl .*evaluation data is not part of"):
        read_pairs(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no line"):
        read_pairs(write(tmp_path / "empty.jsonl", ""))
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(gzip.compress(json.dumps(ROW).encode())[:-9])
    with pytest.raises(DataError, match=r"cannot read .*broken gzip"):
        read_pairs(broken)


def test_pairs_of_strange_models_are_left_out_and_none_at_all_is_refused(tmp_path: Path) -> None:
    stranger = json.dumps({**ROW, "model_id": 999})
    mixed = write(tmp_path / "mixed.jsonl", stranger, json.dumps(ROW))
    assert [pair["model_id"] for pair in known_pairs(mixed, small_catalogue())] == [201]
    with pytest.raises(DataError, match="none of the 1 pairs"):
        known_pairs(write(tmp_path / "strange.jsonl", stranger), small_catalogue())

"""Lines of candidates that others wrote: a call that no program could make is named by line and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.candidates.file import read_candidates
from retrieval.errors import DataError

CALL = {
    **{"model": "Night", "type": "LORA", "base_model": "SD 1.5", "width": 512, "height": 512},
    **{"sampling_method": "Euler a", "sampling_steps": 20, "cfg_scale": 7.0},
}


def written(path: Path, **fields: Any) -> Path:
    calls = ({"api": CALL, "source": "sampled"}, {"api": {**CALL, **fields}, "source": "beams"})
    lines = (
        {"id": str(i), "instruction": {"prompt": "a fox"}, "responses": [call]}
        for i, call in enumerate(calls)
    )
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_calls_are_read(tmp_path: Path) -> None:
    lines = read_candidates(written(tmp_path / "c.jsonl", cfg_scale=8))
    assert [line.candidates[0].api.cfg_scale for line in lines] == [7.0, 8.0]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"cfg_scale": float("nan")}, "cfg scale is nan"),
        ({"sampling_steps": 0}, "sampling steps is 0"),
        ({"width": 2**70}, "width is 11805"),
        ({"lora_weight": float("inf")}, "lora weight is inf"),
        ({"model_id": 2**63}, "model id is 9223"),
    ],
)
def test_a_number_that_no_program_could_use_is_named(
    fields: dict[str, Any], named: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "c.jsonl", **fields)
    with pytest.raises(DataError, match=f"line 2 of .*{named}"):
        read_candidates(path)

"""Rows of models and pairs as the starter is built from, and the file that holds them."""

import gzip
import json
from pathlib import Path
from typing import Any


def model(model_id: int, name: str, **fields: Any) -> dict[str, Any]:
    return {
        "source": "a source",
        "model_id": model_id,
        "model": name,
        "type": "LORA",
        "description": "Thanks for all downloads! See https://example.org for more ruins.",
        "tags": ["castle"],
        "trigger_words": [f"word{model_id}"],
        "stats": {"downloadCount": model_id, "rating": 5},
        "nsfw": False,
        "poi": False,
        "available": True,
        "allow_commercial_use": "Rent",
        "creator": "somebody",
        "versions": [
            {
                "id": 10 * model_id + 1,
                "name": "v2",
                "base_model": "SD 2.1",
                "stats": {},
                "sha256": ["B" * 64],
            },
            {"id": 10 * model_id, "name": "v1", "base_model": "SD 1.5", "stats": {}, "sha256": ["A" * 64]},
        ],
        "nsfw_text": False,
        **fields,
    }


def pair(model_id: int, prompt: str, **fields: Any) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "negative_prompt": "blurry, lowres",
        "model_id": model_id,
        "base_checkpoint": {"model_id": 2, "version_id": 20, "name": "two"},
        "sampling_method": "Euler a",
        "sampling_steps": 20,
        "cfg_scale": 7.0,
        "width": 512,
        "height": 768,
        "clip_skip": 2,
        **fields,
    }


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))
    return path

"""Models and images as Civitai's API writes them, made up for the tests of the dataset's build."""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.civitai.store import RawStore

NOUNS = (
    *("lighthouse", "harbour", "meadow", "glacier", "canyon", "orchard", "windmill", "bridge", "tower"),
    *("garden", "river", "desert", "forest", "island", "castle", "market", "train", "balloon", "fountain"),
)
LOOKS = ("at dawn", "in fog", "under stars", "in rain", "in snow", "at noon", "by moonlight", "in autumn")


def sha256_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest().upper()


def file_of(name: str, **changes: Any) -> dict[str, Any]:
    sha256 = sha256_of(name)
    return {
        "name": f"{name}.safetensors",
        "type": "Model",
        "metadata": {"format": "SafeTensor"},
        "pickleScanResult": "Success",
        "virusScanResult": "Success",
        "hashes": {"AutoV2": sha256[:10], "SHA256": sha256},
        "downloadUrl": f"https://example.org/{name}",
        **changes,
    }


def meta_of(prompt: str, **changes: Any) -> dict[str, Any]:
    made = {
        "prompt": prompt,
        "negativePrompt": "blurry",
        "sampler": "DPM++ 2M Karras",
        "steps": 25,
        "cfgScale": 7,
        "Size": "512x768",
        "seed": 1,
        "Clip skip": "2",
        "Model hash": sha256_of("oil")[:10],
    }
    return {key: value for key, value in {**made, **changes}.items() if value is not None}


def image_of(number: int, prompt: str = "", **changes: Any) -> dict[str, Any]:
    meta = changes.pop("meta", meta_of(prompt or prompt_of(number)))
    return {"id": number, "nsfw": "None", "width": 512, "height": 768, "meta": meta, **changes}


def prompt_of(number: int) -> str:
    first, second = NOUNS[number % len(NOUNS)], NOUNS[(number * 7 + 3) % len(NOUNS)]
    return f"a {first} beside a {second} {LOOKS[number % len(LOOKS)]}, number {number}"


def version_of(number: int, name: str, images: Sequence[Any] = (), **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": "v1",
        "createdAt": "2023-05-01T10:00:00.000Z",
        "baseModel": "SD 1.5",
        "earlyAccessTimeFrame": 0,
        "trainedWords": [],
        "stats": {"downloadCount": 400, "ratingCount": 4, "rating": 5},
        "files": [file_of(name)],
        "images": list(images),
        **changes,
    }


def model_of(number: int, name: str, kind: str, versions: Sequence[Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "description": "<p>Made for calm pictures.</p>",
        "type": kind,
        "poi": False,
        "nsfw": False,
        "allowNoCredit": True,
        "allowCommercialUse": "Image",
        "allowDerivatives": True,
        "stats": {"downloadCount": 900, "favoriteCount": 90, "ratingCount": 8, "rating": 4.5},
        "creator": {"username": "painter"},
        "tags": ["landscape"],
        "modelVersions": list(versions),
        **changes,
    }


def changed(model: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(dict(model)), **changes}


def world() -> list[dict[str, Any]]:
    """A checkpoint, a LoRA made upon it, and one of SDXL, each with images that pass every rule."""
    oil = [image_of(1_000 + number) for number in range(24)]
    tags = [meta_of(f"{prompt_of(number)} <lora:ink:0.{number % 3 + 6}>") for number in range(200, 216)]
    ink = [image_of(2_000 + number, meta=meta) for number, meta in enumerate(tags)]
    large = [
        image_of(3_000 + number, meta=meta_of(prompt_of(400 + number), Size="1024x1024"))
        for number in range(12)
    ]
    for image in large:
        del image["meta"]["Model hash"]
    return [
        model_of(10, "Oil Paint", "Checkpoint", [version_of(101, "oil", oil)]),
        model_of(20, "Ink Lines", "LORA", [version_of(201, "ink", ink, trainedWords=["inkline"])]),
        model_of(30, "Large", "Checkpoint", [version_of(301, "large", large, baseModel="SDXL 1.0")]),
    ]


def store_of(path: Path, models: Sequence[Any], images: Sequence[Any] = ()) -> Path:
    with RawStore.open(path, {"of": "the tests"}) as store:
        store.append("models", models)
        store.append("images", images)
        store.commit({}, finished=True)
    return path

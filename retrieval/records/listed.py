"""The LoRAs that an answer lists, in every shape in which programs do, and those that a prompt has as tags.

>>> listed_resources([[{"name": "Ink", "strength": 0.6}], [["pixel.safetensors", 0.3]]])[0][1]["model"]
'pixel.safetensors'
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from retrieval.records.air import parse_air
from retrieval.records.field_names import fold_key, is_said, kind_of, well_formed

MAX_LISTED = 50
_NAMES = ("model", "name", "modelname", "lora", "loraname", "file", "filename", "path", "id", "air", "urn")
_WEIGHTS = ("weight", "strength", "loraweight", "modelstrength", "strengthmodel", "modelweight", "scale")
_CHECKPOINTS = ("model", "checkpoint", "ckpt", "main")
_LORAS = ("lora", "locon", "lycoris", "dora", "lyco")
_TAG = re.compile(
    r"[ \t]*<(?:lora|lyco):(?P<name>[^:<>\n]{1,300})(?P<weights>(?::[^:<>\n]{0,60}){0,9})>", re.IGNORECASE
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)$")


def listed_resources(lists: Iterable[Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The LoRAs, each with `model`, `weight` and its ids where they are said, and the checkpoints' names.

    Args:
        lists: of names, `[name, weight]` pairs or objects; or an object with a name or an AIR as key.
    """
    loras: list[dict[str, Any]] = []
    checkpoints: list[str] = []
    for given in lists:
        for item in _items(given):
            entry = _entry(item)
            if entry is None:
                continue
            kind = entry.pop("kind")
            if kind in _CHECKPOINTS:
                checkpoints.append(entry["model"])
            elif not kind or kind in _LORAS:
                loras.append(entry)
    return loras, checkpoints


def take_tags(prompt: str) -> tuple[str, list[dict[str, Any]]]:
    """A prompt without its `<lora:name:weight>` tags, and the LoRAs that they name."""
    found = [
        {"model": tag["name"].strip(), "weight": _tag_weight(tag["weights"])}
        for tag in _TAG.finditer(prompt)
        if is_said(tag["name"])
    ]
    if not found:
        return prompt, []
    return re.sub(r"(?:,\s*){2,}", ", ", _TAG.sub("", prompt)).strip(" ,\t"), found[:MAX_LISTED]


def weight_of(item: Mapping[Any, Any]) -> float | None:
    """The weight that an entry says."""
    given = {fold_key(key): value for key, value in item.items()}
    return next((_weight(given[key]) for key in _WEIGHTS if is_said(given.get(key))), None)


def _items(given: Any) -> list[Any]:
    if isinstance(given, Mapping) and any(fold_key(key) in _NAMES for key in given):
        return [given]
    if isinstance(given, Mapping):
        return [
            {"name": key, **value} if isinstance(value, Mapping) else [key, value]
            for key, value in list(given.items())[:MAX_LISTED]
        ]
    if isinstance(given, str):
        return [part.strip() for part in given.split(",")][:MAX_LISTED]
    return list(given)[:MAX_LISTED] if isinstance(given, list | tuple) else []


def _entry(item: Any) -> dict[str, Any] | None:
    if isinstance(item, list | tuple):
        item = {"name": item[0], "weight": item[1] if len(item) > 1 else None} if item else None
    if isinstance(item, str):
        item = {"name": item}
    if not isinstance(item, Mapping):
        return None
    given = {fold_key(key): value for key, value in item.items()}
    name = next((given[key] for key in _NAMES if is_said(given.get(key))), None)
    version_id = given.get("modelversionid", given.get("versionid"))
    if isinstance(name, Mapping):
        name = name.get("name")
    if name is None and isinstance(version_id, int | str):
        # the address under which a catalogue finds a version
        name = f"https://civitai.com/api/download/models/{version_id}"
    if not isinstance(name, str) or not is_said(name):
        return None
    air = parse_air(name) or (parse_air(given["air"]) if isinstance(given.get("air"), str) else None)
    kind = fold_key(given.get("type") or (air.type if air else ""))
    return {
        "kind": "lora" if kind_of(kind) == "LORA" else kind,
        "model": well_formed(name.strip()),
        "weight": weight_of(item),
        "model id": air.model_id if air else given.get("modelid"),
        "version id": air.version_id if air else version_id,
        "air": str(air) if air else None,
    }


def _tag_weight(arguments: str) -> float | None:
    """The weight of a tag; of two (text encoder, U-Net) the second."""
    numbers = [part.strip().rpartition("=")[2] for part in arguments.split(":")[1:3]]
    plain = [number for number in numbers if _NUMBER.match(number)]
    return _weight(plain[-1]) if plain else None


def _weight(value: object) -> float | None:
    if isinstance(value, str):
        value = float(value) if _NUMBER.match(value.strip()[:40]) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e9 else None

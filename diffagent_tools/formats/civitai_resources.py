"""What an infotext names: the checkpoint and the LoRAs, by tags, hashes and Civitai's own list.

    >>> civitai_resources('[{"type":"lora","weight":0.8,"modelVersionId":12,"modelName":"Pixel"}]')
    [{'type': 'lora', 'model': 'Pixel', 'version id': 12, 'lora weight': 0.8}]

`Civitai resources` is what Civitai's generator and several savers write behind the settings of A1111: a JSON
list with the model's and version's name and id, the AIR and, for a LoRA, the weight.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from diffagent_tools.formats.loras import number_or_text
from retrieval.catalogue.names import normalise_name, without_ending
from retrieval.records.air import parse_air
from retrieval.records.api import CheckpointRef, LoraRef, T2IApi
from retrieval.records.lenient import fold_key
from retrieval.records.model import LOCAL_IDS

_LORA_TYPES = {"lora", "lycoris", "locon", "dora"}
_CHECKPOINT_TYPES = {"checkpoint", "model", "ckpt"}
_HASH_CHARS, _NAME_CHARS = 80, 300


def civitai_resources(text: str) -> list[dict[str, Any]]:
    """`Civitai resources` as fields of T2I APIs, each with its folded `type`."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found: list[dict[str, Any]] = []
    for item in given if isinstance(given, list) else []:
        if not isinstance(item, Mapping):
            continue
        one = {fold_key(key): value for key, value in item.items()}
        air = parse_air(one["air"]) if isinstance(one.get("air"), str) else None
        fields = {
            "type": _kind(one, air.type if air else ""),
            "model": one.get("modelname"),
            "version": one.get("modelversionname", one.get("versionname")),
            "version id": one.get("modelversionid", air.version_id if air else None),
            "model id": one.get("modelid", air.model_id if air else None),
            "air": one.get("air") if air else None,
            "lora weight": one.get("weight"),
        }
        found.append({key: value for key, value in fields.items() if value is not None})
    return found


def _kind(one: Mapping[str, Any], usual: str) -> str:
    """The folded type, also of Civitai's own objects printed as text, and where only a weight tells it."""
    given = str(one.get("type") or usual)[:400]
    inner = re.search(r"\bType\s*=\s*(\w+)", given)
    kind = fold_key(inner[1] if inner else given)
    return kind or ("lora" if _is_number(one.get("weight")) else "checkpoint")


def pairs(text: str) -> dict[str, str]:
    """`name: hash, other: hash` by name; a name may have a comma."""
    found: dict[str, str] = {}
    name, *others = text[:100_000].split(":")
    for place, part in enumerate(others, 1):
        digest, comma, rest = part.partition(",")
        if not comma and place < len(others):
            name = part  # two colons without a comma: what stands between them is a name
            continue
        if name.strip() and 0 < len(digest.strip()) <= _HASH_CHARS:
            found[name.strip()[:_NAME_CHARS]] = digest.strip()
        name = rest
    return found


def named_checkpoint(
    settings: Mapping[str, str], resources: Sequence[Mapping[str, Any]], guesses: list[str]
) -> dict[str, Any]:
    """What is known of the checkpoint; without a `model` if nothing names one."""
    given = next((one for one in resources if one["type"] in _CHECKPOINT_TYPES), {})
    fields = {key: value for key, value in given.items() if key not in ("type", "lora weight")}
    model = _text(fields.get("model")) or settings.get("model", "").strip()
    if not model and settings.get("modelhash", "").strip():
        model = settings["modelhash"].strip()
        guesses.append(f"the infotext has no name of the model; its hash {model} was taken for it")
    return fields | {"model": model or _by_id(fields)}


def named_loras(
    tags: Sequence[tuple[str, float | None]],
    settings: Mapping[str, str],
    resources: Sequence[Mapping[str, Any]],
    hashed: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The LoRAs of the tags, of settings where no tag is left, and of `Civitai resources`, merged.

    Args:
        hashed: the names of which hashes are known.
    """
    named: list[dict[str, Any]] = [{"model": name, "lora weight": weight} for name, weight in tags]
    if not named:
        weights = {name: _weight(text) for name, text in pairs(settings.get("loraweights", "")).items()}
        # as SD.Next and Fooocus's log write them
        networks = settings.get("loranetworks", "").replace(",", " ").split()
        weights |= {one.rpartition(":")[0]: _weight(one.rpartition(":")[2]) for one in networks if ":" in one}
        for key, text in settings.items():
            if re.fullmatch(r"lora\d{1,2}", key):
                weights |= {name: _weight(given) for name, given in pairs(text).items()}
        names = dict.fromkeys([*weights, *(name for name in hashed if name)])
        named = [{"model": _stem(name), "lora weight": weights.get(name)} for name in names]
    given = [one for one in resources if one["type"] in _LORA_TYPES]
    loras: list[dict[str, Any]] = []
    rest = list(given)
    for position, lora in enumerate(named):
        key = normalise_name(str(lora["model"]))
        same = [one for one in rest if normalise_name(_text(one.get("model")) or " ") == key]
        if not same and len(given) == len(named) and given[position] in rest:
            same = [given[position]]
        if same:
            rest.remove(same[0])
            known = {
                key: value for key, value in same[0].items() if key != "lora weight" or _is_number(value)
            }
            lora = {**lora, **known} | (
                {} if lora["lora weight"] is None else {"lora weight": lora["lora weight"]}
            )
        loras.append(lora)
    for one in rest:
        weight = one.get("lora weight")
        loras.append({**one, "lora weight": weight if _is_number(weight) else None})
    for lora in loras:
        lora["model"] = _text(lora.get("model")) or _by_id(lora)
    return [lora for lora in loras if lora["model"]]


def _stem(name: str) -> str:
    return without_ending(PurePosixPath(name.replace("\\", "/")).name)


def _weight(text: str) -> float | None:
    number = number_or_text(text)
    return float(number) if isinstance(number, int | float) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def _text(value: object) -> str:
    return value.strip() and value if isinstance(value, str) else ""


def _by_id(fields: Mapping[str, Any]) -> str:
    """A name for a model that only an id names: the AIR, which a catalogue finds."""
    air, version = fields.get("air"), fields.get("version id")
    return str(air) if air else f"version {version}" if version else ""


def resources_text(api: T2IApi) -> str:
    """Civitai's own list of what made a picture, as JSON on one line.

    A1111 splits it at each comma and takes any `word:` for a key, so that commas and colons of names are
    written as JSON's escapes.
    """
    own = _resource(api, "lora" if api.type == "LORA" else "checkpoint", api.version)
    listed = [own]
    if api.type == "LORA":
        own["weight"] = 1.0 if api.lora_weight is None else api.lora_weight
        if api.base_checkpoint is not None:
            listed.insert(0, _resource(api.base_checkpoint, "checkpoint", None))
    listed += [_resource(lora, "lora", None) | {"weight": lora.strength} for lora in api.loras]
    text = json.dumps(listed, ensure_ascii=False, separators=(",", ":"))
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: m[0].replace(",", "\\u002c").replace(":", "\\u003a"), text)


def _resource(named: T2IApi | CheckpointRef | LoraRef, kind: str, version: str | None) -> dict[str, Any]:
    known = (named.model_id or 0) < LOCAL_IDS
    fields = {
        "type": kind,
        "modelVersionId": named.version_id if known else None,
        "modelId": named.model_id if known else None,
        "modelName": named.model,
        "modelVersionName": version,
        "air": named.air,
    }
    return {key: value for key, value in fields.items() if value is not None}

"""What programs other than A1111 and ComfyUI keep in a picture as JSON -> the fields of a T2I API.

    fields = program_fields(json.loads(texts["parameters"]))

Read are SwarmUI, InvokeAI (its metadata since version 3 and the older `sd-metadata`), Fooocus and its
offspring, Draw Things and Easy Diffusion. NovelAI is told by name: its models are not to be had.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from diffagent_tools.formats.loras import take_lora_tags
from retrieval.catalogue.names import without_ending
from retrieval.errors import InvalidInput
from retrieval.records.lenient import fold_key

HASHES = "hashes"
"""The field with the hashes of the models, by their names; that of the checkpoint is under an empty name."""
_BASES = {"sd-1": "SD 1.5", "sd-2": "SD 2.1", "sdxl": "SDXL 1.0", "sd-3": "SD 3.5", "flux": "Flux.1 D"}
_SIZE = re.compile(r"(\d{2,5})\D{1,4}(\d{2,5})")


def program_fields(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of the picture, further LoRAs as a list of all under `loras`; None if no program is known.

    Raises:
        InvalidInput: a program is known whose pictures name no model that can be had.
    """
    given = {fold_key(key): one for key, one in value.items()}
    if isinstance(given.get("suiimageparams"), Mapping):
        return _swarm(given)
    if isinstance(given.get("image"), Mapping) and "model" in given:
        return _old_invoke(given)
    if given.get("metadatascheme") == "fooocus" or {"basemodel", "performance"} <= given.keys():
        return _fooocus(given)
    if {"c", "model", "sampler"} <= given.keys():
        return _draw_things(given)
    if {"positiveprompt", "scheduler", "model"} <= given.keys() or "appversion" in given:
        return _invoke(given)
    if {"usestablediffusionmodel", "prompt"} <= given.keys():
        return _easy_diffusion(given)
    if {"uc", "scale", "sampler", "requesttype"} <= given.keys() or "ucpreset" in given:
        raise InvalidInput(
            "the picture is made by NovelAI, whose models run on its own servers only; name a checkpoint "
            "or a LoRA that can be had"
        )
    return None


def _swarm(given: Mapping[str, Any]) -> dict[str, Any]:
    told = {fold_key(key): one for key, one in given["suiimageparams"].items()}
    names = _texts(told.get("loras"))
    weights = _texts(told.get("loraweights"))
    loras: list[dict[str, Any]] = [
        {"model": _stem(name), "lora weight": _number(weights[i]) if i < len(weights) else None}
        for i, name in enumerate(names)
    ]
    prompt, tags = take_lora_tags(str(told.get("prompt") or ""))
    loras += [{"model": _stem(tag.name), "lora weight": tag.weight} for tag in tags]
    hashes = {}
    for one in _list(given.get("suimodels")):
        if isinstance(one, Mapping) and isinstance(one.get("hash"), str):
            name = "" if one.get("param") == "model" else _stem(str(one.get("name")))
            hashes[name] = one["hash"]
    return {
        "model": _stem(str(told.get("model") or "")),
        "loras": loras,
        "prompt": prompt,
        "negative prompt": told.get("negativeprompt"),
        "sampling steps": told.get("steps"),
        "cfg scale": told.get("cfgscale"),
        "width": told.get("width"),
        "height": told.get("height"),
        "sampling method": told.get("sampler") or told.get("comfyuisampler"),
        "schedule type": told.get("scheduler") or told.get("comfyuischeduler"),
        "clip skip": _skip(told.get("clipstopatlayer")),
        HASHES: hashes,
    }


def _invoke(given: Mapping[str, Any]) -> dict[str, Any]:
    model = given.get("model")
    loras: list[dict[str, Any]] = []
    for one in _list(given.get("loras")):
        if isinstance(one, Mapping):
            name = _named(one.get("model", one.get("lora")))
            loras.append({"model": name, "lora weight": _number(one.get("weight"))})
    base = model.get("base", model.get("base_model")) if isinstance(model, Mapping) else None
    skip = given.get("clipskip")
    return {
        "model": _named(model),
        "loras": loras,
        "base model": _BASES.get(str(base)),
        "prompt": given.get("positiveprompt"),
        "negative prompt": given.get("negativeprompt"),
        "sampling steps": given.get("steps"),
        "cfg scale": given.get("cfgscale", given.get("guidance")),
        "width": given.get("width"),
        "height": given.get("height"),
        "sampling method": given.get("scheduler"),
        # counted from 0
        "clip skip": skip + 1 if isinstance(skip, int) and skip > 0 else None,
    }


def _old_invoke(given: Mapping[str, Any]) -> dict[str, Any]:
    image = {fold_key(key): one for key, one in given["image"].items()}
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        prompt = ", ".join(str(one.get("prompt")) for one in prompt if isinstance(one, Mapping))
    text = str(prompt or "")
    # its negative prompt stands in brackets in the prompt
    refused = re.findall(r"\[([^\[\]]{1,5000})\]", text)
    name = given.get("modelweights") or given.get("model")
    return {
        "model": _stem(str(name or "")),
        "prompt": re.sub(r"\s*\[[^\[\]]{1,5000}\]", "", text).strip(),
        "negative prompt": ", ".join(refused),
        "sampling steps": image.get("steps"),
        "cfg scale": image.get("cfgscale"),
        "width": image.get("width"),
        "height": image.get("height"),
        "sampling method": image.get("sampler"),
        HASHES: {"": given["modelhash"]} if isinstance(given.get("modelhash"), str) else {},
    }


def _fooocus(given: Mapping[str, Any]) -> dict[str, Any]:
    loras: list[dict[str, Any]] = []
    hashes = {"": given["basemodelhash"]} if isinstance(given.get("basemodelhash"), str) else {}
    entries = list(_list(given.get("loras")))
    entries += [
        re.split(r"\s*:\s*", one, maxsplit=2)
        for key, one in given.items()
        if re.fullmatch(r"lora(?:combined)?\d{1,2}", key) and isinstance(one, str)
    ]
    for entry in entries:
        if isinstance(entry, list) and entry and isinstance(entry[0], str) and entry[0] != "None":
            loras.append(
                {"model": _stem(entry[0]), "lora weight": _number(entry[1]) if len(entry) > 1 else None}
            )
            if len(entry) > 2 and isinstance(entry[2], str):
                hashes[_stem(entry[0])] = entry[2]
    size = _SIZE.search(str(given.get("resolution"))[:100])
    return {
        "model": _stem(str(given.get("basemodel") or "")),
        "loras": loras,
        "prompt": given.get("prompt"),
        "negative prompt": given.get("negativeprompt"),
        "sampling steps": given.get("steps"),
        "cfg scale": given.get("guidancescale"),
        "size": f"{size[1]}x{size[2]}" if size else None,
        "sampling method": str(given.get("sampler") or "").removesuffix("_gpu") or None,
        "schedule type": given.get("scheduler"),
        "clip skip": given.get("clipskip"),
        HASHES: hashes,
    }


def _draw_things(given: Mapping[str, Any]) -> dict[str, Any]:
    loras = [
        {
            "model": _stem(str(one.get("model") or one.get("file") or "")),
            "lora weight": _number(one.get("weight")),
        }
        for one in _list(given.get("lora"))
        if isinstance(one, Mapping)
    ]
    return {
        "model": _stem(str(given.get("model") or "")),
        "loras": loras,
        "prompt": given.get("c"),
        "negative prompt": given.get("uc"),
        "sampling steps": given.get("steps"),
        "cfg scale": given.get("scale"),
        "size": given.get("size"),
        "sampling method": given.get("sampler"),
    }


def _easy_diffusion(given: Mapping[str, Any]) -> dict[str, Any]:
    names = given.get("useloramodel")
    names = names if isinstance(names, list) else [names] if isinstance(names, str) and names else []
    weights = given.get("loraalpha")
    weights = weights if isinstance(weights, list) else [weights]
    return {
        "model": _stem(str(given["usestablediffusionmodel"] or "")),
        "loras": [
            {"model": _stem(str(name)), "lora weight": _number(weights[i]) if i < len(weights) else None}
            for i, name in enumerate(names)
        ],
        "prompt": given.get("prompt"),
        "negative prompt": given.get("negativeprompt"),
        "sampling steps": given.get("numinferencesteps"),
        "cfg scale": given.get("guidancescale"),
        "width": given.get("width"),
        "height": given.get("height"),
        "sampling method": given.get("samplername"),
        "clip skip": 2 if given.get("clipskip") is True else None,
    }


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _stem(name: object) -> str:
    return without_ending(PurePosixPath(str(name).replace("\\", "/")).name)


def _named(value: object) -> str:
    """InvokeAI's name of a model, an object since version 4."""
    if isinstance(value, Mapping):
        value = value.get("name", value.get("model_name"))
    return _stem(value) if isinstance(value, str) else ""


def _texts(value: object) -> list[Any]:
    """A list, also one that was written as text."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value) if value[:1] == "[" and len(value) < 20_000 else value.split(",")
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            value = []
    return [one.strip() if isinstance(one, str) else one for one in value] if isinstance(value, list) else []


def _number(value: object) -> float | None:
    try:
        number = (
            float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
        )
    except (ValueError, OverflowError):
        return None
    return number if number is not None and abs(number) < 1e9 else None


def _skip(value: object) -> int | None:
    return (
        abs(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < abs(value) < 100
        else None
    )

"""How an image was made: Civitai's `meta` object, or an infotext of A1111, as one record.

    made = read_generation({"prompt": "a fox <lora:ink:0.7>", "sampler": "Euler a", "steps": 20,
                            "cfgScale": 7, "Size": "512x768", "Model hash": "0x6CE0161689"})
    made.prompt, made.loras[0].weight, made.size, made.checkpoint_hashes
    # ('a fox', 0.7, (512, 768), ('6CE0161689',))

Both forms use the same names in other spellings (`cfgScale`, `CFG scale`), so both are read by folded name.
A value that is missing or unreadable is None, and one that no program could use stays as it is; who wants
neither says so (finetune/dabench/model_rules.py).
"""

import functools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from diffagent_tools.formats.infotext import read_infotext
from diffagent_tools.formats.loras import LoraTag, take_lora_tags
from retrieval.errors import InvalidInput
from retrieval.records.civitai import hash_text, text, whole
from retrieval.records.lenient import fold_key
from retrieval.records.lenient_json import find_objects
from retrieval.tables.samplers import Sampler, find_sampler

MAX_KEYS = 2_000
_SIZE = re.compile(r"\s*(\d{1,9})\s*[x×]\s*(\d{1,9})\s*", re.IGNORECASE)
_HYPERNET = re.compile(r"<hypernet:[^<>\n]*>", re.IGNORECASE)
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?\s*", re.IGNORECASE)
_CHECKPOINTS = {"model", "checkpoint", "ckpt"}
_LORAS = {"lora", "locon", "lycoris", "dora"}
# every program that enlarges what it has just made says so with one of these
_ENLARGED = ("hires", "firstpass", "highres")
_REPAINTED = ("maskblur", "inpaintareapadding", "maskedcontent", "initimage", "sdupscaleoverlap")
_find_sampler = functools.lru_cache(maxsize=1024)(find_sampler)
_fold = functools.lru_cache(maxsize=8192)(fold_key)


@dataclass(frozen=True, slots=True)
class Resource:
    """A model that the metadata says was used, by whatever it says of it."""

    kind: str
    name: str | None = None
    hash: str | None = None
    version_id: int | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """What the metadata says.

    Attributes:
        prompt: without its `<lora:…>` and `<hypernet:…>` tags; None where there was none at all.
        sampler, schedule: as written.
        size: width and height in pixels as the picture was first made, before it was enlarged.
        loras: of the tags and of the extension that loads LoRAs without tags.
        checkpoint_hashes: of the checkpoint under it, the longest first.
        checkpoint_name: of its file.
        checkpoint_versions: ids of Civitai's, which its own generator writes.
        from_image: another image was its start, so that no prompt alone makes it.
    """

    prompt: str | None
    negative_prompt: str
    sampler: str | None
    schedule: str | None
    steps: float | None
    cfg_scale: float | None
    size: tuple[int, int] | None
    clip_skip: int | None
    seed: int | None
    loras: tuple[LoraTag, ...]
    resources: tuple[Resource, ...]
    checkpoint_hashes: tuple[str, ...]
    checkpoint_name: str | None
    from_image: bool
    checkpoint_versions: tuple[int, ...] = ()


def read_generation(meta: object) -> Generation | None:
    """The record of a `meta` value; None if there is nothing to read in it."""
    fields = _fields(meta)
    if not fields:
        return None
    prompt, loras = _without_tags(fields.get("prompt"))
    resources = tuple(_resources(fields))
    checkpoints = [one for one in resources if one.kind in _CHECKPOINTS]
    hashes = [hash_text(fields.get("modelhash")), *(one.hash for one in checkpoints)]
    return Generation(
        prompt=prompt,
        negative_prompt=_without_tags(fields.get("negativeprompt"))[0] or "",
        sampler=text(fields.get("sampler")),
        schedule=text(fields.get("scheduletype")) or text(fields.get("scheduler")),
        steps=number(fields.get("steps")),
        cfg_scale=number(fields.get("cfgscale")),
        size=_size(fields),
        clip_skip=whole(fields.get("clipskip")),
        seed=whole(fields.get("seed")),
        loras=(*loras, *_additional_networks(fields)),
        resources=resources,
        checkpoint_hashes=tuple(sorted(dict.fromkeys(h for h in hashes if h), key=len, reverse=True)),
        checkpoint_name=text(fields.get("model"))
        or next((one.name for one in checkpoints if one.name), None),
        checkpoint_versions=tuple(one.version_id for one in checkpoints if one.version_id is not None),
        from_image=_from_image(fields),
    )


def number(value: object) -> float | None:
    """A finite number, also where it is written as text."""
    if isinstance(value, str) and len(value) < 40 and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        return None
    return float(value) if math.isfinite(value) else None


def _fields(meta: object) -> dict[str, Any]:
    """The fields by folded name, of an object, of an object in an object, or of an infotext."""
    if isinstance(meta, str):
        return _of_infotext(meta)
    if not isinstance(meta, Mapping):
        return {}
    inner = meta.get("meta")
    if isinstance(inner, Mapping | str) and "prompt" not in meta:
        return _fields(inner)
    for key in ("parameters", "infotext"):
        if isinstance(meta.get(key), str) and "prompt" not in meta:
            return _of_infotext(meta[key])
    fields: dict[str, Any] = {}
    for key in list(meta)[:MAX_KEYS]:
        fields.setdefault(_fold(key), meta[key])
    return fields


def _of_infotext(written: str) -> dict[str, Any]:
    if written.lstrip().startswith("{"):
        found = next(iter(find_objects(written[:400_000])), None)
        return _fields(found.value) if found and isinstance(found.value, dict) else {}
    try:
        read = read_infotext(written)
    except InvalidInput:
        return {}
    fields: dict[str, Any] = {_fold(key): value for key, value in read.settings.items()}
    return fields | {"prompt": read.prompt, "negativeprompt": read.negative_prompt}


def _without_tags(value: object) -> tuple[str | None, tuple[LoraTag, ...]]:
    if not isinstance(value, str):
        return None, ()
    if "<" not in value:
        return value, ()
    bare, tags = take_lora_tags(_HYPERNET.sub("", value))
    return bare.strip(), tags


def _size(fields: Mapping[str, Any]) -> tuple[int, int] | None:
    match = _SIZE.fullmatch(fields["size"]) if isinstance(fields.get("size"), str) else None
    if match:
        return int(match[1]), int(match[2])
    width, height = whole(fields.get("width")), whole(fields.get("height"))
    return (width, height) if width is not None and height is not None else None


def _resources(fields: Mapping[str, Any]) -> Iterator[Resource]:
    for key in ("resources", "civitairesources"):
        given = fields.get(key)
        if isinstance(given, str):
            found = next(iter(find_objects(f'{{"all":{given[:100_000]}}}')), None)
            given = found.value.get("all") if found and isinstance(found.value, dict) else None
        for item in given[:200] if isinstance(given, list) else ():
            if isinstance(item, Mapping):
                yield Resource(
                    kind=_fold(text(item.get("type")) or ""),
                    name=text(item.get("name")) or text(item.get("modelName")),
                    hash=hash_text(item.get("hash")),
                    version_id=whole(item.get("modelVersionId")),
                    weight=number(item.get("weight")),
                )
    hashes = fields.get("hashes")
    if isinstance(hashes, str):
        found = next(iter(find_objects(hashes[:100_000])), None)
        hashes = found.value if found else None
    for key, value in list(hashes.items())[:200] if isinstance(hashes, Mapping) else ():
        kind, _, name = str(key).partition(":")
        yield Resource(kind=_fold(kind), name=name or None, hash=hash_text(value))


def _additional_networks(fields: Mapping[str, Any]) -> Iterator[LoraTag]:
    """LoRAs of the extension Additional Networks: `AddNet Model 1: name(hash)`, `AddNet Weight A 1`."""
    for place in range(1, 6):
        named = text(fields.get(f"addnetmodel{place}"))
        if named is None:
            return
        weight = number(fields.get(f"addnetweighta{place}", fields.get(f"addnetweight{place}")))
        yield LoraTag(re.sub(r"\([0-9a-f]+\)$", "", named.strip()), weight)


def _from_image(fields: Mapping[str, Any]) -> bool:
    if any(key in fields for key in _REPAINTED):
        return True
    # enlarging starts from the picture itself, and everything else that denoises in part from another one
    return "denoisingstrength" in fields and not any(key.startswith(_ENLARGED) for key in fields)


def sampler_of(made: Generation) -> Sampler | None:
    """Civitai's sampler for the name and the schedule that stands apart from it."""
    if made.sampler is None:
        return None
    return _find_sampler(made.sampler[:200], made.schedule[:200] if made.schedule else None)


def lora_weight(made: Generation, version_id: int, names: frozenset[str]) -> float | None:
    """The weight that a LoRA was used with; None where it cannot be told.

    Args:
        version_id: of the LoRA.
        names: of its files without their endings, in lower case.
    """
    for one in made.resources:
        if one.version_id == version_id and one.weight is not None:
            return one.weight
    named = [tag for tag in made.loras if tag.name.strip().casefold() in names]
    listed = [one for one in made.resources if one.kind in _LORAS and (one.name or "").casefold() in names]
    weights = [tag.weight for tag in named] or [one.weight for one in listed]
    if not weights and len(made.loras) == 1:
        # the file has been given another name, and there is nothing else that it could be
        weights = [made.loras[0].weight]
    known = [weight for weight in weights if weight is not None]
    return known[0] if known else None

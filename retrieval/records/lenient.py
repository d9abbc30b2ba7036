"""From any text or mapping to the fields of a T2I API, with a sentence for each assumption.

    >>> fields, guesses = read_fields('{"Model": "X", "sampler": "Euler a", "Size": "512x768"}')
    >>> fields["model"], fields["width"], fields["height"]
    ('X', 512, 768)

It knows the names of the fields and not the record, which is made in `retrieval.records.api`.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from retrieval.errors import InvalidApi, UnknownBaseModel
from retrieval.records.air import short_ids
from retrieval.records.field_names import (
    OWN_SENTENCE,
    field_of,
    fold_key,
    is_said,
    kind_of,
    name_in,
    well_formed,
)
from retrieval.records.listed import listed_resources, take_tags, weight_of
from retrieval.records.named import named_objects, nothing_named
from retrieval.tables.families import DEFAULT_FAMILY, family_of
from retrieval.tables.hub_models import family_named
from retrieval.tables.samplers import find_sampler

__all__ = [
    "BOTH_NAMED",
    "DEFAULT_PARAMETERS",
    "SIZE_TELLS_NOTHING",
    "Fields",
    "fold_key",
    "read_every",
    "read_fields",
    "well_formed",
]


# the paper's default call (section 4.1): Euler a, 20 steps, cfg 7
DEFAULT_PARAMETERS: Mapping[str, Any] = MappingProxyType(
    {"sampling_method": "Euler a", "sampling_steps": 20, "cfg_scale": 7.0}
)
SIZE_TELLS_NOTHING = "the size tells no base model, as pictures are enlarged, and no name or field does"
BOTH_NAMED = "a LoRA and a checkpoint are named"
"""How the sentence begins which says that a checkpoint that was named first is under a LoRA."""
_MAX_NUMBER = 2**63 - 1

_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,200}(?:[.,][0-9]{1,200})?|\.[0-9]{1,200})")
# beside a picture's keys, the version is that of the program which made it: v1.6.0, f2.0.1v1.10.1-previous,
# Fooocus v2.2.0, ComfyUI
_PROGRAM = re.compile(
    r"(?:v|f|neo|classic)?\d+\.\d+\.\d+|[A-Za-z.]+ v?\d+\.|[A-Za-z]+UI\b|Fooocus", re.IGNORECASE
)
_PICTURE_KEYS = frozenset(("modelhash", "seed", "hashes", "rng"))
_WEIGHTED = re.compile(r"(?P<name>.{0,300}\S)\s?:\s?(?P<weight>\d?\.\d{1,4}|1|2)")
_SIZE = re.compile(r"([0-9]{1,9})\s{0,9}(?:x|×|\*|by|,|/)\s{0,9}([0-9]{1,9})", re.IGNORECASE)


Fields = tuple[dict[str, Any], list[str], dict[str, str]]


def read_fields(value: str | Mapping[str, Any]) -> Fields:
    """The fields of a T2I API under their Python names, complete; every assumption, a sentence each; and
    those fields that were missing, with their sentence.

    Raises:
        InvalidApi: no object with a model's name is in it.
    """
    return read_every(value)[0]


def read_every(value: str | Mapping[str, Any]) -> list[Fields]:
    """`read_fields` of each object that names a model and lies in no other one; never empty.

    Raises:
        InvalidApi: no object with a model's name is in it.
    """
    told: list[str] = []
    named = named_objects(value, told)
    if not named:
        raise InvalidApi(nothing_named(value))
    readers = [_Reader(found, list(told)) for found in named]
    return [(reader.fields(), reader.guesses, reader.lacking) for reader in readers]


def _by_spelling(item: tuple[Any, str | None, Any]) -> tuple[bool, bool]:
    key, field, _ = item
    plain = (field or "").replace("_", " ")
    return fold_key(key) != fold_key(plain), str(key) not in (field, plain)


class _Reader:
    """Reads one mapping; `guesses` grows with each assumption, `lacking` with each missing field."""

    def __init__(self, found: Mapping[Any, Any], guesses: list[str]) -> None:
        self.guesses = guesses
        self.lacking: dict[str, str] = {}
        self.given: dict[str, Any] = {}
        self.ids: dict[str, Any] = {}
        self.prompt = ""
        known = [(key, field_of(key), value) for key, value in found.items()]
        of_web_ui = _PICTURE_KEYS & {fold_key(key) for key in found}
        # a field's own name goes before its other spellings, and letter for letter before any case
        for key, field, value in sorted(known, key=_by_spelling):
            if field is None or not is_said(value, field):
                continue
            if field == "loras" or (field == "lora" and isinstance(value, list)):
                self.given.setdefault("loras", []).append(value)
                continue
            if field in self.given or (field == "version" and of_web_ui and _PROGRAM.match(str(value)[:80])):
                continue
            self.given[field] = value
            if fold_key(key) != fold_key(field) and field not in OWN_SENTENCE:
                self.guess(f"{str(key)[:40]!r} was read as {field.replace('_', ' ')!r}")

    def guess(self, sentence: str) -> None:
        self.guesses.append(sentence)

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        family = self.text("base_model") or ""
        fields["base_model"] = family if family.strip() else self.family()
        self.models(fields)
        self.sizes(fields)
        fields["sampling_method"] = self.sampler() or self.missing("sampling_method")
        for name in ("sampling_steps", "cfg_scale"):
            number = self.number(name, whole=name == "sampling_steps")
            fields[name] = self.missing(name) if number is None else number
        for name in ("model_id", "version_id", "clip_skip"):
            fields[name] = self.number(name, whole=True)
        for name in ("lora_weight", "confidence"):
            fields[name] = self.number(name, whole=False)
        for name in ("model_description", "negative_prompt"):
            fields[name] = self.text(name) or ""
        fields["prompt"] = self.prompt
        for name in ("version", "air"):
            fields[name] = self.text(name)
        self.short_air(fields)
        fields["trigger_words"] = self.words("trigger_words")
        fields["digest"] = self.digest()
        return fields

    def short_air(self, fields: dict[str, Any]) -> None:
        """Ids that stand in the field of the AIR, as `civitai: 4384 @ 109123`, unless others are said."""
        ids = short_ids(fields["air"] or "")
        said = (fields["model_id"], fields["version_id"])
        if ids is None or any(one not in (None, other) for one, other in zip(said, ids, strict=True)):
            return
        self.guess(f"the air {fields['air'][:40]!r} was read as the ids of model and version")
        fields.update(model_id=ids[0], version_id=ids[1], air=None)

    def family(self) -> str:
        """The base model that is not said: of a family that the model's name says, else the default."""
        names = (name_in(self.given.get(field)) for field in ("model", "checkpoint", "lora", "name"))
        file = re.split(r"[/\\]", next(filter(None, names), ""))[-1]
        named = family_named(re.sub(r"\.(?:safetensors|ckpt|gguf)$", "", file))
        if named is None or named.name == DEFAULT_FAMILY:
            return str(self.missing("base_model", DEFAULT_FAMILY))
        self.lack("base_model", f"base model is missing; {named.name} was taken, as the model's name says")
        return named.name

    def digest(self) -> str:
        """The hash of the model's file, also where hashes of several files are told apart by name."""
        given = self.given.get("digest")
        if isinstance(given, Mapping):
            given = next((given[key] for key in ("model", "Model", "SHA256", "AutoV2") if key in given), None)
        return given.strip() if isinstance(given, str) else ""

    def missing(self, name: str, default: Any = None) -> Any:
        default = DEFAULT_PARAMETERS[name] if default is None else default
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        self.lack(name, f"{name.replace('_', ' ')} is missing; the default {shown} was taken")
        return default

    def lack(self, name: str, sentence: str) -> None:
        self.lacking[name] = sentence
        self.guess(sentence)

    def sampler(self) -> str:
        """The sampling method, with the noise schedule where A1111 since 1.9 and ComfyUI write it apart."""
        inner = self.given.get("sampling_method")
        if isinstance(inner, Mapping):
            parts = {field_of(key): item for key, item in inner.items()}
            self.given["sampling_method"] = name_in(inner)
            self.given.setdefault("schedule", parts.get("scheduler", parts.get("schedule")))
        method, schedule = self.text("sampling_method") or "", self.text("schedule")
        alone = self.text("scheduler")
        if not method.strip():
            if not alone or not alone.strip():
                return ""
            self.guess("'scheduler' was read as 'sampling method'")
            return alone
        schedule = schedule or alone
        if not schedule or not schedule.strip():
            return method
        sampler = find_sampler(method, schedule)
        return sampler.name if sampler else f"{method} {schedule}"

    def models(self, fields: dict[str, Any]) -> None:
        """Sets the model, its type, the checkpoint under it and the LoRAs beside it."""
        model, lora = name_in(self.given.get("model")), name_in(self.given.get("lora"))
        checkpoint = name_in(self.given.get("checkpoint"))
        kind = kind_of(self.given.get("type"))
        reference = self.reference()
        loras, checkpoints = listed_resources(self.given.get("loras", ()))
        checkpoint = checkpoint or (checkpoints[0] if checkpoints and not model else "")
        self.prompt, tagged = take_tags(self.text("prompt") or "")
        loras += [tag for tag in tagged if tag["model"] not in {each["model"] for each in loras}]
        weighted = _WEIGHTED.fullmatch(lora)
        if weighted:
            lora = weighted["name"]
            self.given.setdefault("lora_weight", weighted["weight"])
        if isinstance(self.given.get("lora"), Mapping):
            weight = weight_of(self.given["lora"])
            if weight is not None:
                self.given.setdefault("lora_weight", weight)
        if not model and not lora and not checkpoint:
            model = name_in(self.given.get("name"))
            if model:
                self.guess("'name' was read as 'model'")
        if loras and not lora and kind != "LORA":
            chosen = max(loras, key=lambda each: abs(1.0 if each["weight"] is None else each["weight"]))
            loras.remove(chosen)
            under = model or checkpoint
            lora, model, checkpoint, kind = chosen["model"], "", under, "LORA"
            self.take_lora(chosen)
            if under and reference is None:
                reference = {"model": under, **self.ids}
                self.guess(f"{BOTH_NAMED}; the LoRA is the model, {under!r} is under it")
        elif lora and lora != model and kind != "Checkpoint":
            under = model or checkpoint
            if under and reference is None:
                reference = {"model": under}
                self.guess(f"{BOTH_NAMED}; the LoRA is the model, {under!r} is under it")
            model, kind = lora, kind or "LORA"
        model = model or lora or checkpoint
        if kind is None:
            kind = "LORA" if lora or reference or "lora_weight" in self.given else "Checkpoint"
            if "type" in self.given:
                given = str(self.given["type"])[:40]
                self.lack("type", f"type {given!r} is neither LORA nor Checkpoint; {kind} was taken")
            elif not lora and model != checkpoint:
                self.lack("type", f"type is missing; {kind} was taken")
        if reference is None and checkpoint and kind == "LORA" and checkpoint != model:
            reference = {"model": checkpoint}
            self.guess(f"the checkpoint {checkpoint!r} was read as the one under the LoRA")
        if loras:
            self.guess(
                f"{', '.join(repr(each['model'][:60]) for each in loras)}: carried along as further LoRAs"
            )
        fields.update(model=model, type=kind, base_checkpoint=reference, loras=loras)

    def take_lora(self, chosen: Mapping[str, Any]) -> None:
        """Makes a LoRA of the list the model: the ids so far are those of the checkpoint under it."""
        self.ids = {
            "model_id": self.number("model_id", whole=True),
            "version_id": self.number("version_id", whole=True),
            "air": self.text("air"),
        }
        for field in ("model_id", "version_id", "air", "version", "lora_weight"):
            self.given.pop(field, None)
        named = {"lora_weight": "weight", "model_id": "model id", "version_id": "version id", "air": "air"}
        self.given |= {field: chosen[key] for field, key in named.items() if chosen.get(key) is not None}

    def reference(self) -> dict[str, Any] | None:
        given = self.given.get("base_checkpoint")
        name = name_in(given)
        if not name:
            return None
        if not isinstance(given, Mapping):
            return {"model": name}
        inner = _Reader({k: v for k, v in given.items() if k != "base_checkpoint"}, self.guesses)
        return {
            "model": name,
            "model_id": inner.number("model_id", whole=True),
            "version_id": inner.number("version_id", whole=True),
            "air": inner.text("air"),
        }

    def sizes(self, fields: dict[str, Any]) -> None:
        width, height = self.number("width", whole=True), self.number("height", whole=True)
        if width is None and height is None and "size" in self.given:
            size = self.given["size"]
            parts = size[:2] if isinstance(size, list | tuple) else [size]
            match = _SIZE.search("x".join(str(part)[:40] for part in parts))
            if match:
                width, height = int(match[1]), int(match[2])
        try:
            default = family_of(fields["base_model"]).default_size
        except UnknownBaseModel:
            default = family_of(DEFAULT_FAMILY).default_size
        fields["width"] = self.missing("width", default[0]) if width is None else width
        fields["height"] = self.missing("height", default[1]) if height is None else height

    def text(self, name: str) -> str | None:
        value = self.given.get(name)
        if isinstance(value, str):
            return well_formed(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MAX_NUMBER:
            return str(value)
        if value is not None:
            self.unreadable(name, "text")
        return None

    def unreadable(self, name: str, needed: str) -> None:
        self.guess(f"{name.replace('_', ' ')} is no {needed} and was left out")

    def number(self, name: str, *, whole: bool) -> int | float | None:
        value = self.given.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            match = _NUMBER.search(value[:200])
            number = float(match.group().replace(",", ".")) if match else math.nan
            if match and match.group().strip() != value.strip():
                self.guess(f"{name.replace('_', ' ')} {value[:40]!r} was read as {number:g}")
            value = int(match.group()) if match and match.group().lstrip("+-").isdecimal() else number
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.unreadable(name, "number")
            return None
        # the size first, because an integer can be too large to be made a float
        if isinstance(value, int | float) and (whole or isinstance(value, int)) and abs(value) > _MAX_NUMBER:
            value = math.inf
        if not math.isfinite(value):
            self.unreadable(name, "usable number")
            return None
        if not whole:
            return float(value)
        if isinstance(value, float) and not value.is_integer():
            self.guess(f"{name.replace('_', ' ')} {value:g} was rounded to {round(value)}")
        return round(value)

    def words(self, name: str) -> tuple[str, ...]:
        value = self.given.get(name)
        if isinstance(value, str):
            return tuple(word.strip() for word in well_formed(value).split(",") if word.strip())
        if isinstance(value, list | tuple):
            return tuple(well_formed(word) for word in value if isinstance(word, str))
        if value is not None:
            self.unreadable(name, "list of words")
        return ()

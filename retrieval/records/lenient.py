"""From any text or mapping to the fields of a T2I API, with a sentence for each assumption.

    >>> fields, guesses = read_fields('{"Model": "X", "sampler": "Euler a", "Size": "512x768"}')
    >>> fields["model"], fields["width"], fields["height"]
    ('X', 512, 768)

It knows the names of the fields and not the record, which is made in `retrieval.records.api`.
"""

import math
import re
from collections import deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from retrieval.errors import InvalidApi, UnknownBaseModel
from retrieval.records.lenient_json import find_objects
from retrieval.tables.families import DEFAULT_FAMILY, family_of
from retrieval.tables.samplers import find_sampler

MAX_TEXT_CHARS = 1_000_000
# the paper's default call (section 4.1): Euler a, 20 steps, cfg 7
DEFAULT_PARAMETERS: Mapping[str, Any] = MappingProxyType(
    {"sampling_method": "Euler a", "sampling_steps": 20, "cfg_scale": 7.0}
)
_MAX_NUMBER = 2**63 - 1
_MAX_SEARCHED = 10_000

_SPELLINGS = {
    "model": "model modelname checkpointname modeltitle",
    "type": "type modeltype",
    "base_model": "basemodel base basemodelname architecture family",
    "width": "width imagewidth w",
    "height": "height imageheight h",
    "size": "size resolution imagesize dimensions",
    "sampling_method": "samplingmethod sampler samplername samplemethod samplingmethodname",
    "scheduler": "scheduler",
    "schedule": "scheduletype schedule noiseschedule",
    "sampling_steps": "samplingsteps steps numinferencesteps numsteps inferencesteps samplesteps stepcount",
    "cfg_scale": "cfgscale cfg guidancescale guidance cfgvalue",
    "model_description": "modeldescription description",
    "model_id": "modelid",
    "version_id": "versionid modelversionid",
    "version": "version modelversion versionname modelversionname",
    "air": "air urn airurn",
    "base_checkpoint": "basecheckpoint",
    "lora_weight": "loraweight weight strength lorastrength lorascale",
    "trigger_words": "triggerwords trainedwords triggers activationwords triggerword",
    "clip_skip": "clipskip",
    "negative_prompt": "negativeprompt negative",
    "prompt": "prompt positiveprompt",
    "confidence": "confidence",
    "lora": "lora loraname",
    "checkpoint": "checkpoint ckpt",
    "name": "name",
}
# fields that are read together with another one, which says what was made of them
_OWN_SENTENCE = {"size", "schedule", "lora", "checkpoint"}
_FIELD = {spelling: field for field, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_TYPES = {
    "lora": "LORA",
    "locon": "LORA",
    "lycoris": "LORA",
    "dora": "LORA",
    "checkpoint": "Checkpoint",
    "ckpt": "Checkpoint",
    "checkpointmerge": "Checkpoint",
    "checkpointtrained": "Checkpoint",
}
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,200}(?:[.,][0-9]{1,200})?|\.[0-9]{1,200})")
_SIZE = re.compile(r"([0-9]{1,9})\s{0,9}(?:x|×|\*|by|,|/)\s{0,9}([0-9]{1,9})", re.IGNORECASE)
_NOT_WORD = re.compile(r"[^a-z0-9]+")


def fold_key(key: object) -> str:
    """`base Model`, `base_model` and `baseModel` as one: `basemodel`."""
    return _NOT_WORD.sub("", str(key)[:80].lower())


def well_formed(text: str) -> str:
    """The text without halves of characters (lone surrogates), which no file could hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def read_fields(value: str | Mapping[str, Any]) -> tuple[dict[str, Any], list[str], dict[str, str]]:
    """The fields of a T2I API under their Python names, complete; every assumption, a sentence each; and
    those fields that were missing, with their sentence.

    Raises:
        InvalidApi: no object with a model's name is in it.
    """
    guesses: list[str] = []
    found = _from_text(value, guesses) if isinstance(value, str) else _with_model([value])
    if found is None:
        raise InvalidApi(_nothing(value))
    reader = _Reader(found, guesses)
    return reader.fields(), guesses, reader.lacking


def _nothing(value: object) -> str:
    needed = 'needed is an object such as {"model": "DreamShaper", "type": "Checkpoint"}'
    if not isinstance(value, str | Mapping):
        return f"found a value of type {type(value).__name__} and no T2I API; {needed}"
    if isinstance(value, Mapping):
        keys = ", ".join(repr(str(key)[:40]) for key in list(value)[:8]) or "no fields"
        return f"found a mapping with {keys} and no model's name in it; {needed}"
    if not value.strip():
        return f"found an empty text and no T2I API; {needed}"
    start = " ".join(value[:200].split())[:60]
    return f"found no object with a model's name in the text {start!r}; {needed}"


def _from_text(text: str, guesses: list[str]) -> Mapping[str, Any] | None:
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidApi(
            f"the text has {len(text):,} characters and at most {MAX_TEXT_CHARS:,} are read; "
            "pass the answer alone"
        )
    first: Mapping[str, Any] | None = None
    for found in find_objects(text):
        named = _with_model([found.value])
        if named is None:
            continue
        if first is not None:
            guesses.append("the text holds several APIs; the first that names a model was taken")
            break
        first = named
        if not found.complete:
            guesses.append("the object is broken or cut off; what could be read of it was taken")
        elif not found.strict:
            guesses.append("the object is not valid JSON; it was read as it seems to be meant")
    return first


def _with_model(values: Iterable[Any]) -> Mapping[str, Any] | None:
    """The first mapping with a model's name, outer ones before inner ones."""
    queue = deque(values)
    for _ in range(_MAX_SEARCHED):
        if not queue:
            return None
        value = queue.popleft()
        if isinstance(value, Mapping):
            if _names_model(value):
                return value
            queue.extend(value.values())
        elif isinstance(value, list | tuple):
            queue.extend(value)
    return None


def _names_model(value: Mapping[Any, Any]) -> bool:
    known = {_FIELD.get(fold_key(key)): item for key, item in value.items()}
    if any(_name_in(known.get(field)) for field in ("model", "lora", "checkpoint")):
        return True
    # `name` alone is anything, and beside a family or a sampler it is a model
    others = {"base_model", "sampling_method", "sampling_steps", "cfg_scale", "model_id"}
    is_model = others & known.keys() or _kind(known.get("type"))
    return bool(is_model and _name_in(known.get("name")))


def _kind(given: object) -> str | None:
    return _TYPES.get(_NOT_WORD.sub("", str(given)[:40].lower()))


def _name_in(value: object) -> str:
    """A model's name as text, also where it stands in `{"name": …}`; empty if there is none."""
    if isinstance(value, Mapping):
        inner = {fold_key(key): item for key, item in value.items()}
        value = inner.get("name", inner.get("model", inner.get("modelname")))
    return well_formed(value) if isinstance(value, str) and value.strip() else ""


class _Reader:
    """Reads one mapping; `guesses` grows with each assumption, `lacking` with each missing field."""

    def __init__(self, found: Mapping[Any, Any], guesses: list[str]) -> None:
        self.guesses = guesses
        self.lacking: dict[str, str] = {}
        self.given: dict[str, Any] = {}
        known = [(key, _FIELD.get(fold_key(key)), value) for key, value in found.items()]
        # a field's own name goes before its other spellings
        for key, field, value in sorted(known, key=lambda item: fold_key(item[0]) != fold_key(item[1] or "")):
            if field is None or value is None or field in self.given:
                continue
            self.given[field] = value
            if fold_key(key) != fold_key(field) and field not in _OWN_SENTENCE:
                self.guess(f"{str(key)[:40]!r} was read as {field.replace('_', ' ')!r}")

    def guess(self, sentence: str) -> None:
        self.guesses.append(sentence)

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        family = self.text("base_model") or ""
        fields["base_model"] = family if family.strip() else self.missing("base_model", DEFAULT_FAMILY)
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
        for name in ("model_description", "negative_prompt", "prompt"):
            fields[name] = self.text(name) or ""
        for name in ("version", "air"):
            fields[name] = self.text(name)
        fields["trigger_words"] = self.words("trigger_words")
        return fields

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
        """Sets the model, its type and the checkpoint under it."""
        model, lora = _name_in(self.given.get("model")), _name_in(self.given.get("lora"))
        checkpoint = _name_in(self.given.get("checkpoint"))
        kind = _kind(self.given.get("type"))
        reference = self.reference()
        if not model and not lora and not checkpoint:
            model = _name_in(self.given.get("name"))
            self.guess("'name' was read as 'model'")
        if lora and lora != model and kind != "Checkpoint":
            under = model or checkpoint
            if under and reference is None:
                reference = {"model": under}
                self.guess(f"a LoRA and a checkpoint are named; the LoRA is the model, {under!r} is under it")
            model, kind = lora, kind or "LORA"
        model = model or checkpoint or lora
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
        fields.update(model=model, type=kind, base_checkpoint=reference)

    def reference(self) -> dict[str, Any] | None:
        given = self.given.get("base_checkpoint")
        name = _name_in(given)
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

"""The names under which the fields of a T2I API are written, and what of a value says nothing.

>>> field_of("cfgScale"), field_of("seed"), is_said("None")
('cfg_scale', None, False)
"""

import re
from collections.abc import Mapping
from typing import Any

_SPELLINGS = {
    "model": "model modelname checkpointname modeltitle sdmodelcheckpoint sdmodelname",
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
    "clip_skip": "clipskip clipstopatlastlayers",
    "negative_prompt": "negativeprompt negative",
    "prompt": "prompt positiveprompt",
    "confidence": "confidence",
    "lora": "lora loraname",
    "checkpoint": "checkpoint ckpt ckptname",
    "loras": "loras lorastack additionalnetworks additionalresources resources civitairesources",
    "digest": "modelhash checkpointhash sdmodelhash hash sha256 modelsha256 hashes",
    "name": "name",
}
# fields that are read together with another one, which says what was made of them
OWN_SENTENCE = {"size", "schedule", "lora", "checkpoint", "loras", "digest"}
_FIELD = {spelling: field for field, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_TYPES = {
    "lora": "LORA",
    "locon": "LORA",
    "lycoris": "LORA",
    "dora": "LORA",
    "checkpoint": "Checkpoint",
    "ckpt": "Checkpoint",
    "main": "Checkpoint",
    "checkpointmerge": "Checkpoint",
    "checkpointtrained": "Checkpoint",
}
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_NOTHING = frozenset(("", "none", "null", "n/a", "undefined"))
# a prompt may be the word "none"
_FREE_TEXT = frozenset(("prompt", "negative_prompt", "model_description"))


def fold_key(key: object) -> str:
    """`base Model`, `base_model` and `baseModel` as one: `basemodel`."""
    return _NOT_WORD.sub("", str(key)[:80].lower())


def well_formed(text: str) -> str:
    """The text without halves of characters (lone surrogates), which no file could hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def field_of(key: object) -> str | None:
    """The field that a key means, under its Python name."""
    return _FIELD.get(fold_key(key))


def is_said(value: object, field: str | None = None) -> bool:
    """Whether a value says something: null, an empty text and `None` as a text do not."""
    if isinstance(value, str):
        return field in _FREE_TEXT or value.strip().casefold() not in _NOTHING
    return value is not None


def names_model(value: Mapping[Any, Any]) -> bool:
    """Whether an object names a model itself."""
    known = {field_of(key): item for key, item in value.items()}
    if any(name_in(known.get(field)) for field in ("model", "lora", "checkpoint")):
        return True
    # `name` alone is anything, and beside a family or a sampler it is a model
    others = {"base_model", "sampling_method", "sampling_steps", "cfg_scale", "model_id"}
    is_model = others & known.keys() or kind_of(known.get("type"))
    return bool(is_model and name_in(known.get("name")))


def kind_of(given: object) -> str | None:
    return _TYPES.get(_NOT_WORD.sub("", str(given)[:40].lower()))


def name_in(value: object) -> str:
    """A model's name as text, also where it stands in `{"name": …}`; empty if there is none."""
    if isinstance(value, Mapping):
        inner = {fold_key(key): item for key, item in value.items()}
        value = inner.get("name", inner.get("model", inner.get("modelname")))
    return well_formed(value) if isinstance(value, str) and is_said(value) else ""

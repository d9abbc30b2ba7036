"""From a chosen model to a complete API call: everything the catalogue knows is filled in.

api_for(catalogue.get(7371), read_instruction("a lighthouse in a storm")).to_json()
default_api(catalogue.get(62437), read_instruction("a lighthouse in a storm")).to_json()
"""

import re
from typing import Any

from retrieval.calls.identify import air_of, table_family
from retrieval.calls.limits import DEFAULT_LORA_WEIGHT, within_limits
from retrieval.catalogue.names import normalise_name
from retrieval.errors import UnknownModel
from retrieval.records.api import DEFAULT_PARAMETERS, CheckpointRef, Instruction, T2IApi
from retrieval.records.model import ModelRecord, Settings, VersionRecord
from retrieval.tables.families import DEFAULT_FAMILY, Family, family_of

_MENU = 3
_OFTEN = 0.5
_MOST_STEPS = 40  # more cost time and change little with the samplers of today
_SMALLEST = 0.7  # of the native area
_VOUCHED = 3  # samples from which a setting is taken as it is


def api_for(
    record: ModelRecord,
    instruction: Instruction,
    *,
    version_id: int | None = None,
    confidence: float | None = None,
) -> T2IApi:
    """The call of a model for a request.

    Sampler, steps, cfg scale, size and clip skip are the model's recommended settings where the catalogue
    knows them and the family can do them, else the defaults of its family; a base model of no known family
    has those of `DEFAULT_FAMILY`, and no AIR. The prompt is the request, with the model's trigger words
    before it unless the request says one of them.

    Args:
        version_id: one of the record's versions; the default one if None.
        confidence: of the choice, in [0, 1].

    Raises:
        UnknownModel: the record has no such version.
    """
    version = record.default_version if version_id is None else record.version(version_id)
    if version_id is not None and version is None:
        known = ", ".join(str(known.version_id) for known in record.versions) or "none"
        raise UnknownModel(f"{record.model!r} has no version {version_id}; its versions are {known}")
    own = table_family(record.base_model)
    family = own or family_of(DEFAULT_FAMILY)
    settings = record.settings or Settings()
    width, height = _size(settings, family)
    triggers = trigger_words(record, version)
    lora = record.type == "LORA"
    weight = DEFAULT_LORA_WEIGHT if settings.lora_weight is None else settings.lora_weight
    api = T2IApi(
        model=record.model,
        type=record.type,
        base_model=record.base_model,
        width=width,
        height=height,
        sampling_method=settings.sampling_method or DEFAULT_PARAMETERS["sampling_method"],
        sampling_steps=_steps(settings),
        cfg_scale=_cfg(settings),
        model_description=record.description,
        model_id=record.model_id,
        version_id=version.version_id if version else None,
        version=(version.version or None) if version else None,
        air=record.air(version.version_id) if version and own else air_of(record, version),
        base_checkpoint=_base_checkpoint(settings, own) if lora else None,
        lora_weight=weight if lora else None,
        trigger_words=triggers,
        clip_skip=settings.clip_skip if family.has_clip_skip else None,
        negative_prompt=instruction.negative_prompt,
        prompt=with_trigger(_worth_saying(record, triggers), instruction.prompt),
        confidence=confidence,
    )
    return within_limits(api, own, record)


def recommended_api(
    record: ModelRecord, version: VersionRecord | None, instruction: Instruction | None
) -> T2IApi:
    """As `api_for`, also without a request: then the prompt is empty."""
    version_id = version.version_id if version else None
    filled = api_for(record, instruction or Instruction(prompt="-"), version_id=version_id)
    return filled if instruction is not None else filled.model_copy(update={"prompt": ""})


def default_settings(family: Family) -> dict[str, Any]:
    """The paper's default settings (section 4.1) as fields of a call: Euler a, 20 steps, cfg 7, in the
    family's own size."""
    return {"width": family.default_width, "height": family.default_height, **DEFAULT_PARAMETERS}


def default_api(record: ModelRecord, instruction: Instruction | None) -> T2IApi:
    """The paper's default call (section 4.1): a base model with `default_settings`, whatever is recommended
    for it. Without a request the prompt is empty."""
    plain = record.model_copy(update={"settings": None})
    return recommended_api(plain, plain.default_version, instruction)


def facts(record: ModelRecord, version: VersionRecord | None) -> dict[str, Any]:
    """What the catalogue knows of a model and version that is no setting, as fields of a call."""
    return {
        "model": record.model,
        "type": record.type,
        "model_description": record.description,
        "trigger_words": trigger_words(record, version),
        "model_id": record.model_id,
        "version_id": version.version_id if version else None,
        "version": version.version if version else None,
        "air": air_of(record, version),
    }


def trigger_words(record: ModelRecord, version: VersionRecord | None) -> tuple[str, ...]:
    """The trigger words of the version if it has its own, else those of the model."""
    return version.trigger_words if version and version.trigger_words else record.trigger_words


def with_trigger(triggers: tuple[str, ...], prompt: str) -> str:
    """The prompt behind the first trigger word (or comma-separated group), unless it says any of them.

    A creator's list is mostly one of "any of these"; adding all of them would drown the request. A long list
    is a menu, of which nothing is taken unasked.
    """
    said = f" {_words(prompt)} "
    compact = normalise_name(prompt)
    for trigger in triggers:
        words = _words(trigger)
        if f" {words} " in said or (not words.isascii() and normalise_name(trigger) in compact):
            return prompt
    first = triggers[:1] if len(triggers) <= _MENU else ()
    return ", ".join((*first, prompt)) if prompt else "".join(first)


def _worth_saying(record: ModelRecord, triggers: tuple[str, ...]) -> tuple[str, ...]:
    """The trigger words in the order in which they are worth saying, the one that most samples say first.

    A checkpoint draws without its own, so one is said only where at least half of its samples do, or where it
    has no samples and one trigger word.
    """
    said = {trigger: _share(record, trigger) for trigger in triggers}
    often = [trigger for trigger in triggers if said[trigger] >= _OFTEN]
    if often:
        return (max(often, key=lambda trigger: said[trigger]),)
    unknown = not record.terms and len(triggers) == 1
    return triggers if record.type == "LORA" or unknown else ()


def _share(record: ModelRecord, trigger: str) -> float:
    """The share of the sample prompts that say a trigger word, by its first two words."""
    return record.terms.get(" ".join(_words(trigger.partition(",")[0]).split()[:2]), 0.0)


def _size(settings: Settings, family: Family) -> tuple[int, int]:
    """The model's own, unless it is too small to draw well: many samples are made small and then enlarged."""
    if settings.width is None or settings.height is None:
        return family.default_size
    small = settings.width * settings.height < _SMALLEST * family.native_size**2
    return family.default_size if small else (settings.width, settings.height)


def _steps(settings: Settings) -> int:
    steps = settings.sampling_steps or int(DEFAULT_PARAMETERS["sampling_steps"])
    return min(steps, _MOST_STEPS)


def _cfg(settings: Settings) -> float:
    """The model's own, drawn to the usual where few samples vouch for it."""
    usual = float(DEFAULT_PARAMETERS["cfg_scale"])
    if settings.cfg_scale is None:
        return usual
    # 0 where nobody knows how many: then a person set it
    if not 0 < settings.samples < _VOUCHED:
        return settings.cfg_scale
    drawn = (settings.samples * settings.cfg_scale + _VOUCHED * usual) / (settings.samples + _VOUCHED)
    return round(2 * drawn) / 2


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _base_checkpoint(settings: Settings, family: Family | None) -> CheckpointRef | None:
    """The checkpoint most sample images of a LoRA were made with, else the family's base model."""
    if settings.base_checkpoint is not None or family is None:
        return settings.base_checkpoint
    return CheckpointRef(model=family.default_model or family.name, model_id=family.default_model_id)

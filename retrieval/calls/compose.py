"""From a chosen model to a complete API call: everything the catalogue knows is filled in.

api_for(catalogue.get(7371), read_instruction("a lighthouse in a storm")).to_json()
default_api(catalogue.get(62437), read_instruction("a lighthouse in a storm")).to_json()
"""

import re
from typing import Any

from retrieval.calls.identify import air_of, table_family
from retrieval.calls.limits import DEFAULT_LORA_WEIGHT, idle, within_limits
from retrieval.catalogue.names import normalise_name
from retrieval.errors import UnknownModel
from retrieval.records.api import CheckpointRef, Instruction, T2IApi
from retrieval.records.model import ModelRecord, Settings, VersionRecord
from retrieval.search.terms import squash
from retrieval.tables.families import DEFAULT_FAMILY, Family, family_of
from retrieval.tables.family_sampling import Sampling, sampling_of

_MENU = 3
_OFTEN = 0.5
_SMALLEST = 0.7  # of the native area
_VOUCHED = 3  # samples from which a setting is taken as it is
# "zrpg_style", "V0id3nergy", "pxl" and "GemstoneAI" are tokens that a LoRA was taught, "modern house" is not
_TOKEN = re.compile(r"[a-z]\d|\d[a-z]|_|[a-z][A-Z]|^[^\W\daeiouyAEIOUY]{3,}$")
_SHORTEST_NAME = 3
_SHOWN_TRIGGERS, _SHOWN = 6, 60


def api_for(
    record: ModelRecord,
    instruction: Instruction,
    *,
    version_id: int | None = None,
    confidence: float | None = None,
) -> T2IApi:
    """The call of a model for a request.

    Sampler, steps, cfg scale, size and clip skip are the model's recommended settings where the catalogue
    knows them and the family can do them, else the usual ones of its family; a base model of no known family
    has those of `DEFAULT_FAMILY`, and no AIR. What the family has not is left out. The prompt is the request,
    with the model's trigger word before it unless the request says one of them (`worth_saying`).

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
    usual = sampling_of(version.base_model if version else "", family.sampling)
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
        sampling_method=settings.sampling_method or usual.sampler,
        sampling_steps=_steps(settings, usual),
        cfg_scale=_cfg(settings, usual),
        model_description=record.description,
        model_id=record.model_id,
        version_id=version.version_id if version else None,
        version=(version.version or None) if version else None,
        air=record.air(version.version_id) if version and own else air_of(record, version),
        base_checkpoint=_base_checkpoint(settings, own) if lora else None,
        lora_weight=weight if lora else None,
        trigger_words=triggers,
        clip_skip=settings.clip_skip,
        negative_prompt=instruction.negative_prompt,
        prompt=with_trigger(worth_saying(record, triggers), instruction.prompt),
        confidence=confidence,
    )
    return within_limits(api, own, record)


def composed_notes(record: ModelRecord, instruction: Instruction, api: T2IApi) -> tuple[str, ...]:
    """What a person should know of a composed call: what was left out or set otherwise, a sentence each."""
    notes: list[str] = []
    own = table_family(record.base_model)
    if instruction.negative_prompt and not api.negative_prompt and own is not None:
        asked = api.model_copy(update={"negative_prompt": instruction.negative_prompt})
        notes += [f"the {change.field} is left out: {change.why}" for change in idle(asked, own)]
    settings = record.settings or Settings()
    version = record.version(api.version_id) if api.version_id is not None else None
    usual = sampling_of(version.base_model if version else "", (own or family_of(DEFAULT_FAMILY)).sampling)
    if settings.sampling_steps is not None and settings.sampling_steps > usual.most_steps:
        notes.append(f"its samples took {settings.sampling_steps} steps; {usual.most_steps} do as well")
    triggers = trigger_words(record, version)
    if record.type == "LORA" and len(triggers) > 1 and not says_trigger(triggers, api.prompt):
        shown = ", ".join(repr(trigger[:_SHOWN]) for trigger in triggers[:_SHOWN_TRIGGERS])
        notes.append(f"its trigger words are a menu, of which none was asked for: {shown}")
    return tuple(notes)


def recommended_api(
    record: ModelRecord, version: VersionRecord | None, instruction: Instruction | None
) -> T2IApi:
    """As `api_for`, also without a request: then the prompt is empty."""
    version_id = version.version_id if version else None
    filled = api_for(record, instruction or Instruction(prompt="-"), version_id=version_id)
    return filled if instruction is not None else filled.model_copy(update={"prompt": ""})


def default_settings(family: Family) -> dict[str, Any]:
    """The default settings as fields of a call, in the family's own size: those of the paper (section 4.1:
    Euler a, 20 steps, cfg 7) for the families of which it speaks, else what is usual."""
    usual = family.sampling
    return {
        "width": family.default_width,
        "height": family.default_height,
        "sampling_method": usual.sampler,
        "sampling_steps": usual.steps,
        "cfg_scale": usual.cfg,
    }


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
    if says_trigger(triggers, prompt):
        return prompt
    first = triggers[:1] if len(triggers) <= _MENU else ()
    return ", ".join((*first, prompt)) if prompt else "".join(first)


def with_own_trigger(api: T2IApi) -> str:
    """The prompt of a call that anybody made, behind the trigger word of its LoRA if it says none."""
    triggers = api.trigger_words
    if api.type != "LORA" or says_trigger(triggers, api.prompt):
        return api.prompt
    return with_trigger(triggers if len(triggers) == 1 else taught(api.model, triggers), api.prompt)


def says_trigger(triggers: tuple[str, ...], prompt: str) -> bool:
    """Whether a prompt says one of the trigger words, as a word of its own."""
    said = f" {_words(prompt)} "
    compact = normalise_name(prompt)
    for trigger in triggers:
        words = _words(trigger)
        if f" {words} " in said or (not words.isascii() and normalise_name(trigger) in compact):
            return True
    return False


def worth_saying(record: ModelRecord, triggers: tuple[str, ...]) -> tuple[str, ...]:
    """The trigger word to say of those of a model, the one that most samples say; empty where none is.

    A checkpoint draws without its own, so one is said only where at least half of its samples do, or where it
    has no samples and one trigger word. A LoRA's only one is said; several are a menu where the samples do
    not tell which one counts, and of a menu only a token that the LoRA was taught is said.
    """
    said = {trigger: _share(record, trigger) for trigger in triggers}
    often = [trigger for trigger in triggers if said[trigger] >= _OFTEN]
    if record.type != "LORA":
        unknown = not record.terms and len(triggers) == 1
        best = max(often, key=lambda trigger: said[trigger], default=None)
        return (best,) if best is not None else triggers if unknown else ()
    if len(triggers) < 2:
        return triggers
    tokens = taught(record.model, triggers)
    chosen = [trigger for trigger in often if record.samples > 1 or trigger in (*tokens, triggers[0])]
    best = max(chosen or tokens, key=lambda trigger: said[trigger], default=None)
    return () if best is None else (best,)


def taught(model: str, triggers: tuple[str, ...]) -> tuple[str, ...]:
    """The trigger words that are tokens that a LoRA was taught, and no ordinary words: those that its name
    says, or, of a few, that are written as no word is or of which its name says every longer word."""
    name = squash(model)

    def is_taught(trigger: str) -> bool:
        if len(squash(trigger)) >= _SHORTEST_NAME and squash(trigger) in name:
            return True
        if len(triggers) > _MENU:
            return False
        parts = [part for part in map(squash, trigger.split()) if len(part) > _SHORTEST_NAME]
        return bool(_TOKEN.search(trigger)) or (bool(parts) and all(part in name for part in parts))

    return tuple(filter(is_taught, triggers))


def _share(record: ModelRecord, trigger: str) -> float:
    """The share of the sample prompts that say a trigger word, by its first two words."""
    return record.terms.get(" ".join(_words(trigger.partition(",")[0]).split()[:2]), 0.0)


def _size(settings: Settings, family: Family) -> tuple[int, int]:
    """The model's own, unless it is too small to draw well: many samples are made small and then enlarged."""
    if settings.width is None or settings.height is None:
        return family.default_size
    small = settings.width * settings.height < _SMALLEST * family.native_size**2
    return family.default_size if small else (settings.width, settings.height)


def _steps(settings: Settings, usual: Sampling) -> int:
    """The model's own, drawn to the usual where few samples vouch for them, and never more than help."""
    if settings.sampling_steps is None:
        return usual.steps
    return min(round(_drawn(settings.sampling_steps, usual.steps, settings.samples)), usual.most_steps)


def _cfg(settings: Settings, usual: Sampling) -> float:
    """The model's own, drawn to the usual where few samples vouch for it."""
    if settings.cfg_scale is None:
        return float(usual.cfg)
    drawn = _drawn(settings.cfg_scale, usual.cfg, settings.samples)
    return settings.cfg_scale if drawn == settings.cfg_scale else round(2 * drawn) / 2


def _drawn(own: float, usual: float, samples: int) -> float:
    """A setting between a model's own and the usual one."""
    # 0 where nobody knows how many: then a person set it
    if not 0 < samples < _VOUCHED:
        return own
    return (samples * own + _VOUCHED * usual) / (samples + _VOUCHED)


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _base_checkpoint(settings: Settings, family: Family | None) -> CheckpointRef | None:
    """The checkpoint most sample images of a LoRA were made with, else the family's base model."""
    if settings.base_checkpoint is not None or family is None:
        return settings.base_checkpoint
    return CheckpointRef(model=family.default_model or family.name, model_id=family.default_model_id)

"""Which parameters of a T2I API its family of models cannot do, and the nearest value that it can.

    for change in corrections(api, family_of("SD 1.5"), record):
        print(change.field, change.before, "->", change.after, change.why)

`judge` names these faults and `repair` applies them, so that what is repaired is valid. What a family lacks,
and what does therefore nothing, is no fault (`idle`): composed calls and exports leave it out.
"""

import math
from dataclasses import dataclass
from typing import Any

from retrieval.errors import UnknownBaseModel
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord, Settings
from retrieval.tables.families import DEFAULT_FAMILY, Family, family_of
from retrieval.tables.family_sampling import Sampling
from retrieval.tables.samplers import find_sampler, nearest_sampler

MAX_STEPS = 150
"""As in A1111's own form; beyond it nobody asks on purpose."""
MAX_CLIP_SKIP = 12
"""The layers of the text encoder of SD 1.5."""
MAX_LORA_WEIGHT = 2.0
DEFAULT_LORA_WEIGHT = 0.8
_SHOWN, _SAMPLER_WORDS = 60, 8
MIN_SAMPLER_SIMILARITY = 0.7
"""Below it a sampler's name is no misspelling: `Eulr a` is, `magic` is not. One wrong sign in a name of four
is still read."""


@dataclass(frozen=True)
class Change:
    """A field as the JSON spells it, its value before and after, and why, in words for a user."""

    field: str
    before: Any
    after: Any
    why: str

    @property
    def attribute(self) -> str:
        """The field's name in Python."""
        return self.field.replace(" ", "_")

    @property
    def was(self) -> str:
        """The value before in words; text, which may be a stranger's, in quotation marks."""
        return repr(self.before[:_SHOWN]) if isinstance(self.before, str) else str(self.before)


def corrections(api: T2IApi, family: Family | None, record: ModelRecord | None) -> tuple[Change, ...]:
    """What must change in the parameters; empty where all of them can be used.

    Args:
        family: whose limits hold; those of `DEFAULT_FAMILY` if it is unknown.
        record: its recommended settings take the place of values that mean nothing.
    """
    settings = (record.settings if record else None) or Settings()
    limits = family or family_of(DEFAULT_FAMILY)
    found = [*_size(api, limits), *_sampling(api, settings, limits.sampling), *_extras(api, settings)]
    return tuple(found)


def idle(api: T2IApi, family: Family | None) -> tuple[Change, ...]:
    """What a call says that its family has not, and that therefore changes nothing; none where the family is
    unknown."""
    if family is None:
        return ()
    found = []
    if api.clip_skip is not None and not family.has_clip_skip:
        why = f"it does nothing on {family.name}"
        found.append(Change("clip skip", api.clip_skip, None, why))
    if api.negative_prompt and not family.sampling.has_negative_prompt:
        why = f"it does nothing on {family.name}, which is sampled without one"
        found.append(Change("negative prompt", api.negative_prompt, "", why))
    return tuple(found)


def within_limits(api: T2IApi, family: Family | None, record: ModelRecord) -> T2IApi:
    """The API of a model with every value that its family cannot do brought to the nearest that it can, and
    without what it has not."""
    changes = (*corrections(api, family, record), *idle(api, family))
    fixes = {change.attribute: change.after for change in changes}
    return api.model_copy(update=fixes) if fixes else api


def adjust(api: T2IApi, **update: Any) -> tuple[T2IApi, tuple[str, ...]]:
    """The API with other values, those that its family cannot do brought within its limits, and why, a
    sentence each. What the caller did not touch stays as it is; a size is one wish of two values."""
    try:
        family: Family | None = family_of(api.base_model)
    except UnknownBaseModel:  # a family of a catalogue of one's own has no limits here
        family = None
    asked = api.model_copy(update=update)
    faults = [
        change
        for change in (*corrections(asked, family, None), *idle(asked, family))
        if change.attribute in update or {change.attribute, *update} >= {"width", "height"}
    ]
    made = asked.model_copy(update={change.attribute: change.after for change in faults})
    return made, tuple(f"{each.field} {each.was} became {each.after}: {each.why}" for each in faults)


def _size(api: T2IApi, family: Family) -> list[Change]:
    width, why_width = _side("width", api.width, family.default_width, family)
    height, why_height = _side("height", api.height, family.default_height, family)
    if width * height > family.max_pixels:
        shrink = math.sqrt(family.max_pixels / (width * height))
        # every family can make its shortest side beside its longest one, so neither gets too short here
        width, height = (int(side * shrink) // family.multiple * family.multiple for side in (width, height))
        # which says more than what was wrong with one side before
        why_width = why_height = f"{family.name} makes at most {family.max_pixels:,} pixels at once"
    return [
        Change(name, before, after, why)
        for name, before, after, why in (
            ("width", api.width, width, why_width),
            ("height", api.height, height, why_height),
        )
        if before != after
    ]


def _side(name: str, value: int, default: int, family: Family) -> tuple[int, str]:
    """A side in pixels that the family can do, and why it is another than `value`."""
    if value <= 0:
        return (
            default,
            f"a {name} of {value} pixels makes no picture; {default} is what {family.name} was made for",
        )
    if value < family.min_side:
        return family.min_side, f"{family.name} makes nothing of use below {family.min_side} pixels"
    if value > family.max_side:
        return family.max_side, f"{family.name} makes nothing of use above {family.max_side} pixels"
    step = family.multiple
    rounded = (value + step // 2) // step * step
    if rounded != value:
        return rounded, f"the {name} must be a multiple of {step}"
    return value, ""


def _sampling(api: T2IApi, settings: Settings, family: Sampling) -> list[Change]:
    found: list[Change] = []
    steps = api.sampling_steps
    if steps < 1:
        usual = _within(settings.sampling_steps, 1, MAX_STEPS) or family.steps
        found.append(Change("sampling steps", steps, int(usual), f"{steps} steps make no picture"))
    elif steps > MAX_STEPS:
        found.append(
            Change("sampling steps", steps, MAX_STEPS, f"more than {MAX_STEPS} steps are not offered")
        )
    cfg = api.cfg_scale
    least, most = family.cfg_range
    if not math.isfinite(cfg) or cfg <= 0:
        usual = _within(settings.cfg_scale, least, most) or family.cfg
        found.append(Change("cfg scale", cfg, float(usual), "it must be a number above 0"))
    elif not least <= cfg <= most:
        nearest = float(min(max(cfg, least), most))
        found.append(Change("cfg scale", cfg, nearest, f"it lies within {least:g} and {most:g}"))
    if find_sampler(api.sampling_method) is None:
        after, why = _sampler(api.sampling_method, settings, family)
        found.append(Change("sampling method", api.sampling_method, after, why))
    return found


def _sampler(name: str, settings: Settings, family: Sampling) -> tuple[str, str]:
    """What stands in for an unknown sampler: the one misspelled, else the model's, else the default."""
    from rapidfuzz.distance import OSA

    near = nearest_sampler(name).name
    if OSA.normalized_similarity(name.casefold().strip(), near.casefold()) >= MIN_SAMPLER_SIMILARITY:
        return near, f"no sampler is called {name[:60]!r}; this is the nearest name"
    words = name.split()[:_SAMPLER_WORDS]
    for count in range(len(words) - 1, 0, -1):
        alone = find_sampler(" ".join(words[:count]))
        if alone is not None:
            rest = " ".join(words[count:])[:60]
            return alone.name, f"no noise schedule is called {rest!r}; this is the sampler in its usual one"
    usual = settings.sampling_method
    if usual is not None and find_sampler(usual) is not None:
        return usual, f"no sampler is called {name[:60]!r}; this one is recommended for the model"
    return family.sampler, f"no sampler is called {name[:60]!r}; this is the default"


def _extras(api: T2IApi, settings: Settings) -> list[Change]:
    found: list[Change] = []
    clip = api.clip_skip
    if clip is not None and not 1 <= clip <= MAX_CLIP_SKIP:
        nearest = min(max(clip, 1), MAX_CLIP_SKIP)
        found.append(Change("clip skip", clip, nearest, f"the text encoder has {MAX_CLIP_SKIP} layers"))
    weight = api.lora_weight
    if weight is not None:
        if api.type == "Checkpoint":
            found.append(Change("lora weight", weight, None, "a checkpoint has no LoRA weight"))
        elif not math.isfinite(weight):
            usual = _within(settings.lora_weight, -MAX_LORA_WEIGHT, MAX_LORA_WEIGHT) or DEFAULT_LORA_WEIGHT
            found.append(Change("lora weight", weight, usual, "it must be a number"))
        elif abs(weight) > MAX_LORA_WEIGHT:
            nearest_weight = math.copysign(MAX_LORA_WEIGHT, weight)
            why = f"beyond {MAX_LORA_WEIGHT:g} either way a LoRA breaks the picture"
            found.append(Change("lora weight", weight, nearest_weight, why))
    if api.type == "Checkpoint" and api.base_checkpoint is not None:
        why = "only a LoRA is loaded on another checkpoint"
        found.append(Change("base checkpoint", api.base_checkpoint.model, None, why))
    if api.confidence is not None and not 0 <= api.confidence <= 1:
        found.append(Change("confidence", api.confidence, None, "a confidence lies within 0 and 1"))
    return found


def _within(value: float | None, low: float, high: float) -> float | None:
    """The value if it can be used at all."""
    return value if value is not None and math.isfinite(value) and low <= value <= high else None

"""The rules for sample images: what is shown, what their metadata says, what the dataset can use.

    drop = first_drop(Sample(image, read_generation(image.meta), family, "LORA"), IMAGE_RULES, limits)

Made as those for models and versions (finetune/dabench/model_rules.py), and asked in the same order: safety
first.
"""

from dataclasses import dataclass

from diffagent_tools.formats.generation import Generation, sampler_of
from finetune.dabench.model_rules import SHOWN, Limits, Rule, is_above
from retrieval.calls.limits import MAX_CLIP_SKIP
from retrieval.records.civitai import ApiImage
from retrieval.tables.families import Family
from retrieval.tables.screen import is_advertised, is_blocked, is_of_minors, names_a_person

_SCREENED = 20_000


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample image with what its metadata says, and the family and type of its version."""

    image: ApiImage
    made: Generation | None
    family: Family
    type: str

    @property
    def generation(self) -> Generation:
        """Of an image that has passed `has_no_metadata`."""
        assert self.made is not None
        return self.made


def image_concerns_minors(sample: Sample, limits: Limits) -> str | None:
    """Flagged so, or its prompt says so; never switched off."""
    if sample.image.minor:
        return "flagged minor"
    prompt = sample.made.prompt if sample.made else None
    return "in its prompt" if prompt and is_of_minors(prompt[:_SCREENED]) else None


def image_is_of_a_real_person(sample: Sample, limits: Limits) -> str | None:
    """Flagged so, or its prompt names one."""
    if limits.config.real_people:
        return None
    if sample.image.poi:
        return "flagged poi"
    prompt = sample.made.prompt if sample.made else None
    return "in its prompt" if prompt and names_a_person(prompt[:_SCREENED]) else None


def image_is_nsfw(sample: Sample, limits: Limits) -> str | None:
    """Above the browsing level, or not rated yet."""
    level = sample.image.level
    if limits.config.nsfw or level is None:
        return None
    if level == 0:
        return "not rated"
    return f"browsing level {level}" if is_above(level, limits.config.max_image_level) else None


def image_is_a_video(sample: Sample, limits: Limits) -> str | None:
    """It moves, so that steps and sampler are those of another kind of model."""
    return "video" if sample.image.is_video else None


def image_has_no_metadata(sample: Sample, limits: Limits) -> str | None:
    """Nobody says how it was made."""
    return "no metadata" if sample.made is None else None


def image_has_no_prompt(sample: Sample, limits: Limits) -> str | None:
    """Or nothing in it but LoRA tags."""
    prompt = sample.generation.prompt
    return None if prompt and prompt.strip(" ,.;\n\t") else "no prompt"


def prompt_is_too_long(sample: Sample, limits: Limits) -> str | None:
    """Longer than any program reads."""
    longest = max(len(sample.generation.prompt or ""), len(sample.generation.negative_prompt))
    return f"{longest:,} characters" if longest > limits.config.max_prompt_chars else None


def prompt_is_nsfw(sample: Sample, limits: Limits) -> str | None:
    """A word of the lists is in it; the negative prompt, which says what shall not be seen, may hold them."""
    prompt = sample.generation.prompt or ""
    return (
        None if limits.config.nsfw or not (is_blocked(prompt) or is_advertised(prompt)) else "in its prompt"
    )


def image_is_from_an_image(sample: Sample, limits: Limits) -> str | None:
    """Its start was another image."""
    wanted = limits.config.images_from_images
    return "img2img or inpainting" if sample.generation.from_image and not wanted else None


def sampler_is_unknown(sample: Sample, limits: Limits) -> str | None:
    """No program offers it, or none is named."""
    name = sample.generation.sampler
    if name is None:
        return "no sampler"
    return None if sampler_of(sample.generation) else f"sampler {name[:SHOWN]!r}"


def steps_are_unusable(sample: Sample, limits: Limits) -> str | None:
    """Missing, none, or more than anybody means."""
    steps = sample.generation.steps
    if steps is None or not steps.is_integer():
        return "no number of steps"
    return None if 1 <= steps <= limits.config.max_steps else f"{steps:,.0f} steps"


def cfg_scale_is_unusable(sample: Sample, limits: Limits) -> str | None:
    """Missing or outside what programs offer."""
    scale = sample.generation.cfg_scale
    if scale is None:
        return "no cfg scale"
    inside = limits.config.min_cfg_scale <= scale <= limits.config.max_cfg_scale
    return None if inside else f"cfg scale {scale:g}"


def size_is_unusable(sample: Sample, limits: Limits) -> str | None:
    """Missing, or one that the family cannot make in one go."""
    if sample.generation.size is None:
        return "no size"
    (width, height), family = sample.generation.size, sample.family
    sides = all(family.min_side <= side <= family.max_side for side in (width, height))
    even = width % family.multiple == 0 == height % family.multiple
    usable = sides and even and width * height <= family.max_pixels
    return None if usable else f"size {width}x{height}"


def clip_skip_is_unusable(sample: Sample, limits: Limits) -> str | None:
    """More layers than the text encoder has."""
    skip = sample.generation.clip_skip
    return None if skip is None or 1 <= skip <= MAX_CLIP_SKIP else f"clip skip {skip}"


IMAGE_RULES: tuple[Rule[Sample], ...] = (
    image_concerns_minors,
    image_is_of_a_real_person,
    image_is_nsfw,
    image_is_a_video,
    image_has_no_metadata,
    image_has_no_prompt,
    prompt_is_too_long,
    prompt_is_nsfw,
    image_is_from_an_image,
    sampler_is_unknown,
    steps_are_unusable,
    cfg_scale_is_unusable,
    size_is_unusable,
    clip_skip_is_unusable,
)

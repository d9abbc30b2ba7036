"""The rules for models and versions: each says what it found in a record that it drops, or None.

    drop = first_drop(model, MODEL_RULES, limits)
    drop.rule, drop.found        # ('is nsfw', 'flagged nsfw')

A rule is a small function, and its name is how drops are counted. They are asked in order, safety first, so
that what is withheld for what it shows is counted as that and not as unpopular. What concerns minors is
asked first and has no switch. Those for sample images are in finetune/dabench/image_rules.py.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from finetune.dabench.config import BuildConfig
from retrieval.errors import UnknownBaseModel
from retrieval.records.civitai import ApiFile, ApiModel, ApiVersion
from retrieval.tables.families import Family, family_of
from retrieval.tables.screen import is_advertised, is_blocked, is_of_minors, names_a_person

_MODEL_FILES = {"model", "pruned model"}
SHOWN = 60
"""so many characters of a strange value are told"""
_family = functools.lru_cache(maxsize=1024)(family_of)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the rules go by: the thresholds, and the moment of collection as ISO text."""

    config: BuildConfig
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Which rule dropped a record, and what it found there; never a word of a prompt."""

    rule: str
    found: str


Rule = Callable[[T, Limits], str | None]


def first_drop(record: T, rules: Sequence[Rule[T]], limits: Limits) -> Dropped | None:
    """By the first rule that finds something; None if the record stays."""
    for rule in rules:
        found = rule(record, limits)
        if found is not None:
            return Dropped(rule_name(rule), found)
    return None


def rule_name(rule: Callable[..., str | None]) -> str:
    """`model_is_nsfw` as it is counted: `model is nsfw`."""
    return rule.__name__.replace("_", " ")


# models


def model_concerns_minors(model: ApiModel, limits: Limits) -> str | None:
    """Flagged so, or its name or a tag says so; never switched off."""
    if model.minor:
        return "flagged minor"
    return "in its name or tags" if any(map(is_of_minors, (model.name, *model.tags))) else None


def model_is_a_real_person(model: ApiModel, limits: Limits) -> str | None:
    """Flagged as depicting a person who lives or lived, or named after one."""
    if limits.config.real_people:
        return None
    return "flagged poi" if model.poi else "in its name" if names_a_person(model.name) else None


def model_is_nsfw(model: ApiModel, limits: Limits) -> str | None:
    """Flagged so, or without an image at or below the browsing level, or advertised so in its name or tags.

    A model's level has the bits of all images of all its versions, and most known models have one explicit
    image somewhere; its versions and their images are judged on their own.
    """
    if limits.config.nsfw:
        return None
    if model.nsfw:
        return "flagged nsfw"
    if model.level and is_above(_mildest(model.level), limits.config.max_model_level):
        return f"browsing level {model.level}"
    if is_advertised(model.name) or is_blocked(model.name):
        return "in its name"
    return "in its tags" if any(map(is_advertised, model.tags)) else None


def model_is_another_type(model: ApiModel, limits: Limits) -> str | None:
    """Neither LoRA nor checkpoint, or not the one that is wanted."""
    return None if model.type in limits.config.types else f"type {model.type}"


def model_is_withdrawn(model: ApiModel, limits: Limits) -> str | None:
    """Archived, taken down, or not public."""
    if model.mode is not None:
        return f"mode {model.mode}"
    return None if model.availability in (None, "Public") else f"availability {model.availability}"


def model_has_no_versions(model: ApiModel, limits: Limits) -> str | None:
    """Nothing to load."""
    return None if model.versions else "no versions"


def model_has_few_downloads(model: ApiModel, limits: Limits) -> str | None:
    """Fewer than the threshold, or unknown."""
    downloads = model.votes.downloads
    if downloads is None:
        return "downloads not given"
    return f"{downloads:,} downloads" if downloads < limits.config.min_downloads else None


def model_has_few_votes(model: ApiModel, limits: Limits) -> str | None:
    """Fewer thumbs or ratings than the threshold."""
    count = model.votes.count
    return f"{count:,} votes" if count < limits.config.min_votes else None


def model_is_voted_down(model: ApiModel, limits: Limits) -> str | None:
    """Less approval than the threshold, where anybody has voted."""
    approval = model.votes.approval
    return (
        f"approval {approval:.2f}" if approval is not None and approval < limits.config.min_approval else None
    )


MODEL_RULES: tuple[Rule[ApiModel], ...] = (
    model_concerns_minors,
    model_is_a_real_person,
    model_is_nsfw,
    model_is_another_type,
    model_is_withdrawn,
    model_has_no_versions,
    model_has_few_downloads,
    model_has_few_votes,
    model_is_voted_down,
)
NO_VERSION_LEFT = "model has no version left"


# versions


def version_concerns_minors(version: ApiVersion, limits: Limits) -> str | None:
    """Its name or a trigger word says so; never switched off."""
    said = any(map(is_of_minors, (version.name, *version.trained_words)))
    return "in its name or trigger words" if said else None


def version_is_nsfw(version: ApiVersion, limits: Limits) -> str | None:
    """Its sample images are above the browsing level, or its name or trigger words advertise it."""
    if limits.config.nsfw:
        return None
    if version.level is not None and is_above(version.level, limits.config.max_version_level):
        return f"browsing level {version.level}"
    words = (version.name, *version.trained_words)
    return "in its name or trigger words" if any(is_advertised(w) or is_blocked(w) for w in words) else None


def version_is_of_another_family(version: ApiVersion, limits: Limits) -> str | None:
    """Its base model is of a family that is not wanted, or of none that is known."""
    family = family_or_none(version.base_model)
    if family is None:
        return f"unknown base model {(version.base_model or 'none')[:SHOWN]!r}"
    return None if family.name in limits.config.families else f"family {family.name}"


def version_is_no_plain_base(version: ApiVersion, limits: Limits) -> str | None:
    """An inpainting model or a refiner, which no prompt alone can use."""
    kind = version.base_model_kind
    return None if kind in (None, "Standard") else f"kind {kind}"


def version_is_unpublished(version: ApiVersion, limits: Limits) -> str | None:
    """A draft, private, or only to be used on the site."""
    if version.status not in (None, "Published"):
        return f"status {version.status}"
    if version.availability not in (None, "Public", "EarlyAccess"):
        return f"availability {version.availability}"
    return None if version.usage in (None, "Download") else f"usage {version.usage}"


def version_is_in_early_access(version: ApiVersion, limits: Limits) -> str | None:
    """Sold, or not free yet, at the moment of collection."""
    if version.availability == "EarlyAccess":
        return "availability EarlyAccess"
    ends = _date(version.early_access_ends)
    if ends is None and version.early_access_days > 0:
        start = _date(version.published) or _date(version.created)
        if start is None:
            return f"{version.early_access_days} days from an unknown date on"
        ends = start + timedelta(days=version.early_access_days)
    now = _date(limits.as_of)
    if ends is None or (now is not None and ends <= now):
        return None
    return f"until {ends:%Y-%m-%d}"


def version_has_no_usable_file(version: ApiVersion, limits: Limits) -> str | None:
    """No weights that can be downloaded, are safetensors, and were scanned clean."""
    if usable_files(version):
        return None
    weights = [file for file in version.files if (file.kind or "").casefold() in _MODEL_FILES]
    if not weights:
        return "no file of weights"
    if not any(file.url for file in weights):
        return "no download address"
    if not any(file.is_safetensors for file in weights):
        return f"format {', '.join(sorted({str(file.format) for file in weights}))}"
    return f"scans {', '.join(sorted({f'{file.pickle_scan}/{file.virus_scan}' for file in weights}))}"


def usable_files(version: ApiVersion) -> list[ApiFile]:
    """The files of weights that can be downloaded, are safetensors, and were scanned clean."""
    return [
        file
        for file in version.files
        if (file.kind or "").casefold() in _MODEL_FILES and file.url and file.is_safetensors and file.is_clean
    ]


VERSION_RULES: tuple[Rule[ApiVersion], ...] = (
    version_concerns_minors,
    version_is_nsfw,
    version_is_of_another_family,
    version_is_no_plain_base,
    version_is_unpublished,
    version_is_in_early_access,
    version_has_no_usable_file,
)


def family_or_none(base_model: str | None) -> Family | None:
    """The family of a base model; None for one that is not in the table."""
    try:
        return _family(base_model) if base_model else None
    except UnknownBaseModel:
        return None


def _mildest(level: int) -> int:
    """The lowest bit."""
    return level & -level


def is_above(level: int, most: int) -> bool:
    """Whether the highest bit of a level is above that of the allowed one."""
    return level.bit_length() > most.bit_length()


def _date(written: str | None) -> datetime | None:
    try:
        date = datetime.fromisoformat(written) if written else None
    except ValueError:
        return None
    return date.replace(tzinfo=UTC) if date is not None and date.tzinfo is None else date

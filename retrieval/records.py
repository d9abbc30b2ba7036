"""What is known of a model: frozen records, and the text of a model that is embedded and searched.

record = ModelRecord.model_validate_json(line)
document_text(record)
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from retrieval.api import CheckpointRef, make_air
from retrieval.errors import UnknownBaseModel
from retrieval.families import family_of

DOCUMENT_SCHEMA = 1
"""Raised when `document_text` changes, so that an index of an older text is told apart."""
DOCUMENT_TERMS = 24
ModelType = Literal["LORA", "Checkpoint"]
CommercialUse = Literal["Image", "Rent", "RentCivit", "Sell"]
_FROZEN = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


@functools.lru_cache(maxsize=1024)
def family_name(base_model: str) -> str:
    """The family's name of a Civitai base model; a base model of no known family keeps its own name."""
    try:
        return family_of(base_model).name
    except UnknownBaseModel:
        return base_model


class Stats(BaseModel):
    """Counts as the source gave them; None where it gave none."""

    model_config = _FROZEN

    downloads: int | None = None
    favorites: int | None = None
    comments: int | None = None
    rating_count: int | None = None
    rating: float | None = None
    thumbs_up: int | None = None


class VersionRecord(BaseModel):
    """One version of a model; `sha256` in upper case, `base_model` as Civitai spells it."""

    model_config = _FROZEN

    version_id: int
    version: str
    base_model: str
    sha256: tuple[str, ...] = ()
    file_names: tuple[str, ...] = ()
    trigger_words: tuple[str, ...] = ()
    available: bool = True
    nsfw_level: int | None = None
    stats: Stats = Stats()

    @field_validator("sha256")
    @classmethod
    def _upper(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(digest.upper() for digest in value)


class Settings(BaseModel):
    """Recommended settings: the mode of each over `samples` sample images; None where no image said."""

    model_config = _FROZEN

    sampling_method: str | None = None
    sampling_steps: int | None = Field(default=None, gt=0)
    cfg_scale: float | None = None
    width: int | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, gt=0)
    clip_skip: int | None = None
    lora_weight: float | None = None
    base_checkpoint: CheckpointRef | None = None
    samples: int = 0


class ModelRecord(BaseModel):
    """One model. On disk: one JSON object a line, these keys, defaults left out.

    `base_model` is the family's name, `versions` are ordered newest first (those of the family before
    others). `terms` and `negative_terms` hold words and two-word terms of the sample prompts with the share
    of sample prompts that hold them; `description_terms` are weighted words and two-word terms of the
    creator's description; `keywords` are the terms that tell this model from others, the most telling first.
    `commercial_use` is what the licence allows, () nothing, None unknown; other None
    likewise mean unknown.
    """

    model_config = _FROZEN

    model_id: int
    model: str = Field(min_length=1)
    type: ModelType
    base_model: str = Field(min_length=1)
    description: str = ""
    trigger_words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    versions: tuple[VersionRecord, ...] = ()
    available: bool = True
    status: str | None = None
    nsfw: bool | None = None
    nsfw_level: int | None = None
    poi: bool | None = None
    minor: bool | None = None
    creator: str | None = None
    commercial_use: tuple[CommercialUse, ...] | None = None
    allow_no_credit: bool | None = None
    allow_derivatives: bool | None = None
    stats: Stats = Stats()
    settings: Settings | None = None
    terms: Mapping[str, float] = Field(default_factory=dict)
    negative_terms: Mapping[str, float] = Field(default_factory=dict)
    description_terms: Mapping[str, float] = Field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    samples: int = 0
    aliases: tuple[str, ...] = ()
    source: str | None = None

    @field_validator("base_model")
    @classmethod
    def _family(cls, value: str) -> str:
        return family_name(value)

    @property
    def page_url(self) -> str:
        return f"https://civitai.com/models/{self.model_id}"

    @property
    def default_version(self) -> VersionRecord | None:
        """The newest available version of the record's own family, else newest available, else newest."""
        available = [version for version in self.versions if version.available]
        own = [version for version in available if family_name(version.base_model) == self.base_model]
        return next(iter(own or available or self.versions), None)

    def version(self, version_id: int) -> VersionRecord | None:
        return next((version for version in self.versions if version.version_id == version_id), None)

    def air(self, version_id: int | None = None) -> str | None:
        """The AIR of a version, of the default one if none is named; None where no version is known."""
        if version_id is None:
            if self.default_version is None:
                return None
            version_id = self.default_version.version_id
        return make_air(self.base_model, self.type, self.model_id, version_id)

    def allows_commercial_use(self) -> bool | None:
        """Whether images made with it may be sold; None where the licence is unknown."""
        return None if self.commercial_use is None else "Image" in self.commercial_use

    def allows_nsfw_level(self, level: int) -> bool:
        """Whether the model and its default version lie within Civitai's browsing level (1, 2, 4, 8, 16).

        A level nobody gave counts as 1 for a model that is known not to be NSFW, else as above every level.
        """
        default = self.default_version
        levels = [self.nsfw_level, default.nsfw_level if default else None]
        known = [value for value in levels if value is not None]
        if not known:
            return self.nsfw is False
        highest = max(value.bit_length() for value in known)
        return self.nsfw is not True and highest <= level.bit_length()

    def to_wire(self) -> dict[str, Any]:
        """The JSON object of a catalogue line: defaults are left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


def document_text(record: ModelRecord) -> str:
    """The text that stands for a model in an index: name, trigger words, description, tags, keywords.

    A record without keywords gives its most frequent terms in their place. Terms that say nothing new are
    left out.
    """
    parts = [record.model]
    if record.trigger_words:
        parts.append(", ".join(record.trigger_words[:8]))
    if record.description:
        parts.append(record.description)
    if record.tags:
        parts.append(", ".join(record.tags[:12]))
    said = set(" ".join(parts).casefold().replace(",", " ").split())
    terms: list[str] = []
    for term in record.keywords or sorted(record.terms, key=lambda term: (-record.terms[term], term)):
        words = set(term.split())
        if not words <= said:
            terms.append(term)
            said |= words
        if len(terms) == DOCUMENT_TERMS:
            break
    if terms:
        parts.append(", ".join(terms))
    return ". ".join(part.rstrip(". ") for part in parts)

"""What is known of a model: frozen records, and the text of a model that is embedded and searched.

record = ModelRecord.model_validate_json(line)
document_text(record)
"""

import functools
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from retrieval.errors import UnknownBaseModel
from retrieval.records.air import make_air
from retrieval.records.api import MAX_SIDE, CheckpointRef
from retrieval.records.border import MAX_ID, Count, Id, Line, Lines, Name, Terms, Words
from retrieval.records.inert import one_line
from retrieval.tables.families import family_of
from retrieval.tables.screen import is_advertised, is_likeness

DOCUMENT_TERMS = 24
SAFE = 1
"""The browsing level of what is shown to whoever did not ask for more: Civitai's PG."""
RATINGS = {1: "PG", 2: "PG-13", 4: "R", 8: "X", 16: "XXX", 32: "blocked", None: "not rated"}
"""Civitai's browsing levels in words."""
_EXPLICIT = 16
# of a model with one of them a LoRA shows somebody who did not say yes to it
_LIKENESS_TAGS = frozenset(
    {"celebrity", "celebrities", "real person", "real people", "actor", "actress", "person"}
)
LOCAL_IDS = 10**15
"""Ids from here on are of files that no site knows; below 2**53, so that every program reads them exactly."""
ModelType = Literal["LORA", "Checkpoint"]
CommercialUse = Literal["Image", "Rent", "RentCivit", "Sell"]
_FROZEN = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)
# beyond what any program offers; what a family cannot do is brought within its limits when a call is composed
_MOST_STEPS, _MOST_CFG, _MOST_WEIGHT, _MOST_CLIP_SKIP = 10_000, 1_000, 100, 100


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

    downloads: Count | None = None
    favorites: Count | None = None
    comments: Count | None = None
    rating_count: Count | None = None
    rating: float | None = Field(default=None, ge=0, le=100)
    thumbs_up: Count | None = None


class VersionRecord(BaseModel):
    """One version of a model; `sha256` in upper case, `base_model` as Civitai spells it.

    `path`: where its file lies on this machine, None where it is not there or nobody looked; then the first
    of `file_names` is what programs list it by, folders and all.
    """

    model_config = _FROZEN

    version_id: Id
    version: Line
    base_model: Line
    sha256: Words = ()
    file_names: Words = ()
    trigger_words: Words = ()
    available: bool = True
    nsfw_level: Count | None = None
    stats: Stats = Stats()
    path: str | None = None

    @field_validator("sha256")
    @classmethod
    def _upper(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(digest.upper() for digest in value)


class Settings(BaseModel):
    """Recommended settings: the mode of each over `samples` sample images; None where no image said."""

    model_config = _FROZEN

    sampling_method: Line | None = None
    sampling_steps: int | None = Field(default=None, gt=0, le=_MOST_STEPS)
    cfg_scale: float | None = Field(default=None, ge=0, le=_MOST_CFG)
    width: int | None = Field(default=None, gt=0, le=MAX_SIDE)
    height: int | None = Field(default=None, gt=0, le=MAX_SIDE)
    clip_skip: int | None = Field(default=None, ge=0, le=_MOST_CLIP_SKIP)
    lora_weight: float | None = Field(default=None, ge=-_MOST_WEIGHT, le=_MOST_WEIGHT)
    base_checkpoint: CheckpointRef | None = None
    samples: Count = 0

    @field_validator("base_checkpoint")
    @classmethod
    def _known(cls, value: CheckpointRef | None) -> CheckpointRef | None:
        """A call may hold any checkpoint until it is checked, a record only one that can be called."""
        if value is None:
            return None
        for name in ("model_id", "version_id"):
            number = getattr(value, name)
            if number is not None and not 1 <= number <= MAX_ID:
                raise ValueError(f"its {name} is {str(number)[:40]}; needed is 1 to {MAX_ID}")
        update = {"model": one_line(value.model), "air": value.air and one_line(value.air)}
        return value.model_copy(update=update)


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

    model_id: Id
    model: Name
    type: ModelType
    base_model: Name
    description: Lines = ""
    trigger_words: Words = ()
    tags: Words = ()
    versions: tuple[VersionRecord, ...] = ()
    available: bool = True
    status: Line | None = None
    nsfw: bool | None = None
    nsfw_level: Count | None = None
    poi: bool | None = None
    minor: bool | None = None
    creator: Line | None = None
    commercial_use: tuple[CommercialUse, ...] | None = None
    allow_no_credit: bool | None = None
    allow_derivatives: bool | None = None
    stats: Stats = Stats()
    settings: Settings | None = None
    terms: Terms = Field(default_factory=dict)
    negative_terms: Terms = Field(default_factory=dict)
    description_terms: Terms = Field(default_factory=dict)
    keywords: Words = ()
    samples: Count = 0
    aliases: Words = ()
    source: Line | None = None

    @field_validator("base_model")
    @classmethod
    def _family(cls, value: str) -> str:
        return family_name(value)

    @property
    def page_url(self) -> str:
        """Its page; empty for a file that no site knows."""
        return "" if self.is_local else f"https://civitai.com/models/{self.model_id}"

    @property
    def is_local(self) -> bool:
        """Whether no site knows it, so that its ids are of this machine alone."""
        return self.model_id >= LOCAL_IDS

    @property
    def default_version(self) -> VersionRecord | None:
        """The newest available version of the record's own family, else newest available, else newest."""
        available = [version for version in self.versions if version.available]
        own = [version for version in available if family_name(version.base_model) == self.base_model]
        return next(iter(own or available or self.versions), None)

    def version(self, version_id: int) -> VersionRecord | None:
        return next((version for version in self.versions if version.version_id == version_id), None)

    def air(self, version_id: int | None = None) -> str | None:
        """The AIR of a version, of the default one if none is named; None where no version or no site is
        known."""
        if self.is_local:
            return None
        if version_id is None:
            if self.default_version is None:
                return None
            version_id = self.default_version.version_id
        return make_air(self.base_model, self.type, self.model_id, version_id)

    def allows_commercial_use(self) -> bool | None:
        """Whether images made with it may be sold; None where the licence is unknown."""
        return None if self.commercial_use is None else "Image" in self.commercial_use

    @property
    def browsing_level(self) -> int | None:
        """The lowest browsing level (1, 2, 4, 8, 16, 32) that it is within; None: nobody rated it.

        A level has a bit for every level of its images. Those of the default version count all; the model's
        are those of every version, and most models have an explicit image somewhere, so that its mildest bit
        counts where the version is rated or the model is flagged safe. A model whose name, tags or trigger
        words advertise adult content is what they say, whatever its flag.
        """
        version = self.default_version.nsfw_level if self.default_version else None
        levels = [_level(version)] if version else []
        if self.nsfw_level:
            mildest = self.nsfw_level & -self.nsfw_level
            levels.append(mildest if version or self.nsfw is False else _level(self.nsfw_level))
        if self.nsfw:
            levels.append(4 if levels else _EXPLICIT)
        # a checkpoint's trigger words are what its samples said, a LoRA's are what it was trained for
        taught = self.trigger_words if self.type == "LORA" else ()
        if is_advertised("\n".join((self.model, *self.tags, *taught))):
            levels.append(_EXPLICIT)
        if not levels:
            return SAFE if self.nsfw is False else None
        return min(max(levels), 32)

    @property
    def rating(self) -> str:
        """`browsing_level` in words."""
        return RATINGS[self.browsing_level]

    def allows_nsfw_level(self, level: int) -> bool:
        """Whether it lies within a browsing level (1, 2, 4, 8, 16); what nobody rated does not."""
        own = self.browsing_level
        return own is not None and own.bit_length() <= level.bit_length()

    @property
    def shows_a_person(self) -> bool:
        """Whether it is made to look like a real person, or shows a minor: such a model is never offered."""
        likeness = self.type == "LORA" and any(tag.casefold() in _LIKENESS_TAGS for tag in self.tags)
        return bool(self.poi or self.minor) or likeness or is_likeness(self.model)

    def may_be_offered(self, level: int = SAFE) -> bool:
        """Whether it may come unasked: within the browsing level or not rated, and nobody's likeness."""
        return not self.shows_a_person and (self.browsing_level is None or self.allows_nsfw_level(level))

    def to_wire(self) -> dict[str, Any]:
        """The JSON object of a catalogue line: defaults are left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


def _level(bits: int) -> int:
    """The highest level of some images; a few of PG-13 among those of PG do not count."""
    return SAFE if bits & SAFE and bits <= 3 else 1 << (bits.bit_length() - 1)


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

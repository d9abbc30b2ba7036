"""From kept models and their sample images to Instruction-API pairs.

    reader = PairReader(kept, hashes, limits)
    for image in images:
        found = reader.read(image)        # a Pair, or which rule dropped the image

A pair is what somebody asked for and the API that made it (paper section 3.1, dataset composition).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, cast

from diffagent_tools.formats.generation import Generation, lora_weight, read_generation, sampler_of
from finetune.dabench.checkpoint_hashes import CheckpointHashes, KnownCheckpoint
from finetune.dabench.image_rules import IMAGE_RULES, Sample, image_has_no_metadata
from finetune.dabench.model_rules import Dropped, Limits, first_drop, rule_name, usable_files
from retrieval.calls.limits import MAX_LORA_WEIGHT
from retrieval.errors import InvalidInstruction
from retrieval.records.api import Instruction, read_instruction
from retrieval.records.civitai import ApiImage, ApiModel, ApiVersion
from retrieval.tables.families import Family

SEEN = "image is listed twice"
OF_NOTHING = "image is of no version that is there"
OF_DROPPED = "image is of a dropped model or version"
UNREADABLE = "prompt or settings are unreadable"
OTHER_CHECKPOINT = "image is made by another checkpoint"
OTHER_ARCHITECTURE = "base checkpoint is of another architecture"
DROPPED_CHECKPOINT = "base checkpoint is dropped itself"
REPEATED = "pair is there already"


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """A version that passed the rules, with its model and family."""

    model: ApiModel
    version: ApiVersion
    family: Family

    @property
    def type(self) -> Literal["LORA", "Checkpoint"]:
        """Of the model; the rules let no other one through."""
        return cast("Literal['LORA', 'Checkpoint']", self.model.type)

    @property
    def sha256(self) -> tuple[str, ...]:
        """Of its usable files."""
        found = (file.hashes.get("SHA256") for file in usable_files(self.version))
        return tuple(value for value in found if value is not None and len(value) == 64)

    @property
    def file_names(self) -> tuple[str, ...]:
        """Of its usable files."""
        return tuple(dict.fromkeys(file.name for file in usable_files(self.version) if file.name))


@dataclass(frozen=True, slots=True)
class Pair:
    """One instruction and the API that answered it; `key` is the same whenever the dataset is built."""

    key: str
    instruction: Instruction
    kept: KeptVersion
    width: int
    height: int
    sampling_method: str
    sampling_steps: int
    cfg_scale: float
    clip_skip: int | None
    seed: int | None
    lora_weight: float | None
    base: KnownCheckpoint | None

    @property
    def model_id(self) -> int:
        """Of the model that answers."""
        return self.kept.model.id


class PairReader:
    """Reads images one after the other; it remembers what it has seen.

    Args:
        kept: by version id.
        versions: ids of all versions that were collected, dropped ones among them.
    """

    def __init__(
        self,
        kept: Mapping[int, KeptVersion],
        versions: frozenset[int],
        hashes: CheckpointHashes,
        limits: Limits,
    ) -> None:
        self._kept = kept
        self._versions = versions
        self._hashes = hashes
        self._limits = limits
        self._names = {version_id: _stems(one) for version_id, one in kept.items() if one.type == "LORA"}
        self._seen: set[tuple[int | str, int | None]] = set()
        self._pairs: set[int] = set()

    def read(self, image: ApiImage) -> Pair | Dropped:
        """The pair of an image, or why there is none."""
        kept = self._kept.get(image.version_id) if image.version_id is not None else None
        if kept is None:
            of = image.version_id
            return Dropped(OF_DROPPED if of in self._versions else OF_NOTHING, f"version {of}")
        place = (image.key, image.version_id)
        if image.key and place in self._seen:
            return Dropped(SEEN, f"image {image.key}"[:80])
        made = read_generation(image.meta)
        drop = first_drop(Sample(image, made, kept.family, kept.type), IMAGE_RULES, self._limits)
        # an image without metadata may come again with them
        if drop is None or drop.rule != _NO_METADATA:
            self._seen.add(place)
        if drop is not None or made is None:
            return drop or Dropped(_NO_METADATA, "no metadata")
        return self._pair(image, made, kept)

    def _pair(self, image: ApiImage, made: Generation, kept: KeptVersion) -> Pair | Dropped:
        base = self._hashes.resolve(made.checkpoint_hashes, made.checkpoint_name, made.checkpoint_versions)
        under: KnownCheckpoint | None = None
        if kept.type == "LORA":
            refused = base if isinstance(base, Dropped) else _unusable(base, kept)
            if refused is not None:
                return refused
            under = cast(KnownCheckpoint, base)
        elif isinstance(base, KnownCheckpoint) and not _is_of(base, kept):
            return Dropped(OTHER_CHECKPOINT, f"model {base.model_id}")
        said = {"prompt": made.prompt, "negative prompt": made.negative_prompt}
        try:
            instruction = read_instruction(said)
        except InvalidInstruction as error:
            return Dropped(UNREADABLE, str(error)[:80])
        sampler = sampler_of(made)
        if sampler is None or made.size is None or made.steps is None or made.cfg_scale is None:
            return Dropped(UNREADABLE, "settings are missing")
        pair = Pair(
            key=f"{kept.version.id}-{image.key}",
            instruction=instruction,
            kept=kept,
            width=made.size[0],
            height=made.size[1],
            sampling_method=sampler.name,
            sampling_steps=int(made.steps),
            cfg_scale=made.cfg_scale,
            clip_skip=made.clip_skip if kept.family.has_clip_skip else None,
            seed=made.seed,
            lora_weight=self._weight(made, kept),
            base=under,
        )
        content = hash(_content(pair))
        if content in self._pairs:
            return Dropped(REPEATED, f"version {kept.version.id}")
        self._pairs.add(content)
        return pair

    def _weight(self, made: Generation, kept: KeptVersion) -> float | None:
        if kept.type != "LORA":
            return None
        weight = lora_weight(made, kept.version.id, self._names[kept.version.id])
        usable = weight is not None and math.isfinite(weight) and abs(weight) <= MAX_LORA_WEIGHT
        return weight if usable else None


_NO_METADATA = rule_name(image_has_no_metadata)


def _content(pair: Pair) -> tuple[Any, ...]:
    """What makes two pairs the same, whatever the image's number and seed."""
    return (
        pair.kept.version.id,
        pair.instruction.prompt,
        pair.instruction.negative_prompt,
        pair.width,
        pair.height,
        pair.sampling_method,
        pair.sampling_steps,
        pair.cfg_scale,
        pair.clip_skip,
        pair.base.version_id if pair.base else None,
    )


def _is_of(base: KnownCheckpoint, kept: KeptVersion) -> bool:
    """Whether the file is the model's own, also where another page offers the same."""
    return base.model_id == kept.model.id or (base.sha256 is not None and base.sha256 in kept.sha256)


def _unusable(base: KnownCheckpoint, kept: KeptVersion) -> Dropped | None:
    if base.architecture != kept.family.architecture:
        return Dropped(OTHER_ARCHITECTURE, f"model {base.model_id}, {base.family or 'unknown family'}")
    if base.dropped is not None:
        return Dropped(DROPPED_CHECKPOINT, f"model {base.model_id}: {base.dropped}")
    return None


def _stems(kept: KeptVersion) -> frozenset[str]:
    return frozenset(PurePosixPath(name).stem.casefold() for name in kept.file_names)

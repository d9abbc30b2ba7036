"""What is known of one file, in records that are remembered as JSON between two scans.

`Told` is what a page or a program says of the model, `Sample` how one picture was made, `FoundFile` the file.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from diffagent_tools.formats.generation import Generation, lora_weight, sampler_of
from retrieval.records.model import CommercialUse, Stats

_FROZEN = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
_TEXT_CHARS = 20_000
_NEGATIVE_CHARS = 4_000
_MOST_STEPS = 1_000
_MOST_SIDE = 100_000
_MOST_CFG = 100.0
_MOST_CLIP_SKIP = 100


class Sample(BaseModel):
    """How a picture was made: pixels, and the names as Civitai spells them. `checkpoint`: its file's name."""

    model_config = _FROZEN

    prompt: str
    negative_prompt: str = ""
    sampler: str | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    size: tuple[int, int] | None = None
    clip_skip: int | None = None
    lora_weight: float | None = None
    checkpoint: str | None = None


class Told(BaseModel):
    """What was written of a model beside its file or on its page; what is not said is None or empty.

    `text` is the creator's description as it is. `withdrawn`: why the model cannot be had (any more), and
    `early`: why this version cannot be had yet. `negative`: what a user keeps as this model's negative
    prompt. `weight`: what a user keeps as a LoRA's weight.
    """

    model_config = _FROZEN

    model_id: int | None = None
    version_id: int | None = None
    model: str | None = None
    version: str | None = None
    type: str | None = None
    base_model: str | None = None
    trigger_words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    text: str = ""
    creator: str | None = None
    nsfw: bool | None = None
    nsfw_level: int | None = None
    version_level: int | None = None
    poi: bool | None = None
    minor: bool | None = None
    withdrawn: str | None = None
    early: str | None = None
    commercial_use: tuple[CommercialUse, ...] | None = None
    allow_no_credit: bool | None = None
    allow_derivatives: bool | None = None
    stats: Stats = Stats()
    sha256: tuple[str, ...] = ()
    weight: float | None = None
    negative: str = ""
    samples: tuple[Sample, ...] = ()

    def behind(self, first: "Told") -> "Told":
        """What `first` says, and where that says nothing, what this one says; of ratings the stricter one."""
        update: dict[str, Any] = {
            name: value
            for name, value in first
            if value != type(self).model_fields[name].default and name not in _STRICTER
        }
        for name in _STRICTER:
            known = [value for value in (getattr(first, name), getattr(self, name)) if value is not None]
            update[name] = max(known, default=None)
        return self.model_copy(update=update)


_STRICTER = ("nsfw", "nsfw_level", "version_level", "poi", "minor")


class FoundFile(BaseModel):
    """A file of weights, or a folder in diffusers' layout.

    `root`: the folder or address that was scanned. `name`: as ComfyUI and A1111 list it, the folders below
    that of its kind and all. `path`: None where it lies on another machine. `kind`: "LORA", "Checkpoint", or
    what else it is. `base_model`: its family, None where nothing tells; `guessed` where only a name told.
    `fault`: why nothing could be read of it. `tags`: captions it was trained on, with the share of pictures.
    `asked`: whether Civitai was asked for it.
    """

    model_config = _FROZEN

    root: str
    name: str
    path: str | None = None
    size: int = 0
    kind: str = "unknown"
    base_model: str | None = None
    guessed: bool = False
    fault: str | None = None
    sha256: str | None = None
    told: Told = Told()
    tags: Mapping[str, float] = {}
    asked: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether a picture can be asked of it: a checkpoint or LoRA of a known family."""
        return self.fault is None and self.kind in ("LORA", "Checkpoint") and self.base_model is not None


def sample_of(made: Generation, version_id: int | None, stem: str) -> Sample | None:
    """The sample of a picture's metadata; None where there is no prompt, or another picture was its start."""
    if not made.prompt or made.from_image:
        return None
    sampler, skip = sampler_of(made), made.clip_skip
    weight = lora_weight(made, version_id or 0, frozenset({stem.casefold()}))
    return Sample(
        prompt=made.prompt[:_TEXT_CHARS],
        negative_prompt=made.negative_prompt[:_NEGATIVE_CHARS],
        sampler=sampler.name if sampler else None,
        steps=int(made.steps) if made.steps and 1 <= made.steps <= _MOST_STEPS else None,
        cfg_scale=made.cfg_scale if made.cfg_scale and 0 < made.cfg_scale <= _MOST_CFG else None,
        size=made.size if made.size and all(0 < side <= _MOST_SIDE for side in made.size) else None,
        clip_skip=skip if skip is not None and 0 <= skip <= _MOST_CLIP_SKIP else None,
        lora_weight=weight if weight is not None and abs(weight) <= 2 else None,
        checkpoint=(made.checkpoint_name or "")[:200] or None,
    )

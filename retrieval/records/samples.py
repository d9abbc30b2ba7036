"""What sample images and a page say of a model, as the fields of its record.

settings_of([SampleSettings("Euler a", 20, 7.0, (512, 768), None, None, None)])
clean_words(["Ink", "https://a.page"], TRIGGERS_KEPT)      # ("Ink",)
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from retrieval.records.api import CheckpointRef
from retrieval.records.civitai import Votes
from retrieval.records.model import Settings, Stats
from retrieval.tables.screen import is_advertised, is_blocked

T = TypeVar("T", bound=Hashable)
TRIGGERS_KEPT = 20
TAGS_KEPT = 16


@dataclass(frozen=True)
class SampleSettings:
    """What can be used again of the settings that made one sample image."""

    sampling_method: str | None
    sampling_steps: int | None
    cfg_scale: float | None
    size: tuple[int, int] | None
    clip_skip: int | None
    lora_weight: float | None
    base: CheckpointRef | None


def settings_of(samples: Sequence[SampleSettings]) -> Settings | None:
    """The mode of every setting over a model's sample images; None without any."""
    if not samples:
        return None
    width, height = mode([sample.size for sample in samples if sample.size]) or (None, None)
    bases = {(sample.base.model_id, sample.base.version_id): sample.base for sample in samples if sample.base}
    usual = mode([(sample.base.model_id, sample.base.version_id) for sample in samples if sample.base])
    return Settings(
        sampling_method=mode([sample.sampling_method for sample in samples if sample.sampling_method]),
        sampling_steps=mode([sample.sampling_steps for sample in samples if sample.sampling_steps]),
        cfg_scale=mode([sample.cfg_scale for sample in samples if sample.cfg_scale is not None]),
        width=width,
        height=height,
        clip_skip=mode([sample.clip_skip for sample in samples if sample.clip_skip is not None]),
        lora_weight=mode([sample.lora_weight for sample in samples if sample.lora_weight is not None]),
        base_checkpoint=bases[usual] if usual is not None else None,
        samples=len(samples),
    )


def stats_of(votes: Votes) -> Stats:
    """The counts as a record has them."""
    return Stats(
        downloads=votes.downloads,
        favorites=votes.favorites,
        comments=votes.comments,
        rating_count=votes.rating_count,
        rating=votes.rating,
        thumbs_up=votes.thumbs_up,
    )


def mode(values: Sequence[T]) -> T | None:
    """The most frequent value; of equally frequent ones the one that sorts first."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], _sortable(value)), default=None)


def _sortable(value: Hashable) -> Any:
    return value if isinstance(value, int | float | tuple) else str(value)


def clean_words(words: Iterable[str], count: int) -> tuple[str, ...]:
    """Trigger words or tags without blocked ones, links and whole sentences, each once."""
    kept: dict[str, str] = {}
    for entry in words:
        parts = [" ".join(part.split()) for part in entry.split(",")]
        safe = ", ".join(part for part in parts if part and not is_blocked(part) and not is_advertised(part))
        short = len(safe) <= 60 and len(safe.split()) <= 6
        if safe and short and "http" not in safe and "<" not in safe:
            kept.setdefault(safe.casefold(), safe)
    return tuple(kept.values())[:count]

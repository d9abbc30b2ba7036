"""The catalogue of a built dataset: the facts of the kept models, and what their training pairs say.

    records = catalogue_records(kept, training_pairs, packaged={}, source="Civitai's API")

Settings, profiles and descriptions come from the pairs that are given and from no other ones, so that a
catalogue made of the training split knows nothing of the evaluation's prompts.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from finetune.civitai.objects import Votes
from finetune.dabench.checkpoint_hashes import KnownCheckpoint
from finetune.dabench.pairs import KeptVersion, Pair
from finetune.describe.catalogue import ChatWriter, complete
from retrieval.records.air import make_air
from retrieval.records.api import CheckpointRef
from retrieval.records.model import ModelRecord, Settings, Stats, VersionRecord
from retrieval.tables.screen import is_advertised, is_blocked

T = TypeVar("T", bound=Hashable)
TRIGGERS_KEPT = 20
TAGS_KEPT = 16


def catalogue_records(
    kept: Iterable[KeptVersion],
    pairs: Iterable[Pair],
    *,
    packaged: Mapping[int, ModelRecord],
    source: str,
    writer: ChatWriter | None = None,
) -> list[ModelRecord]:
    """One record a model, by falling number of downloads; a model without pairs has no settings.

    Args:
        kept: versions of one architecture, of each model in the API's order.
        packaged: records of base checkpoints that the pairs name and nobody collected; they are added as they
            are.
        source: where the facts are from.
        writer: writes the descriptions; the extractive describer alone if None.
    """
    versions: dict[int, list[KeptVersion]] = defaultdict(list)
    for one in kept:
        versions[one.model.id].append(one)
    samples: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs:
        samples[pair.model_id].append(pair)
    records = [_record(found, samples[model_id], source) for model_id, found in versions.items()]
    completed = complete(
        records,
        {number: [pair.instruction.prompt for pair in samples[number]] for number in versions},
        {number: [pair.instruction.negative_prompt for pair in samples[number]] for number in versions},
        texts={model_id: found[0].model.description for model_id, found in versions.items()},
        writer=writer,
    )
    named = {pair.base.model_id for rows in samples.values() for pair in rows if pair.base}
    added = [packaged[number] for number in sorted(named - versions.keys()) if number in packaged]
    return by_downloads([*completed, *added])


@dataclass(frozen=True)
class SampleSettings:
    """What can be used again of the settings that made one sample image."""

    sampling_method: str | None
    sampling_steps: int
    cfg_scale: float
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
        sampling_steps=mode([sample.sampling_steps for sample in samples]),
        cfg_scale=mode([sample.cfg_scale for sample in samples]),
        width=width,
        height=height,
        clip_skip=mode([sample.clip_skip for sample in samples if sample.clip_skip is not None]),
        lora_weight=mode([sample.lora_weight for sample in samples if sample.lora_weight is not None]),
        base_checkpoint=bases[usual] if usual is not None else None,
        samples=len(samples),
    )


def by_downloads(records: Iterable[ModelRecord]) -> list[ModelRecord]:
    """The most downloaded first; of equals the older one."""
    return sorted(records, key=lambda record: (-(record.stats.downloads or 0), record.model_id))


def _sample(pair: Pair) -> SampleSettings:
    return SampleSettings(
        pair.sampling_method,
        pair.sampling_steps,
        pair.cfg_scale,
        (pair.width, pair.height),
        pair.clip_skip,
        pair.lora_weight,
        reference(pair.base) if pair.base else None,
    )


def reference(base: KnownCheckpoint) -> CheckpointRef:
    """The base checkpoint of a LoRA as a record names it."""
    return CheckpointRef(
        model=base.model,
        model_id=base.model_id,
        version_id=base.version_id,
        air=make_air(base.family, "Checkpoint", base.model_id, base.version_id) if base.family else None,
    )


def _record(kept: Sequence[KeptVersion], pairs: Sequence[Pair], source: str) -> ModelRecord:
    model, family = kept[0].model, kept[0].family
    # the sort is stable: newest first within the family, other families behind
    ordered = sorted(kept, key=lambda one: one.family.name != family.name)
    words = [word for one in ordered for word in one.version.trained_words]
    return ModelRecord(
        model_id=model.id,
        model=model.name,
        type=kept[0].type,
        base_model=family.name,
        trigger_words=clean_words(words, TRIGGERS_KEPT),
        tags=clean_words(model.tags, TAGS_KEPT),
        versions=tuple(_version(one) for one in ordered),
        nsfw=model.nsfw,
        nsfw_level=model.level,
        poi=model.poi,
        minor=model.minor,
        creator=model.creator,
        commercial_use=model.commercial_use,
        allow_no_credit=model.allow_no_credit,
        allow_derivatives=model.allow_derivatives,
        stats=stats_of(model.votes),
        settings=settings_of([_sample(pair) for pair in pairs]),
        samples=len(pairs),
        source=source,
    )


def _version(kept: KeptVersion) -> VersionRecord:
    version = kept.version
    return VersionRecord(
        version_id=version.id,
        version=version.name,
        base_model=version.base_model or kept.family.name,
        sha256=kept.sha256,
        file_names=kept.file_names,
        trigger_words=clean_words(version.trained_words, TRIGGERS_KEPT),
        nsfw_level=version.level,
        stats=stats_of(version.votes),
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

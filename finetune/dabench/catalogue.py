"""The catalogue of a built dataset: the facts of the kept models, and what their training pairs say.

    records = catalogue_records(kept, training_pairs, packaged={}, source="Civitai's API")

Settings, profiles and descriptions come from the pairs that are given and from no other ones, so that a
catalogue made of the training split knows nothing of the evaluation's prompts.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from finetune.civitai.objects import Votes
from finetune.dabench.checkpoint_hashes import KnownCheckpoint
from finetune.dabench.pairs import KeptVersion, Pair
from finetune.describe.complete import complete
from retrieval.records.air import make_air
from retrieval.records.api import CheckpointRef
from retrieval.records.model import ModelRecord, Settings, Stats, VersionRecord
from retrieval.tables.screen import is_advertised, is_blocked

T = TypeVar("T", bound=Hashable)
_TRIGGERS_KEPT = 20
_TAGS_KEPT = 16


def catalogue_records(
    kept: Iterable[KeptVersion],
    pairs: Iterable[Pair],
    *,
    packaged: Mapping[int, ModelRecord],
    source: str,
    **describing: Any,
) -> list[ModelRecord]:
    """One record a model, by falling number of downloads; a model without pairs has no settings.

    Args:
        kept: versions of one architecture, of each model in the API's order.
        packaged: records of base checkpoints that the pairs name and nobody collected; they are added as they
            are.
        source: where the facts are from.
        describing: what `finetune.describe.complete.complete` takes besides.
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
        **describing,
    )
    named = {pair.base.model_id for rows in samples.values() for pair in rows if pair.base}
    added = [packaged[number] for number in sorted(named - versions.keys()) if number in packaged]
    return sorted([*completed, *added], key=lambda record: (-(record.stats.downloads or 0), record.model_id))


def settings_of(pairs: Sequence[Pair]) -> Settings | None:
    """The mode of every setting over a model's pairs; None without pairs."""
    if not pairs:
        return None
    width, height = mode([(pair.width, pair.height) for pair in pairs]) or (None, None)
    bases = {pair.base.version_id: pair.base for pair in pairs if pair.base}
    usual = mode([pair.base.version_id for pair in pairs if pair.base])
    base = bases[usual] if usual is not None else None
    return Settings(
        sampling_method=mode([pair.sampling_method for pair in pairs]),
        sampling_steps=mode([pair.sampling_steps for pair in pairs]),
        cfg_scale=mode([pair.cfg_scale for pair in pairs]),
        width=width,
        height=height,
        clip_skip=mode([pair.clip_skip for pair in pairs if pair.clip_skip is not None]),
        lora_weight=mode([pair.lora_weight for pair in pairs if pair.lora_weight is not None]),
        base_checkpoint=reference(base) if base else None,
        samples=len(pairs),
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
        trigger_words=clean_words(words, _TRIGGERS_KEPT),
        tags=clean_words(model.tags, _TAGS_KEPT),
        versions=tuple(_version(one) for one in ordered),
        nsfw=model.nsfw,
        nsfw_level=model.level,
        poi=model.poi,
        minor=model.minor,
        creator=model.creator,
        commercial_use=model.commercial_use,
        allow_no_credit=model.allow_no_credit,
        allow_derivatives=model.allow_derivatives,
        stats=_stats(model.votes),
        settings=settings_of(pairs),
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
        trigger_words=clean_words(version.trained_words, _TRIGGERS_KEPT),
        nsfw_level=version.level,
        stats=_stats(version.votes),
    )


def _stats(votes: Votes) -> Stats:
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

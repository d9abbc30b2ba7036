"""The catalogue of a built dataset: the facts of the kept models, and what their training pairs say.

    records = catalogue_records(kept, training_pairs, packaged={}, source="Civitai's API")

Settings, profiles and descriptions come from the pairs that are given and from no other ones, so that a
catalogue made of the training split knows nothing of the evaluation's prompts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from finetune.dabench.checkpoint_hashes import KnownCheckpoint
from finetune.dabench.pairs import KeptVersion, Pair
from finetune.describe.catalogue import ChatWriter, complete
from retrieval.records.air import make_air
from retrieval.records.api import CheckpointRef
from retrieval.records.model import ModelRecord, VersionRecord
from retrieval.records.samples import (
    TAGS_KEPT,
    TRIGGERS_KEPT,
    SampleSettings,
    clean_words,
    settings_of,
    stats_of,
)


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

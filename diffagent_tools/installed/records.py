"""From the files that were found to a catalogue of them.

    made = installed_records(found, Catalogue.starter(), ordinary)
    made.records          # what can be chosen, each with its file
    made.left             # what cannot, and why

A file that a catalogue knows by its ids or its SHA256 is that model, with everything known of it. Of any
other one its sidecars and header are all there is; its number is of this machine alone (`LOCAL_IDS`). A LoRA
is bound to a checkpoint that is there, too: without one nothing could be made with it.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from diffagent_tools.installed.facts import FoundFile, Sample
from retrieval.catalogue import Catalogue
from retrieval.errors import UnknownModel
from retrieval.records.api import CheckpointRef
from retrieval.records.border import MAX_NAME_CHARS
from retrieval.records.model import LOCAL_IDS, ModelRecord, Settings, VersionRecord
from retrieval.records.samples import TAGS_KEPT, TRIGGERS_KEPT, SampleSettings, clean_words, settings_of
from retrieval.search.terms import words
from retrieval.tables.families import family_of
from retrieval.tables.screen import is_advertised, is_of_minors

ORDINARY = 8
"""A word that so many models' sample prompts hold is ordinary language."""
NO_CHECKPOINT = "no checkpoint that is there fits it"
NO_FAMILY = "its family is not known"
_SPREAD = 8 * 10**15 - 1
_OFTEN = 0.5
_CAPTION_TRIGGERS = 3


@dataclass(frozen=True)
class Installed:
    """`records`: one for each model of a family. `left`: files that cannot be chosen, with the reason.

    By the number of a record that no catalogue knew: `samples`, `texts` of creators, and `captions`, the
    tags it was trained on with their share.
    """

    records: list[ModelRecord]
    left: list[tuple[FoundFile, str]]
    samples: Mapping[int, Sequence[Sample]] = field(default_factory=dict)
    texts: Mapping[int, str] = field(default_factory=dict)
    captions: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


def ordinary_words(catalogue: Iterable[ModelRecord]) -> frozenset[str]:
    """The words that many models' sample prompts hold: no such word calls a model by itself."""
    holding = Counter(term for record in catalogue for term in record.terms if " " not in term)
    return frozenset(term for term, count in holding.items() if count >= ORDINARY)


def installed_records(
    found: Sequence[FoundFile], catalogue: Catalogue, ordinary: Collection[str]
) -> Installed:
    """The records of files that are installed, each LoRA bound to a checkpoint that is, and what is left.

    Args: as of `records_of`.
    """
    made = records_of(found, catalogue, ordinary)
    return replace(made, records=_bound(made.records, found))


def records_of(
    found: Iterable[FoundFile], catalogue: Catalogue, ordinary: Collection[str], *, installed: bool = True
) -> Installed:
    """The records of files, and what is left.

    Args:
        catalogue: what is known already.
        ordinary: words that no caption's tag is a trigger word by, see `ordinary_words`.
        installed: a model with files of two families is two records, so that each can be chosen; else it is
            one, of the family of its newest version, as in catalogues of what there is.
    """
    left: list[tuple[FoundFile, str]] = []
    groups: dict[tuple[int, str], list[FoundFile]] = defaultdict(list)
    known: dict[int, ModelRecord] = {}
    seen: set[tuple[str, int]] = set()
    for file in found:
        reason = _why_left(file)
        if reason is not None or file.base_model is None:
            left.append((file, reason or NO_FAMILY))
        elif file.path is not None and (file.name, file.size) in seen:
            left.append((file, "the same file lies in another folder, too"))
        else:
            seen.add((file.name, file.size))
            record = _known(file, catalogue)
            number = record.model_id if record else file.told.model_id or local_id(file)
            if record is not None:
                known[number] = record
            groups[number, file.base_model if installed else ""].append(file)
    made = Installed([], left, {}, {}, {})
    taken: set[int] = set()
    for (number, _), files in groups.items():
        # one number, two families: the second is a model of its own, which the catalogue cannot tell apart
        own = number if number not in taken else local_id(files[0])
        taken.add(own)
        _add(made, own, files, known.get(number), ordinary)
    return made


def local_id(file: FoundFile) -> int:
    """A number for a file that no site knows: the same in every scan, whatever folder it was moved to."""
    content = f"{file.name.replace(os.sep, '/')}|{file.size}".encode()
    return LOCAL_IDS + int(hashlib.sha256(content).hexdigest(), 16) % _SPREAD


def _why_left(file: FoundFile) -> str | None:
    if file.fault is not None:
        return file.fault
    if file.kind not in ("LORA", "Checkpoint"):
        return f"it is no checkpoint and no LoRA ({file.kind})"
    if file.base_model is None:
        said = f"; its page says {file.told.base_model!r}" if file.told.base_model else ""
        return NO_FAMILY + said
    return None


def _known(file: FoundFile, catalogue: Catalogue) -> ModelRecord | None:
    """The record of the file's version or of its content; by its name alone it would be a guess."""
    record: ModelRecord | None = None
    if file.told.version_id is not None:
        try:
            record = catalogue.by_version(file.told.version_id).record
        except UnknownModel:
            record = None
    if record is None and file.told.model_id is not None and file.told.model_id in catalogue:
        record = catalogue.get(file.told.model_id)
    if record is None and file.sha256 is not None:
        record = next((match.record for match in catalogue.find(file.sha256)), None)
    return record if record is not None and record.type == file.kind else None


def _add(
    made: Installed,
    number: int,
    files: Sequence[FoundFile],
    known: ModelRecord | None,
    ordinary: Collection[str],
) -> None:
    """One model: of a known one its record with the versions that are there, else what its files say."""
    first = files[0]
    told, family = first.told, first.base_model or ""
    versions = tuple(_version(file, known) for file in files)
    samples = [sample for file in files for sample in file.told.samples]
    settings = _settings(samples, files, known)
    flags = _flags(files, known)
    if known is not None:
        update = {"model_id": number, "base_model": family, "versions": versions, "settings": settings}
        made.records.append(known.model_copy(update={**update, **flags, "available": True, "status": None}))
        return
    tags = {tag: share for file in files for tag, share in file.tags.items()}
    said = [word for file in files for word in file.told.trigger_words]
    triggers = clean_words(said, TRIGGERS_KEPT) or caption_triggers(tags, ordinary)
    made.records.append(
        ModelRecord(
            model_id=number,
            model=(told.model or PurePath(first.name).stem)[:MAX_NAME_CHARS],
            type="LORA" if first.kind == "LORA" else "Checkpoint",
            base_model=family,
            trigger_words=triggers,
            tags=clean_words(told.tags, TAGS_KEPT),
            versions=versions,
            creator=told.creator,
            commercial_use=told.commercial_use,
            allow_no_credit=told.allow_no_credit,
            allow_derivatives=told.allow_derivatives,
            stats=told.stats,
            settings=settings,
            samples=len(samples),
            available=first.path is not None or told.withdrawn is None,
            status=told.withdrawn if first.path is None else None,
            source="this machine's files" if first.path is not None else "Civitai",
            **flags,
        )
    )
    for held, value in ((made.samples, samples), (made.texts, told.text), (made.captions, tags)):
        held[number] = value  # type: ignore[index]


def caption_triggers(tags: Mapping[str, float], ordinary: Collection[str]) -> tuple[str, ...]:
    """The words a LoRA is called by, out of the captions it was trained on: said of most of its pictures, and
    of no everyday words alone."""
    often = sorted((tag for tag, share in tags.items() if share >= _OFTEN), key=lambda tag: (-tags[tag], tag))
    telling = [tag for tag in often if (said := set(words(tag))) and not said <= set(ordinary)]
    return clean_words(telling[:TRIGGERS_KEPT], _CAPTION_TRIGGERS)


def _version(file: FoundFile, known: ModelRecord | None) -> VersionRecord:
    told = file.told
    listed = known.version(told.version_id) if known and told.version_id is not None else None
    if listed is None and known is not None and file.sha256 is not None:
        listed = next((each for each in known.versions if file.sha256.upper() in each.sha256), None)
    base = PurePath(file.name.replace("\\", "/")).name
    update: dict[str, Any] = {
        "file_names": tuple(dict.fromkeys((file.name, base))),
        "path": file.path,
        "available": file.path is not None or told.early is None,
    }
    if file.sha256:
        update["sha256"] = (file.sha256.upper(),)
    if listed is not None:
        return listed.model_copy(update=update)
    return VersionRecord(
        version_id=told.version_id or local_id(file),
        version=told.version or "",
        base_model=told.base_model or file.base_model or "",
        trigger_words=clean_words(told.trigger_words, TRIGGERS_KEPT),
        nsfw_level=told.version_level,
        **update,
    )


def _flags(files: Sequence[FoundFile], known: ModelRecord | None) -> dict[str, Any]:
    """Ratings, of all that is said the strictest. What a LoRA was taught tells of it what a page would."""
    told = [file.told for file in files]
    said = [known.nsfw if known else None, *(each.nsfw for each in told)]
    minor = [known.minor if known else None, *(each.minor for each in told)]
    poi = [known.poi if known else None, *(each.poi for each in told)]
    levels = [known.nsfw_level if known else None, *(each.nsfw_level for each in told)]
    for file in files:
        taught = sorted(file.tags, key=lambda tag: -file.tags[tag])[:TRIGGERS_KEPT]
        names = (file.name, file.told.model or "", *file.told.tags, *file.told.trigger_words, *taught)
        written = "\n".join(names)
        if is_advertised(written):
            said.append(True)
        if any(map(is_of_minors, names)):
            minor.append(True)
    values: dict[str, list[Any]] = {"nsfw": said, "minor": minor, "poi": poi, "nsfw_level": levels}
    return {name: _strictest(each) for name, each in values.items()}


def _strictest(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)


def _settings(
    samples: Sequence[Sample], files: Sequence[FoundFile], known: ModelRecord | None
) -> Settings | None:
    """What is known of the model, else what its files' samples say; the weight of the user goes first."""
    own = settings_of(
        [
            SampleSettings(
                each.sampler, each.steps, each.cfg_scale, each.size, each.clip_skip, each.lora_weight, None
            )
            for each in samples
        ]
    )
    settings = (known.settings if known else None) or own
    weight = next((file.told.weight for file in files if file.told.weight is not None), None)
    if weight is None:
        return settings
    return (settings or Settings()).model_copy(update={"lora_weight": weight})


def _bound(records: Sequence[ModelRecord], found: Iterable[FoundFile]) -> list[ModelRecord]:
    """Every LoRA on a checkpoint that is there; where none fits it cannot be had."""
    used = {
        file.told.version_id or local_id(file): Counter(_stem(each.checkpoint) for each in samples)
        for file in found
        if (samples := [each for each in file.told.samples if each.checkpoint])
    }
    checkpoints = _Checkpoints(record for record in records if record.type == "Checkpoint")
    return [record if record.type == "Checkpoint" else checkpoints.under(record, used) for record in records]


class _Checkpoints:
    """The checkpoints that are there, by all that a LoRA may say of the one it wants."""

    def __init__(self, records: Iterable[ModelRecord]) -> None:
        self._by_id: dict[int, ModelRecord] = {}
        self._by_stem: dict[str, ModelRecord] = {}
        self._best: dict[str, ModelRecord] = {}
        for record in sorted(records, key=_worth):
            self._by_id[record.model_id] = record
            self._by_stem |= {_stem(name): record for each in record.versions for name in each.file_names}
            # the last is the best one
            self._best[record.base_model] = record
        for record in sorted(self._by_id.values(), key=_worth):
            self._best[f"shapes of {family_of(record.base_model).architecture}"] = record

    def under(self, lora: ModelRecord, used: Mapping[int, Counter[str]]) -> ModelRecord:
        """The LoRA on the one that is recommended for it, or its samples name, or that is the best of its
        family, or has the shapes of its weights."""
        settings = lora.settings or Settings()
        counts = sum((used.get(version.version_id, Counter()) for version in lora.versions), Counter[str]())
        architecture = family_of(lora.base_model).architecture
        candidates = [
            self._by_id.get(settings.base_checkpoint.model_id or 0) if settings.base_checkpoint else None,
            *(self._by_stem.get(stem) for stem, _ in counts.most_common()),
            self._best.get(lora.base_model),
            self._best.get(f"shapes of {architecture}"),
        ]
        fitting = [
            each for each in candidates if each and family_of(each.base_model).architecture == architecture
        ]
        if not fitting:
            return lora.model_copy(update={"available": False, "status": NO_CHECKPOINT})
        version = fitting[0].default_version
        ref = CheckpointRef(
            model=fitting[0].model,
            model_id=fitting[0].model_id,
            version_id=version.version_id if version else None,
            air=fitting[0].air(),
        )
        return lora.model_copy(update={"settings": settings.model_copy(update={"base_checkpoint": ref})})


def _worth(record: ModelRecord) -> tuple[bool, int, int]:
    return record.may_be_offered(), record.stats.downloads or 0, -record.model_id


def _stem(name: str | None) -> str:
    return PurePath((name or "").replace("\\", "/")).name.casefold().removesuffix(".safetensors")

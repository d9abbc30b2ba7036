"""Brings a catalogue up to date with Civitai: counts, new versions, what was withdrawn, early access.

    with Civitai() as civitai:
        refresh(Path("models.jsonl"), civitai, records, show)

A hundred models a request. Stopped at any moment it goes on: what was asked stands in a file beside the
catalogue, which is written whole again and again. A model that a page leaves out is asked for by itself, and
only a clear "not found" marks it; nothing that is known is overwritten by an empty answer. Settings come from
sample pictures, which Civitai gives by themselves: asked for, they cost a request a model.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffagent_tools.installed.facts import FoundFile
from finetune.civitai.client import Civitai
from finetune.civitai.lists import files_of_model
from finetune.civitai.pages import NotFound
from retrieval.catalogue import Catalogue
from retrieval.catalogue.merge import merged
from retrieval.errors import ServiceError
from retrieval.records.civitai import whole
from retrieval.records.model import ModelRecord, Settings
from retrieval.storage import atomic_write

PAGE = 100
SAVE_EVERY = 10
_MANY = 10
DELETED = "deleted on Civitai"
SAMPLES = 40
"""pictures that are asked for of a model"""
_VOUCHED = 3  # pictures from which on settings are taken
# of the checkpoint below a LoRA new pictures know a file's name at best
_ABOUT_OTHERS = ("base_checkpoint",)
Show = Callable[[str, int, int | None], None]
Make = Callable[[Sequence[FoundFile]], Sequence[ModelRecord]]
"""Records of the versions of models, facts alone."""


@dataclass(frozen=True)
class Refreshed:
    """How many models were asked for, have changed, have a new version, were found to be gone, or have
    settings of new samples."""

    asked: int = 0
    changed: int = 0
    versions: int = 0
    gone: int = 0
    sampled: int = 0


def objects_of(civitai: Civitai, numbers: Sequence[int]) -> dict[int, dict[str, Any] | None]:
    """The objects of at most `PAGE` models by number; None where Civitai says that there is none.

    Raises:
        ServiceError: the service is down or refuses.
    """
    query = {"ids": ",".join(map(str, numbers)), "nsfw": "true"}
    page = civitai.page("models", query, limit=PAGE)
    found: dict[int, dict[str, Any] | None] = {
        number: item
        for item in page.items
        if isinstance(item, dict) and (number := whole(item.get("id"))) in numbers and number is not None
    }
    for number in numbers:
        if number not in found:
            # a listing hides models for more reasons than that they are gone
            try:
                found[number] = dict(civitai.record(f"models/{number}"))
            except NotFound:
                found[number] = None
    if len(numbers) >= _MANY and not any(found.values()):
        raise ServiceError(
            f"Civitai says that none of {len(numbers)} models is there, which cannot be; check --url, or run "
            "the same command again later"
        )
    return found


def with_samples(civitai: Civitai, raw: dict[str, Any]) -> dict[str, Any]:
    """A model's object with sample pictures of its newest version in it, with their generation data; as it is
    where there are none.

    Raises:
        ServiceError: the service is down or refuses.
    """
    versions = raw.get("modelVersions")
    newest = (
        next((each for each in versions if isinstance(each, dict)), None)
        if isinstance(versions, list)
        else None
    )
    number = whole(newest.get("id")) if newest else None
    if newest is None or number is None:
        return raw
    query = {"modelVersionId": str(number), "withMeta": "true", "sort": "Most Reactions", "period": "AllTime"}
    try:
        # as the pictures on the model's page: whoever may see the model may see how they were made
        page = civitai.page("images", {**query, "nsfw": "None"}, limit=SAMPLES)
    except NotFound:
        return raw
    images = [item for item in page.items if isinstance(item, dict) and item.get("meta")]
    if not images:
        return raw
    rest = [each for each in versions or () if each is not newest]
    return {**raw, "modelVersions": [{**newest, "images": images}, *rest]}


def refresh(
    path: Path, civitai: Civitai, make: Make, show: Show | None = None, *, samples: bool = False
) -> Refreshed:
    """Refreshes the catalogue at a path.

    Args:
        samples: sample pictures, too, a request a model.

    Raises:
        CatalogueError: it cannot be read.
        ServiceError: Civitai is down or refuses; what came is kept.
        StorageError: it cannot be written.
    """
    catalogue = Catalogue.load(path)
    records = {record.model_id: record for record in catalogue}
    journal = path.with_name(f"{path.name}.refresh")
    done = _done(journal)
    waiting = [number for number, record in records.items() if not record.is_local and number not in done]
    total, told = len(waiting) + len(done), Refreshed()
    batches = [waiting[at : at + PAGE] for at in range(0, len(waiting), PAGE)]
    try:
        for place, batch in enumerate(batches, start=1):
            for number, raw in objects_of(civitai, batch).items():
                seen = with_samples(civitai, raw) if samples and raw is not None else raw
                record = _refreshed(records[number], seen, make)
                told = _counted(told, records[number], record)
                records[number] = record
                done.add(number)
                if show:
                    show("models", len(done), total)
            if place % SAVE_EVERY == 0:
                _save(records.values(), path, journal, done)
    finally:
        _save(records.values(), path, journal, done)
    journal.unlink(missing_ok=True)
    return told


def _refreshed(known: ModelRecord, raw: dict[str, Any] | None, make: Make) -> ModelRecord:
    if raw is None:
        return known.model_copy(update={"available": False, "status": DELETED})
    made = [record for record in make(files_of_model(raw)) if record.model_id == known.model_id]
    if not made:
        return known
    settings = _settings(known.settings, made[0].settings)
    return merged(known, made[0]).model_copy(update={"settings": settings})


def _settings(old: Settings | None, new: Settings | None) -> Settings | None:
    """The settings of new samples where enough vouch for them, and of the old ones what they do not say."""
    if new is None or new.samples < _VOUCHED:
        return old
    if old is None:
        return new
    said = {name: value for name, value in new if value is not None and name not in _ABOUT_OTHERS}
    return old.model_copy(update=said)


def _counted(told: Refreshed, before: ModelRecord, after: ModelRecord) -> Refreshed:
    new = {each.version_id for each in after.versions} - {each.version_id for each in before.versions}
    return Refreshed(
        told.asked + 1,
        told.changed + (before != after),
        told.versions + len(new),
        told.gone + (before.available and not after.available),
        told.sampled + (before.settings != after.settings),
    )


def _done(journal: Path) -> set[int]:
    try:
        held = json.loads(journal.read_bytes())
    except (OSError, ValueError):
        return set()
    return {number for number in held if isinstance(number, int)} if isinstance(held, list) else set()


def _save(records: Iterable[ModelRecord], path: Path, journal: Path, done: set[int]) -> None:
    Catalogue(records, path.name).save(path)
    # after the catalogue, so that nothing counts as asked whose answer is not kept
    atomic_write(journal, json.dumps(sorted(done)).encode())

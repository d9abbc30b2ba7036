"""Brings a catalogue up to date with Civitai: counts, new versions, what was withdrawn, early access.

    with Civitai() as civitai:
        refresh(Path("models.jsonl"), civitai, records, show)

A hundred models a request. Stopped at any moment it goes on: what was asked stands in a file beside the
catalogue, which is written whole again and again. A model that a page leaves out is asked for by itself, and
only a clear "not found" marks it; nothing that is known is overwritten by an empty answer.
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
from retrieval.records.model import ModelRecord
from retrieval.storage import atomic_write

PAGE = 100
SAVE_EVERY = 10
_MANY = 10
DELETED = "deleted on Civitai"
Show = Callable[[str, int, int | None], None]
Make = Callable[[Sequence[FoundFile]], Sequence[ModelRecord]]
"""Records of the versions of models, facts alone."""


@dataclass(frozen=True)
class Refreshed:
    """How many models were asked for, have changed, have a new version, or were found to be gone."""

    asked: int = 0
    changed: int = 0
    versions: int = 0
    gone: int = 0


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


def refresh(path: Path, civitai: Civitai, make: Make, show: Show | None = None) -> Refreshed:
    """Refreshes the catalogue at a path.

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
                record = _refreshed(records[number], raw, make)
                told = _counted(told, records[number], record)
                records[number] = record
            done.update(batch)
            if place % SAVE_EVERY == 0:
                _save(records.values(), path, journal, done)
            if show:
                show("models", len(done), total)
    finally:
        _save(records.values(), path, journal, done)
    journal.unlink(missing_ok=True)
    return told


def _refreshed(known: ModelRecord, raw: dict[str, Any] | None, make: Make) -> ModelRecord:
    if raw is None:
        return known.model_copy(update={"available": False, "status": DELETED})
    made = [record for record in make(files_of_model(raw)) if record.model_id == known.model_id]
    return merged(known, made[0]) if made else known


def _counted(told: Refreshed, before: ModelRecord, after: ModelRecord) -> Refreshed:
    new = {each.version_id for each in after.versions} - {each.version_id for each in before.versions}
    return Refreshed(
        told.asked + 1,
        told.changed + (before != after),
        told.versions + len(new),
        told.gone + (before.available and not after.available),
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

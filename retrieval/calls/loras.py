"""The LoRAs beside the first one: is there such a one, does it fit on the same weights, is it loaded once?

    for fault in lora_faults(api, record, catalogue):
        fault.reason, fault.change.after

What does not exist or does not fit is left out; nothing is put in its place.
"""

import math
from dataclasses import dataclass, replace

from retrieval.calls.identify import air_of, obtainable, table_family
from retrieval.calls.limits import MAX_LORA_WEIGHT, Change
from retrieval.catalogue import Catalogue, Match
from retrieval.errors import UnknownModel
from retrieval.records.air import parse_air
from retrieval.records.api import LoraRef, T2IApi
from retrieval.records.model import ModelRecord, VersionRecord
from retrieval.tables.families import Family


@dataclass(frozen=True)
class LoraFault:
    """What is wrong with one, and what all of them must become; `is_alias` is another spelling only."""

    reason: str
    is_alias: bool
    change: Change


def lora_faults(api: T2IApi, record: ModelRecord | None, catalogue: Catalogue) -> tuple[LoraFault, ...]:
    """What is wrong with the LoRAs beside the model.

    Args:
        record: the model, if it is known; its family counts, else the API's.
    """
    family = table_family(record.base_model if record else api.base_model)
    loaded = {record.model_id} if record is not None and api.type == "LORA" else set()
    kept: list[LoraRef] = []
    told: list[tuple[str, bool]] = []
    for lora in api.loras:
        found = _mended(lora, family, catalogue)
        if found.model_id is not None and found.model_id in loaded:
            found = replace(found, after=None, reason=f"the LoRA {_short(lora)} is named twice")
        if found.reason:
            told.append((found.reason, found.is_alias and found.after is not None))
        if found.after is not None:
            kept.append(found.after)
        if found.model_id is not None:
            loaded.add(found.model_id)
    if not told:
        return ()
    change = Change("loras", api.loras, tuple(kept), "; ".join(reason for reason, _ in told))
    return tuple(LoraFault(reason, is_alias, change) for reason, is_alias in told)


@dataclass(frozen=True)
class _Mended:
    """What one becomes, None where it is left out, and why; no reason where nothing is wrong."""

    after: LoraRef | None
    reason: str = ""
    is_alias: bool = False
    model_id: int | None = None


def _mended(lora: LoraRef, family: Family | None, catalogue: Catalogue) -> _Mended:
    weight, faulty = _weight(lora)
    match = _identified(lora, catalogue)
    shown = _short(lora)
    if match is None:
        return _Mended(None, f"{catalogue.name} holds no LoRA called {shown}; it is left out")
    record = match.record
    if record.type != "LORA":
        return _Mended(None, f"{shown} is of the type {record.type} and no LoRA; it is left out")
    if not obtainable(record):
        return _Mended(None, f"the LoRA {shown} can no longer be had; it is left out")
    own = table_family(record.base_model)
    if family is not None and own is not None and own.architecture != family.architecture:
        return _Mended(
            None, f"the LoRA {shown} is for {own.name} and does not fit {family.name}; it is left out"
        )
    version = _version(lora, match)
    after = LoraRef(
        model=record.model,
        weight=weight,
        model_id=record.model_id,
        version_id=version.version_id if version else None,
        air=air_of(record, version),
    )
    contradicts = lora.model_id not in (None, record.model_id) or (
        lora.version_id is not None and version is not None and lora.version_id != version.version_id
    )
    if faulty:
        return _Mended(after, f"the weight of the LoRA {shown} {faulty}", model_id=record.model_id)
    if contradicts:
        reason = f"the ids of the LoRA {shown} belong to another model"
        return _Mended(after, reason, model_id=record.model_id)
    if record.model != lora.model:
        reason = f"the LoRA {shown} is listed as {record.model!r}"
        return _Mended(after, reason, is_alias=True, model_id=record.model_id)
    return _Mended(lora, model_id=record.model_id)


def _identified(lora: LoraRef, catalogue: Catalogue) -> Match | None:
    """By the name, told apart by the ids; by these alone where the name is unknown."""
    air = parse_air(lora.air) if lora.air else None
    model_id = lora.model_id or (air.model_id if air else None)
    matches = sorted(catalogue.find(lora.model), key=lambda match: match.record.type != "LORA")
    same = [match for match in matches if match.record.model_id == model_id]
    if matches:
        return (same or matches)[0]
    version_id = lora.version_id or (air.version_id if air else None)
    if version_id is not None:
        try:
            return catalogue.by_version(version_id)
        except UnknownModel:
            pass
    return (
        Match(catalogue.get(model_id), None, "air")
        if model_id is not None and model_id in catalogue
        else None
    )


def _version(lora: LoraRef, match: Match) -> VersionRecord | None:
    record = match.record
    named = record.version(lora.version_id) if lora.version_id is not None else None
    return named or match.version or record.default_version


def _weight(lora: LoraRef) -> tuple[float | None, str]:
    """A weight that can be used, and what is wrong with the one that is there."""
    if lora.weight is None:
        return None, ""
    if not math.isfinite(lora.weight):
        return None, "is no number"
    if abs(lora.weight) > MAX_LORA_WEIGHT:
        nearest = math.copysign(MAX_LORA_WEIGHT, lora.weight)
        return nearest, f"is {lora.weight:g}, and beyond {MAX_LORA_WEIGHT:g} either way it breaks the picture"
    return lora.weight, ""


def _short(lora: LoraRef) -> str:
    return repr(lora.model[:80])

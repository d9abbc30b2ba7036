"""The checkpoint a LoRA is loaded on: is there such a one, and does the LoRA fit on it?

    change = base_checkpoint_change(api, record, catalogue)  # None where nothing is wrong

Also the family's default model, which is loaded where nothing better is known.
"""

from collections.abc import Iterable

from retrieval.calls.identify import (
    air_of,
    nearest_spelling,
    obtainable,
    proposable,
    shown_family,
    table_family,
)
from retrieval.calls.limits import Change
from retrieval.catalogue import Catalogue, Match
from retrieval.errors import UnknownModel
from retrieval.records.air import parse_air
from retrieval.records.api import CheckpointRef, T2IApi
from retrieval.records.model import ModelRecord
from retrieval.search.filters import Filter
from retrieval.tables.families import DEFAULT_FAMILY, FAMILIES, Family, family_of

_SHOWN = 80


def family_default(catalogue: Catalogue, family: str) -> ModelRecord:
    """The family's base model, else its most downloaded checkpoint that may be offered unasked.

    Raises:
        UnknownBaseModel: there is no such family.
        UnknownModel: the catalogue holds no checkpoint of the family that can be had.
    """
    known = family_of(family)
    found = _family_default(catalogue, known)
    if found is None:
        raise UnknownModel(
            f"{catalogue.name} holds no {known.name} checkpoint that can be had; name another family, or "
            "load a newer catalogue"
        )
    return found


def default_record(catalogue: Catalogue, family: Family | None) -> ModelRecord:
    """What is called where nothing is near enough: the family's default, that of `DEFAULT_FAMILY` if the
    family is unknown or has none, else any checkpoint at all.

    A base model that can no longer be had is returned where the family has no other checkpoint to offer.

    Raises:
        UnknownModel: the catalogue holds no checkpoint.
    """
    for each in dict.fromkeys((family or family_of(DEFAULT_FAMILY), family_of(DEFAULT_FAMILY))):
        offered = _family_default(catalogue, each) or _held(catalogue, each.default_model_id)
        if offered is not None:
            return offered
    checkpoints = catalogue.select(type="Checkpoint", available=None)
    if not checkpoints:
        raise UnknownModel(
            f"{catalogue.name} holds no checkpoint to fall back on; load a catalogue with the base model of "
            "each family it is used for"
        )
    return max(checkpoints, key=lambda r: (proposable(r), r.stats.downloads or 0, -r.model_id))


def _family_default(catalogue: Catalogue, family: Family) -> ModelRecord | None:
    stored = _held(catalogue, family.default_model_id)
    if stored is not None and obtainable(stored):
        return stored
    return _most_downloaded(catalogue.select(base_model=family.name, type="Checkpoint"))


def _held(catalogue: Catalogue, model_id: int | None) -> ModelRecord | None:
    """The record of an id, if there is an id and such a record."""
    return catalogue.get(model_id) if model_id is not None and model_id in catalogue else None


def _most_downloaded(records: Iterable[ModelRecord]) -> ModelRecord | None:
    """Of those that may be offered unasked."""
    ordered = sorted(records, key=lambda record: (-(record.stats.downloads or 0), record.model_id))
    # to say whether one may be offered takes longer than to sort them all
    return next((record for record in ordered if proposable(record)), None)


def base_checkpoint_change(api: T2IApi, record: ModelRecord | None, catalogue: Catalogue) -> Change | None:
    """What a LoRA's base checkpoint must become, one `CheckpointRef` for another; None if it fits.

    Args:
        record: the LoRA, if it is known; its family counts, else the API's.
    """
    ref = api.base_checkpoint
    if ref is None or api.type != "LORA":
        return None
    family = table_family(record.base_model if record else api.base_model)
    own = _held(catalogue, ref.model_id)
    default = (family.default_model, family.default_model_id) if family is not None else (None, None)
    if own is None and (ref.model, ref.model_id) == default:
        return None
    matches = catalogue.find(ref.model)
    if own is not None and (not matches or matches[0].how == "loose"):
        # the id is worth more than a part of the name
        matches = [Match(own, None, "air")]
    fitting = [match.record for match in matches if _fits(match.record, family)]
    same_id = [found for found in fitting if found.model_id == ref.model_id]
    shown = repr(ref.model[:80])
    if fitting:
        found = (same_id or fitting)[0]
        if found.model != ref.model:
            return _to(ref, found, f"the base checkpoint {shown} is listed as {found.model!r}")
        if not _ids_agree(ref, found):
            return _to(ref, found, f"the ids of the base checkpoint {shown} belong to another model")
        return None
    if matches:
        other = matches[0].record
        wrong = (
            f"is of the type {other.type}"
            if other.type != "Checkpoint"
            else f"is for {shown_family(other.base_model)}"
            if obtainable(other)
            else "can no longer be had"
        )
        why = f"the base checkpoint {shown} {wrong}"
    else:
        why = f"{catalogue.name} holds no base checkpoint called {shown}"
        near = nearest_spelling(
            ref.model,
            catalogue,
            lambda model_id: _fits(catalogue.get(model_id), family) and proposable(catalogue.get(model_id)),
        )
        if near is not None:
            return _to(ref, catalogue.get(near.model_id), f"{why}; this is the nearest name")
    return _usual(ref, family, record, catalogue, why)


def is_other_spelling(change: Change, catalogue: Catalogue) -> bool:
    """Whether a base checkpoint changes its name and nothing else: the file's name is written everywhere."""
    before, after = change.before, change.after
    if not (isinstance(before, CheckpointRef) and isinstance(after, CheckpointRef)):
        return False
    named = [match.record.model_id for match in catalogue.find(before.model) if not match.missing]
    if after.model_id not in named or before.model == after.model:
        return False
    return before.model_id in (None, after.model_id) and _ids_agree(before, catalogue.get(after.model_id))


def offered_checkpoint_change(api: T2IApi, catalogue: Catalogue, wanted: Filter) -> Change | None:
    """What a LoRA's base checkpoint must become where the filter does not let it pass.

    None where it does, or there is no LoRA. Otherwise the most downloaded checkpoint of the same family that
    the filter lets pass. Where there is none, one above the rating is taken away (`after` is None), and of a
    licence the change only says so (`after` is what was there).
    """
    ref = api.base_checkpoint
    if ref is None:
        return None
    own = _held(catalogue, ref.model_id)
    hidden = own is not None and not wanted.admits(own)
    allowed = own.allows_commercial_use() if own is not None else None
    if not hidden and (wanted.commercial is None or allowed):
        return None
    if hidden:
        why, does = f"the checkpoint {ref.model!r} is not within the rating that was asked for", "is"
    else:
        says = "is not known to allow" if allowed is None else "does not allow"
        why, does = f"the licence of the checkpoint {ref.model!r} {says} selling images", "does"
    commercial = True if wanted.commercial is not None else None
    fitting = catalogue.select(base_model=api.base_model, type="Checkpoint", commercial_use=commercial)
    best = _most_downloaded(record for record in fitting if wanted.admits(record))
    if best is None:
        left = None if hidden else ref
        return Change("base checkpoint", ref, left, f"{why}, and {catalogue.name} holds none that {does}")
    return _to(ref, best, f"{why}; {best.model!r} {does}")


def on_offered_checkpoint(
    api: T2IApi, catalogue: Catalogue, wanted: Filter
) -> tuple[T2IApi, tuple[str, ...]]:
    """The call on a checkpoint that the filter lets pass, and what was changed or is to be known."""
    change = offered_checkpoint_change(api, catalogue, wanted)
    if change is None:
        return api, ()
    return api.model_copy(update={"base_checkpoint": change.after}), (change.why,)


def mixed_families(api: T2IApi, catalogue: Catalogue) -> str:
    """What is to be known of a LoRA on a checkpoint of another family that shares its shapes of weights, such
    as one of Illustrious or Pony on plain SDXL; empty where both are of one family, or of one unknown."""
    ref = api.base_checkpoint
    own = table_family(api.base_model)
    if ref is None or own is None or api.type != "LORA":
        return ""
    held = _held(catalogue, ref.model_id)
    below = table_family(held.base_model) if held is not None else _default_of(ref)
    if below is None or below.name == own.name or below.architecture != own.architecture:
        return ""
    return (
        f"the LoRA is made for {own.name} and the checkpoint {ref.model[:_SHOWN]!r} is {below.name}: it "
        f"loads and works in part; a checkpoint of {own.name} fits it better"
    )


def _default_of(ref: CheckpointRef) -> Family | None:
    """The family of which a checkpoint that the catalogue does not hold is the default model."""
    if ref.model_id is None:
        return None
    return next((family for family in FAMILIES if family.default_model_id == ref.model_id), None)


def _usual(
    ref: CheckpointRef, family: Family | None, record: ModelRecord | None, catalogue: Catalogue, why: str
) -> Change | None:
    """The checkpoint most samples of the LoRA were made with, else the family's base model, else none."""
    usual = record.settings.base_checkpoint if record and record.settings else None
    stored = _held(catalogue, usual.model_id) if usual is not None else None
    if stored is not None and _fits(stored, family) and proposable(stored):
        return _to(ref, stored, f"{why}; this one is recommended for the model")
    default = _family_default(catalogue, family) if family else None
    if default is not None:
        return _to(ref, default, f"{why}; this is the base model of {default.base_model}")
    return Change("base checkpoint", ref, None, why)


def _fits(record: ModelRecord, family: Family | None) -> bool:
    """A checkpoint that can be had and has the shapes of weights that the LoRA was made for."""
    if record.type != "Checkpoint" or not obtainable(record):
        return False
    own = table_family(record.base_model)
    return family is None or own is None or own.architecture == family.architecture


def _ids_agree(ref: CheckpointRef, record: ModelRecord) -> bool:
    air = parse_air(ref.air) if ref.air else None
    if (ref.air and air is None) or (air is not None and air.model_id != record.model_id):
        return False
    if ref.model_id not in (None, record.model_id):
        return False
    ids = [ref.version_id, air.version_id if air else None]
    return not record.versions or all(i is None or record.version(i) is not None for i in ids)


def _to(ref: CheckpointRef, record: ModelRecord, why: str) -> Change:
    version = record.default_version
    after = CheckpointRef(
        model=record.model,
        model_id=record.model_id,
        version_id=version.version_id if version else None,
        air=air_of(record, version),
    )
    return Change("base checkpoint", ref, after, why)

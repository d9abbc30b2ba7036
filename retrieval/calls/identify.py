"""Which model and version of the catalogue a T2I API means, and whether it can be had and may be offered.

match = identify("dreamshaper_8.safetensors", catalogue)
obtainable(match.record), proposable(match.record)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from retrieval.catalogue import Catalogue, Match
from retrieval.catalogue.names import normalise_name, without_ending
from retrieval.catalogue.spelling import Spelling
from retrieval.catalogue.written import core_name, is_address, take_apart
from retrieval.errors import UnknownBaseModel, UnknownModel
from retrieval.records.air import make_air, parse_air
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord, VersionRecord, family_name
from retrieval.tables.families import Family, family_of
from retrieval.tables.hub_models import family_named, hub_model


def obtainable(record: ModelRecord) -> bool:
    """Whether the model and at least one version can be downloaded."""
    return record.available and (not record.versions or any(version.available for version in record.versions))


def proposable(record: ModelRecord) -> bool:
    """Whether it may be offered unasked: it can be had, is safe or not rated, and nobody's likeness."""
    return obtainable(record) and record.may_be_offered()


def known_family(base_model: str, catalogue: Catalogue) -> str | None:
    """The name of the family, or None if neither the table of families nor the catalogue knows it."""
    name = family_name(base_model)
    return name if name in catalogue.families or table_family(name) is not None else None


def table_family(base_model: str) -> Family | None:
    """The family from the table, or None."""
    try:
        return family_of(base_model)
    except UnknownBaseModel:
        return None


def family_meant(name: str, call: T2IApi | None, catalogue: Catalogue) -> str | None:
    """The family of a model that the catalogue does not hold: what its own name says, else the call.

    A bare name may say it by any word (`ponyRealism_v22`), the name in a call by what a table knows
    (`flux1-dev`), since the call has a base model of its own.
    """
    apart = take_apart(name)
    for written in filter(None, (apart.hub_id, without_ending(apart.name))):
        row = hub_model(written)
        if row is not None:
            return row.family
    if call is None:
        named = family_named(without_ending(apart.name))
        return named.name if named is not None else None
    named = table_family(without_ending(apart.name))
    return named.name if named is not None else known_family(call.base_model, catalogue)


def nearest_spelling(
    name: str, catalogue: Catalogue, keep: Callable[[int], bool] | None = None
) -> Spelling | None:
    """The model that a name misspells, of those that `keep` lets pass: as a whole, else without folders and
    file ending. A link, an AIR or a hash misspells nothing."""
    if is_address(name):
        return None
    found = (catalogue.spelling.best(each, keep) for each in dict.fromkeys((name, core_name(name))))
    return next((guess for guess in found if guess is not None), None)


def unknown_version(name: str, match: Match, catalogue: Catalogue) -> str:
    """What a name says of a version that contradicts the catalogue, a sentence; empty where it does not.

    That is a version that the record does not have, or a hash behind the name that is another model's.
    """
    record = match.record
    offered = match.version or record.default_version
    if match.missing:
        which = f"; {offered.version!r} is offered" if offered is not None else ""
        return f"{match.missing[:60]} of {record.model!r} is not a version that is known here{which}"
    digest = take_apart(name).digest
    owners = catalogue.hashed(digest) if digest else []
    if owners and record.model_id not in {owner.record.model_id for owner in owners}:
        return f"the hash {digest} is that of {owners[0].record.model!r}, not of {record.model!r}"
    return ""


def shown_family(base_model: str) -> str:
    """A family's name in a sentence; in quotation marks where it is a catalogue's own."""
    return base_model if table_family(base_model) is not None else repr(base_model[:60])


def fits_family(record: ModelRecord, family: str | None) -> bool:
    """Whether the model, or a version that can be had, belongs to the family; None is any family."""
    return family is None or record.base_model == family or bool(_own(record, family))


def _own(record: ModelRecord, family: str | None) -> list[VersionRecord]:
    """The versions of the family that can be had, newest first."""
    return [
        version
        for version in record.versions
        if version.available and (family is None or family_name(version.base_model) == family)
    ]


def fitting_version(record: ModelRecord, family: str | None) -> VersionRecord | None:
    """The newest version of the family that can be had, else the record's default version."""
    if family is None or family == record.base_model:
        return record.default_version
    return next(iter(_own(record, family)), record.default_version)


def air_of(record: ModelRecord, version: VersionRecord | None) -> str | None:
    """The AIR of a version under its own family; None where there is no such family or version."""
    if version is None or record.is_local:
        return None
    for base_model in (version.base_model, record.base_model):
        if table_family(base_model) is not None:
            return make_air(base_model, record.type, record.model_id, version.version_id)
    return None


def pointed_at(api: T2IApi, catalogue: Catalogue) -> Match | None:
    """The record that the API's ids mean, AIR and version id before model id; None where they mean none."""
    air = parse_air(api.air) if api.air else None
    for version_id in (air.version_id if air else None, api.version_id):
        if version_id is not None:
            try:
                return catalogue.by_version(version_id)
            except UnknownModel:
                continue
    for model_id in (air.model_id if air else None, api.model_id):
        if model_id is not None and model_id in catalogue:
            return Match(catalogue.get(model_id), None, "air")
    return None


def identify(name: str, catalogue: Catalogue, api: T2IApi | None = None) -> Match | None:
    """The model that a name stands for: its own name, or the same under another spelling.

    Several models of one name are told apart by the API's ids, family and type, then by how near the spelling
    is, then by downloads. A match by a part of the name gives way to a whole name that is spelled nearer.
    """
    matches = [_with_hash(name, match, catalogue) for match in catalogue.find(name)]
    if not matches:
        return None
    if len(matches) == 1 and matches[0].how != "loose":
        return matches[0]
    near = {guess.model_id: guess for guess in catalogue.spelling.nearest(core_name(name))}
    if matches[0].how == "loose" and near:
        best = next(iter(near.values()))
        fits = [near[match.record.model_id].similarity for match in matches if match.record.model_id in near]
        if best.accepted and not best.part and best.similarity > max(fits, default=0.0):
            return None
    pointed = pointed_at(api, catalogue) if api is not None else None
    family = known_family(api.base_model, catalogue) if api is not None else None

    def rank(match: Match) -> tuple[bool, bool, bool, bool, float, int]:
        record = match.record
        guess = near.get(record.model_id)
        return (
            pointed is not None and pointed.record.model_id == record.model_id,
            fits_family(record, family),
            api is None or record.type == api.type,
            obtainable(record),
            guess.similarity if guess else 0.0,
            record.stats.downloads or 0,
        )

    return max(matches, key=rank)


def _with_hash(name: str, match: Match, catalogue: Catalogue) -> Match:
    """The match with the version whose hash stands behind the name."""
    digest = take_apart(name).digest
    for owner in catalogue.hashed(digest) if digest else ():
        if owner.record.model_id == match.record.model_id and owner.version is not None:
            return Match(match.record, owner.version, match.how)
    return match


@dataclass(frozen=True)
class IdFault:
    """An id, version or AIR that belongs to another model than the name; `field` as the JSON spells it."""

    field: str
    reason: str


def id_faults(api: T2IApi, record: ModelRecord, catalogue: Catalogue) -> list[IdFault]:
    """The ids of the API that contradict its model's name. What the catalogue cannot know is not judged."""
    found: list[IdFault] = []
    name = record.model
    if api.model_id is not None and api.model_id != record.model_id:
        whose = (
            f"is that of {catalogue.get(api.model_id).model!r}" if api.model_id in catalogue else "is unknown"
        )
        found.append(
            IdFault("model id", f"the model id {api.model_id} {whose}; that of {name!r} is {record.model_id}")
        )
    if api.version_id is not None and not _may_have(record, api.version_id, catalogue):
        found.append(IdFault("version id", f"{name!r} has no version with the id {api.version_id}"))
    if api.version is not None and record.versions:
        numbered = record.version(api.version_id) if api.version_id is not None else None
        names = {normalise_name(version.version) for version in ([numbered] if numbered else record.versions)}
        if normalise_name(api.version) not in names:
            whose = f"the version {numbered.version_id}" if numbered else "no version"
            says = "is not" if numbered else "is"
            reason = f"{whose} of {name!r} {says} called {api.version[:80]!r}"
            found.append(IdFault("version", reason))
    if api.air is not None:
        reason = _air_fault(api, record, catalogue)
        if reason:
            found.append(IdFault("air", reason))
    return found


def _may_have(record: ModelRecord, version_id: int, catalogue: Catalogue) -> bool:
    if record.versions or version_id < 1:
        return record.version(version_id) is not None
    try:
        return catalogue.by_version(version_id).record.model_id == record.model_id
    except UnknownModel:
        return True


def _air_fault(api: T2IApi, record: ModelRecord, catalogue: Catalogue) -> str:
    air = parse_air(api.air or "")
    if air is None:
        return f"{(api.air or '')[:80]!r} is no AIR"
    if air.model_id != record.model_id:
        return f"the AIR names the model {air.model_id}; {record.model!r} is {record.model_id}"
    if air.type != record.type.lower():
        return f"the AIR says {air.type}; {record.model!r} is of the type {record.type}"
    version = record.version(air.version_id) if air.version_id is not None else None
    if air.version_id is not None and not _may_have(record, air.version_id, catalogue):
        return f"the AIR names the version {air.version_id}, which {record.model!r} does not have"
    if None not in (air.version_id, api.version_id) and air.version_id != api.version_id:
        return f"the AIR names the version {air.version_id} and the version id is {api.version_id}"
    bases = (record.base_model, version.base_model if version else record.base_model)
    families = [family for family in map(table_family, bases) if family is not None]
    if families and air.ecosystem not in {family.air for family in families}:
        return f"the AIR says {air.ecosystem}; {record.model!r} is of {families[0].air}"
    return ""


def named_version(api: T2IApi | None, match: Match) -> VersionRecord | None:
    """The version that the API names rightly: by id, AIR or the version's name, or in the model's name."""
    if api is None:
        return match.version
    record = match.record
    air = parse_air(api.air) if api.air else None
    for version_id in (api.version_id, air.version_id if air and air.model_id == record.model_id else None):
        version = record.version(version_id) if version_id is not None else None
        if version is not None:
            return version
    if api.version is not None:
        wanted = normalise_name(api.version)
        for version in record.versions:
            if normalise_name(version.version) == wanted:
                return version
    return match.version


def version_fault(
    record: ModelRecord, version: VersionRecord | None, family: str | None
) -> tuple[Literal["unavailable", "wrong family"], str] | None:
    """Why a version must be left for another of the model: ("unavailable" | "wrong family", the reason)."""
    if version is None:
        return None
    own = _own(record, family)
    if not version.available and own:
        return "unavailable", f"the version {version.version!r} of {record.model!r} can no longer be had"
    if family is not None and own and family_name(version.base_model) != family:
        return (
            "wrong family",
            f"the version {version.version!r} of {record.model!r} is for {shown_family(version.base_model)}, "
            f"not {family}",
        )
    return None

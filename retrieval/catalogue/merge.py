"""Two records of one model as one: what is newer goes first, and an empty answer overwrites nothing.

merged(old, new)
merged_catalogue([Catalogue.load(a), Catalogue.load(b)])
"""

from collections.abc import Iterable
from typing import Any

from retrieval.catalogue.catalogue import Catalogue
from retrieval.records.model import ModelRecord, Stats, VersionRecord

# made of sample prompts: of a record that knows none they would be poorer
_MADE = ("description", "terms", "negative_terms", "keywords", "settings", "samples")
_NEWEST = ("available", "status")


def merged(old: ModelRecord, new: ModelRecord) -> ModelRecord:
    """What `new` says, and what only `old` knows. Both are of one id."""
    update: dict[str, Any] = {}
    for name, field in type(old).model_fields.items():
        said = getattr(new, name)
        empty = said == field.get_default(call_default_factory=True)
        if name in _NEWEST or not (empty or (name in _MADE and old.terms and not new.terms)):
            update[name] = said
    update["stats"] = _stats(old.stats, new.stats)
    update["versions"] = _versions(old.versions, new.versions)
    renamed = (old.model,) if old.model != new.model else ()
    names = dict.fromkeys((*new.aliases, *old.aliases, *renamed))
    update["aliases"] = tuple(name for name in names if name != new.model)
    return old.model_copy(update=update)


def merged_catalogue(catalogues: Iterable[Catalogue], name: str = "catalogue") -> Catalogue:
    """All models of several catalogues; of one model in several the later catalogue's facts go first."""
    records: dict[int, ModelRecord] = {}
    for catalogue in catalogues:
        for record in catalogue:
            known = records.get(record.model_id)
            records[record.model_id] = record if known is None else merged(known, record)
    return Catalogue(records.values(), name)


def _stats(old: Stats, new: Stats) -> Stats:
    return old.model_copy(update={name: value for name, value in new if value is not None})


def _versions(old: tuple[VersionRecord, ...], new: tuple[VersionRecord, ...]) -> tuple[VersionRecord, ...]:
    """Those of `new` in their order, with what only `old` knows of them, then those that only `old` has."""
    known = {version.version_id: version for version in old}
    found = []
    for version in new:
        before = known.pop(version.version_id, None)
        found.append(version if before is None else _version(before, version))
    return (*found, *known.values())


def _version(old: VersionRecord, new: VersionRecord) -> VersionRecord:
    update = {
        name: getattr(new, name)
        for name, field in type(old).model_fields.items()
        if name == "available" or getattr(new, name) != field.get_default(call_default_factory=True)
    }
    return old.model_copy(update={**update, "stats": _stats(old.stats, new.stats)})

"""Which model to call where a T2I API names none that can be called: by spelling, ids, then by meaning.

    found = find_substitute(judge("Dream Shapper", catalogue), request, catalogue, None)
    found.record, found.why

`retrieval.calls.repair` writes the call.
"""

from dataclasses import dataclass

from retrieval.calls.identify import (
    family_meant,
    fits_family,
    fitting_version,
    known_family,
    nearest_spelling,
    obtainable,
    pointed_at,
    proposable,
    shown_family,
    version_fault,
)
from retrieval.calls.meaning import Searcher, nearest_in_meaning
from retrieval.calls.verdict import Verdict
from retrieval.catalogue import Catalogue, Match
from retrieval.catalogue.written import core_name, take_apart
from retrieval.records.api import Instruction, T2IApi
from retrieval.records.model import ModelRecord, VersionRecord, document_text

_QUERY_NAME = 200
_QUERY_PART = 1000
_SHOWN = 80


@dataclass(frozen=True)
class Substitute:
    """The model to call instead, why, and how near it is; no record where none is near enough."""

    record: ModelRecord | None
    version: VersionRecord | None
    why: str
    similarity: float | None


def find_substitute(
    verdict: Verdict, request: Instruction | None, catalogue: Catalogue, search: Searcher | None
) -> Substitute:
    """Of the family and type of the call that was judged; of any where that was a bare name.

    Args:
        verdict: names a model that cannot be called.
        search: finds by meaning; without it shared words count.
    """
    name, call, match = verdict.named, verdict.call, verdict.match
    family = known_family(call.base_model, catalogue) if call is not None else None
    kind = call.type if call is not None else None
    if match is None:
        said = family_meant(name, call, catalogue)
        if said is not None and said not in catalogue.families:
            return Substitute(
                None, None, f"{_short(name)} is of {said}, and {catalogue.name} holds none", None
            )
        family = said or family

    def fits(record: ModelRecord) -> bool:
        return fits_family(record, family) and kind in (None, record.type) and proposable(record)

    if match is not None:
        missing = _why_not(match.record, family, kind)
    else:
        near = nearest_spelling(name, catalogue, lambda model_id: fits(catalogue.get(model_id)))
        missing = f"no model is called {_short(name)}"
        if near is not None:
            record = catalogue.get(near.model_id)
            why = f"{missing}; the nearest name is {record.model!r}"
            return Substitute(record, fitting_version(record, family), why, near.similarity)
        by = "its ids are those"
        match = pointed_at(call, catalogue) if call is not None else None
        if match is None and (owners := catalogue.hashed(take_apart(name).digest)):
            match, by = owners[0], "its hash is that"
        if match is not None and fits(match.record):
            record, version = match.record, match.version
            aim = family or record.base_model
            if version is None or version_fault(record, version, aim):
                version = fitting_version(record, aim)
            return Substitute(record, version, f"{missing}; {by} of {record.model!r}", 1.0)
        if match is None:
            elsewhere = nearest_spelling(name, catalogue)
            match = Match(catalogue.get(elsewhere.model_id), None, "loose") if elsewhere else None
        if match is None and call is None and request is None:
            # what an invented name sounds like says nothing of what it was wanted for
            return Substitute(None, None, f"{missing}, and no name is near it", None)
    meant = match.record if match is not None else None
    found = nearest_in_meaning(
        _query(name, call, request, meant),
        catalogue,
        search,
        keep=fits,
        family=family,
        type=kind,
    )
    if found is not None and found.accepted:
        why = f"{missing}; the nearest in meaning is {found.record.model!r}"
        return Substitute(found.record, fitting_version(found.record, family), why, found.similarity)
    near_enough = "none is near enough" if found is not None else "there is none to compare it with"
    within = " ".join(part for part in (family, kind) if part)
    where = f" among those of {within}" if within else ""
    why = f"{missing}, and {near_enough}{where}"
    return Substitute(None, None, why, found.similarity if found else None)


def _why_not(record: ModelRecord, family: str | None, kind: str | None) -> str:
    if not obtainable(record):
        return f"{record.model!r} can no longer be had"
    if kind not in (None, record.type):
        return f"{record.model!r} is of the type {record.type}, not {kind}"
    return f"{record.model!r} is for {shown_family(record.base_model)}, not {family}"


def _query(name: str, call: T2IApi | None, request: Instruction | None, meant: ModelRecord | None) -> str:
    """What the model was meant for: the one it names or is spelled like, its description, the request."""
    parts = [document_text(meant) if meant is not None else core_name(name)[:_QUERY_NAME]]
    if call is not None and meant is None:
        parts.append(call.model_description)
    if request is not None:
        parts.append(request.prompt)
    elif call is not None:
        parts.append(call.prompt)
    return ". ".join(part[:_QUERY_PART] for part in parts if part.strip())


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")

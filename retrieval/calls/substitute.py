"""Which model to call where a T2I API names none that can be called: by name, spelling, ids, then by meaning.

    choice = choose("Dream Shapper", None, request, catalogue, None, family="SD 1.5", kind="Checkpoint")
    choice.record, choice.why

`retrieval.calls.repair` writes the call.
"""

from dataclasses import dataclass

from retrieval.calls.identify import (
    fits_family,
    fitting_version,
    identify,
    named_version,
    obtainable,
    pointed_at,
    proposable,
    version_fault,
)
from retrieval.calls.meaning import Searcher, nearest_in_meaning
from retrieval.catalogue import Catalogue, Match
from retrieval.catalogue.spelling import spelling_index
from retrieval.records.api import Instruction, T2IApi
from retrieval.records.model import ModelRecord, VersionRecord, document_text

_QUERY_NAME = 200
_QUERY_PART = 1000
_SHOWN = 80


@dataclass(frozen=True)
class Choice:
    """The model to call, why it is another than the one named ("" if it is the one), and how near it is."""

    record: ModelRecord | None
    version: VersionRecord | None
    why: str
    similarity: float | None


def choose(
    name: str,
    call: T2IApi | None,
    request: Instruction | None,
    catalogue: Catalogue,
    search: Searcher | None,
    family: str | None,
    kind: str | None,
) -> Choice:
    """The model to call, within `family` and type `kind` where they are given."""

    def fits(record: ModelRecord) -> bool:
        return fits_family(record, family) and kind in (None, record.type) and proposable(record)

    match = identify(name, catalogue, call)
    if match is not None:
        record = match.record
        if obtainable(record) and fits_family(record, family) and kind in (None, record.type):
            version = named_version(call, match)
            if version is None or version_fault(record, version, family):
                version = fitting_version(record, family)
            return Choice(record, version, "", 1.0)
        missing = _why_not(record, family, kind)
    else:
        names = spelling_index(catalogue)
        near = names.best(name, lambda model_id: fits(catalogue.get(model_id)))
        if near is not None:
            record = catalogue.get(near.model_id)
            why = f"no model is called {_short(name)}; the nearest name is {record.model!r}"
            return Choice(record, fitting_version(record, family), why, near.similarity)
        missing = f"no model is called {_short(name)}"
        match = pointed_at(call, catalogue) if call is not None else None
        if match is not None and fits(match.record):
            record = match.record
            version = match.version or fitting_version(record, family)
            if version_fault(record, version, family):
                version = fitting_version(record, family)
            return Choice(record, version, f"{missing}; its ids are those of {record.model!r}", 1.0)
        if match is None:
            elsewhere = names.best(name)
            match = Match(catalogue.get(elsewhere.model_id), None, "loose") if elsewhere else None
    meant = match.record if match is not None else None
    text = _query(name, call, request, meant)
    other = meant.model_id if meant is not None else None
    found = nearest_in_meaning(
        text,
        catalogue,
        search,
        keep=lambda record: record.model_id != other and fits(record),
        family=family,
        type=kind,
    )
    if found is not None and found.accepted:
        why = f"{missing}; the nearest in meaning is {found.record.model!r}"
        return Choice(found.record, fitting_version(found.record, family), why, found.similarity)
    near_enough = "none is near enough" if found is not None else "there is none to compare it with"
    within = " ".join(part for part in (family, kind) if part)
    where = f" among those of {within}" if within else ""
    return Choice(None, None, f"{missing}, and {near_enough}{where}", found.similarity if found else None)


def _why_not(record: ModelRecord, family: str | None, kind: str | None) -> str:
    if not obtainable(record):
        return f"{record.model!r} can no longer be had"
    if kind not in (None, record.type):
        return f"{record.model!r} is of the type {record.type}, not {kind}"
    return f"{record.model!r} is for {record.base_model}, not {family}"


def _query(name: str, call: T2IApi | None, request: Instruction | None, meant: ModelRecord | None) -> str:
    """What the model was meant for: the one it names or is spelled like, its description, the request."""
    parts = [document_text(meant) if meant is not None else name[:_QUERY_NAME]]
    if call is not None and meant is None:
        parts.append(call.model_description)
    if request is not None:
        parts.append(request.prompt)
    elif call is not None:
        parts.append(call.prompt)
    return ". ".join(part[:_QUERY_PART] for part in parts if part.strip())


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")

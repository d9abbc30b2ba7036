"""Whether a T2I API can be called: is there such a model, of this family and type, with these parameters?

    verdict = check(read_api(text).api, Catalogue.starter())
    if not verdict.valid:
        print(verdict.status, *verdict.reasons, sep="\\n- ")

`retrieval.calls.repair` makes a valid one of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from retrieval.calls.base_checkpoint import base_checkpoint_change
from retrieval.calls.identify import (
    fits_family,
    id_faults,
    identify,
    known_family,
    named_version,
    obtainable,
    table_family,
    version_fault,
)
from retrieval.calls.limits import corrections
from retrieval.catalogue import Catalogue, Match
from retrieval.catalogue.spelling import spelling_index
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord

Status = Literal["valid", "alias", "invented", "unavailable", "wrong family", "wrong type", "bad parameters"]
_WORST_FIRST: tuple[Status, ...] = (
    "invented",
    "unavailable",
    "wrong type",
    "wrong family",
    "bad parameters",
    "alias",
)
_SHOWN = 80


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, a sentence, and the field as the JSON spells it.

    An id or AIR that belongs to another model is of the kind "bad parameters", with the field "model id",
    "version id", "version" or "air".
    """

    kind: Status
    reason: str
    field: str


@dataclass(frozen=True)
class Verdict:
    """The most severe kind of problem, all of them, and the model that the name stands for, if any."""

    status: Status
    problems: tuple[Problem, ...]
    record: ModelRecord | None

    @property
    def valid(self) -> bool:
        return self.status == "valid"

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(problem.reason for problem in self.problems)


def check(api: T2IApi | str, catalogue: Catalogue) -> Verdict:
    """What is wrong with a T2I API, or with a bare name, of which only the name is judged."""
    call = None if isinstance(api, str) else api
    name = api if isinstance(api, str) else api.model
    match = identify(name, catalogue, call)
    problems = [_invented(name, catalogue)] if match is None else _name_problems(name, match)
    if call is not None:
        problems += _call_problems(call, match, catalogue)
    elif match is not None:
        fault = version_fault(match.record, match.version, None)
        problems += [Problem("unavailable", fault[1], "model")] if fault else []
    status: Status = next((kind for kind in _WORST_FIRST if any(p.kind == kind for p in problems)), "valid")
    return Verdict(status, tuple(problems), match.record if match else None)


def check_names(names: Iterable[str], catalogue: Catalogue) -> list[Verdict]:
    """`check` for each of several bare names."""
    return [check(name, catalogue) for name in names]


def _invented(name: str, catalogue: Catalogue) -> Problem:
    nearest = spelling_index(catalogue).best(name)
    hint = f"; the nearest name is {catalogue.get(nearest.model_id).model!r}" if nearest else ""
    return Problem("invented", f"{catalogue.name} holds no model called {_short(name)}{hint}", "model")


def _name_problems(name: str, match: Match) -> list[Problem]:
    record = match.record
    problems: list[Problem] = []
    if record.model != name:
        problems.append(Problem("alias", f"{_short(name)} is listed as {record.model!r}", "model"))
    if not obtainable(record):
        status = f" ({record.status})" if record.status else ""
        problems.append(Problem("unavailable", f"{record.model!r} can no longer be had{status}", "model"))
    return problems


def _call_problems(api: T2IApi, match: Match | None, catalogue: Catalogue) -> list[Problem]:
    problems: list[Problem] = []
    family = known_family(api.base_model, catalogue)
    record = match.record if match else None
    if family is None:
        belongs = f"; {record.model!r} is for {record.base_model}" if record else ""
        reason = f"{_short(api.base_model)} is no family of base models{belongs}"
        problems.append(Problem("wrong family", reason, "base model"))
    if match is not None and record is not None:
        if record.type != api.type:
            reason = f"{record.model!r} is of the type {record.type}, not {api.type}"
            problems.append(Problem("wrong type", reason, "type"))
        if not fits_family(record, family):
            reason = f"{record.model!r} is for {record.base_model}, not {family}"
            problems.append(Problem("wrong family", reason, "base model"))
        problems += [
            Problem("bad parameters", fault.reason, fault.field)
            for fault in id_faults(api, record, catalogue)
        ]
        fault = version_fault(record, named_version(api, match), family)
        if fault is not None:
            kind: Status = "unavailable" if fault[0] == "unavailable" else "wrong family"
            problems.append(Problem(kind, fault[1], "version id"))
    limits = table_family(api.base_model) or (table_family(record.base_model) if record else None)
    for change in corrections(api, limits, record):
        reason = f"{change.field} {change.before}: {change.why}"
        problems.append(Problem("bad parameters", reason, change.field))
    loaded = base_checkpoint_change(api, record, catalogue)
    if loaded is not None:
        problems.append(Problem("bad parameters", loaded.why, loaded.field))
    return problems


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")

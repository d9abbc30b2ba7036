"""Whether a T2I API can be called: is there such a model, of this family and type, with these parameters?

    verdict = judge(read_api(text).api, Catalogue.starter())
    if not verdict.valid:
        print(verdict.status, *verdict.reasons, sep="\n- ")

Each problem carries what would mend it; `retrieval.calls.repair` applies that.
"""

from dataclasses import dataclass
from typing import Literal

from retrieval.calls.base_checkpoint import base_checkpoint_change, is_other_spelling
from retrieval.calls.identify import (
    air_of,
    family_meant,
    fits_family,
    fitting_version,
    id_faults,
    identify,
    known_family,
    named_version,
    nearest_spelling,
    obtainable,
    shown_family,
    table_family,
    unknown_version,
    version_fault,
)
from retrieval.calls.limits import Change, corrections
from retrieval.calls.loras import lora_faults
from retrieval.catalogue import Catalogue, Match
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord, VersionRecord

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
_ID_FIELDS = ("model id", "version id", "version", "air")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, a sentence, the field as the JSON spells it, and what mends it.

    An id or AIR that belongs to another model is of the kind "bad parameters", with the field "model id",
    "version id", "version" or "air". `fix` may change other fields, too: the ids of a model belong together.
    It is None where no change of the call helps, and another model must be called.
    """

    kind: Status
    reason: str
    field: str
    fix: tuple[Change, ...] | None = None


@dataclass(frozen=True)
class Verdict:
    """The most severe kind of problem, all of them, and what was found.

    `call` is None where a bare name was judged; `match` is the model that the name stands for, and `version`
    the one of it to call, None where there is none.
    """

    named: str
    call: T2IApi | None
    match: Match | None
    version: VersionRecord | None
    problems: tuple[Problem, ...]

    @property
    def status(self) -> Status:
        kinds = {problem.kind for problem in self.problems}
        return next((kind for kind in _WORST_FIRST if kind in kinds), "valid")

    @property
    def record(self) -> ModelRecord | None:
        return self.match.record if self.match else None

    @property
    def valid(self) -> bool:
        return not self.problems

    @property
    def mendable(self) -> bool:
        """Whether the model that is named can be called, if not as it is written."""
        return all(problem.fix is not None for problem in self.problems)

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(problem.reason for problem in self.problems)


def judge(api: T2IApi | str, catalogue: Catalogue) -> Verdict:
    """What is wrong with a T2I API, or with a bare name, of which only the name is judged."""
    if isinstance(api, str):
        return _judge_name(api, identify(api, catalogue), catalogue)
    return judge_call(api, identify(api.model, catalogue, api), catalogue)


def _judge_name(name: str, match: Match | None, catalogue: Catalogue) -> Verdict:
    if match is None:
        return Verdict(name, None, None, None, (_invented(name, None, catalogue),))
    problems = _name_problems(name, match, (), catalogue)
    version = match.version or match.record.default_version
    fault = version_fault(match.record, match.version, None)
    if fault is not None:
        version = match.record.default_version
        problems.append(Problem("unavailable", fault[1], "model", fix=()))
    return Verdict(name, None, match, version, tuple(problems))


def judge_call(api: T2IApi, match: Match | None, catalogue: Catalogue) -> Verdict:
    """What is wrong with a T2I API whose model is known already (None: there is no such model)."""
    family = known_family(api.base_model, catalogue)
    if match is None:
        problems = [_invented(api.model, api, catalogue)]
        if family is None:
            problems.append(_no_family(api, None, ()))
        problems += _parameter_problems(api, None, catalogue)
        return Verdict(api.model, api, None, None, tuple(problems))
    record = match.record
    version, ids, id_problems = _identity(api, match, family, catalogue)
    problems = _name_problems(api.model, match, ids, catalogue)
    if family is None:
        problems.append(_no_family(api, record, ids))
    if record.type != api.type:
        reason = f"{record.model!r} is of the type {record.type}, not {api.type}"
        problems.append(Problem("wrong type", reason, "type"))
    if not fits_family(record, family):
        reason = f"{record.model!r} is for {shown_family(record.base_model)}, not {family}"
        problems.append(Problem("wrong family", reason, "base model"))
    problems += [*id_problems, *_parameter_problems(api, record, catalogue)]
    return Verdict(api.model, api, match, version, tuple(problems))


def _invented(name: str, call: T2IApi | None, catalogue: Catalogue) -> Problem:
    reason = f"{catalogue.name} holds no model called {_short(name)}"
    family = family_meant(name, call, catalogue)
    if family is not None and family not in catalogue.families:
        return Problem("invented", f"{reason}, and none of the family {family}", "model")
    nearest = nearest_spelling(name, catalogue)
    hint = f"; the nearest name is {catalogue.get(nearest.model_id).model!r}" if nearest else ""
    return Problem("invented", reason + hint, "model")


def _name_problems(name: str, match: Match, ids: tuple[Change, ...], catalogue: Catalogue) -> list[Problem]:
    """`ids`: what the ids must become; a name can be an address that says which version is meant."""
    record = match.record
    problems: list[Problem] = []
    if record.model != name:
        reason = f"{_short(name)} is listed as {record.model!r}"
        fix = (Change("model", name, record.model, reason), *ids)
        problems.append(Problem("alias", reason, "model", fix))
    unknown = unknown_version(name, match, catalogue)
    if unknown:
        problems.append(Problem("bad parameters", unknown, "version", ids))
    if not obtainable(record):
        status = f" ({record.status[:_SHOWN]!r})" if record.status else ""
        problems.append(Problem("unavailable", f"{record.model!r} can no longer be had{status}", "model"))
    return problems


def _no_family(api: T2IApi, record: ModelRecord | None, ids: tuple[Change, ...]) -> Problem:
    reason = f"{_short(api.base_model)} is no family of base models"
    if record is None:
        return Problem("wrong family", reason, "base model")
    reason += f"; {record.model!r} is for {shown_family(record.base_model)}"
    fix = (Change("base model", api.base_model, record.base_model, reason), *ids)
    return Problem("wrong family", reason, "base model", fix)


def _identity(
    api: T2IApi, match: Match, family: str | None, catalogue: Catalogue
) -> tuple[VersionRecord | None, tuple[Change, ...], list[Problem]]:
    """The version to call, what the ids must become for it, and what is wrong with them as they are."""
    record = match.record
    aim = family or record.base_model
    version = named_version(api, match)
    told = version_fault(record, version, family)
    left = told if family is not None else version_fault(record, version, aim)
    faults = id_faults(api, record, catalogue)
    if left is not None or version is None:
        version = fitting_version(record, aim)
    ids: tuple[Change, ...] = ()
    if left is not None or faults or (api.version_id is None and match.version is not None):
        usual = left[1] if left else faults[0].reason if faults else "the name says which version"
        reasons = {"version id": told[1]} if told else {}
        reasons |= {fault.field: fault.reason for fault in faults}
        after = (
            record.model_id,
            version.version_id if version else None,
            version.version if version else None,
            air_of(record, version),
        )
        before = (api.model_id, api.version_id, api.version, api.air)
        ids = tuple(
            Change(field, was, becomes, reasons.get(field, usual))
            for field, was, becomes in zip(_ID_FIELDS, before, after, strict=True)
            if was != becomes
        )
    problems = [Problem("bad parameters", fault.reason, fault.field, ids) for fault in faults]
    if told is not None:
        kind, reason = told
        problems.append(Problem(kind, reason, "version id", ids))
    return version, ids, problems


def _parameter_problems(api: T2IApi, record: ModelRecord | None, catalogue: Catalogue) -> list[Problem]:
    limits = table_family(api.base_model) or (table_family(record.base_model) if record else None)
    problems = [
        Problem("bad parameters", f"{change.field} {change.was}: {change.why}", change.field, (change,))
        for change in corrections(api, limits, record)
    ]
    problems += [
        Problem("alias" if fault.is_alias else "bad parameters", fault.reason, "loras", (fault.change,))
        for fault in lora_faults(api, record, catalogue)
    ]
    loaded = base_checkpoint_change(api, record, catalogue)
    if loaded is not None:
        kind: Status = "alias" if is_other_spelling(loaded, catalogue) else "bad parameters"
        problems.append(Problem(kind, loaded.why, loaded.field, (loaded,)))
    return problems


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")

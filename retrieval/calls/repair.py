"""The nearest T2I API that can be called, with what was changed and why.

    repaired = repair(read_api(text).api, Catalogue.starter(), instruction="a castle at night")
    for change in repaired.changes:
        print(change.field, change.before, "->", change.after, change.why)

A name is looked for as an alias, then as a misspelling, then by the ids, then by meaning, within the family
and the type that the API says. What is not near enough is not guessed: the answer is then the family's base
model with default parameters, and `abstained` is true.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.calls.base_checkpoint import default_record
from retrieval.calls.compose import default_api, facts, recommended_api, with_trigger, worth_saying
from retrieval.calls.identify import family_meant, fits_family, shown_family, table_family
from retrieval.calls.limits import Change, corrections
from retrieval.calls.meaning import Searcher
from retrieval.calls.substitute import Substitute, find_substitute
from retrieval.calls.verdict import Problem, Verdict, judge, judge_call
from retrieval.catalogue import Catalogue, Match
from retrieval.records.api import Instruction, T2IApi, read_instruction
from retrieval.records.model import ModelRecord, VersionRecord, family_name
from retrieval.requests.consent import refuse
from retrieval.tables.families import DEFAULT_FAMILY, family_of

__all__ = ["Change", "Repair", "Searcher", "repair"]


@dataclass(frozen=True)
class Repair:
    """The API that can be called, what was wrong, and what was changed.

    `abstained`: no model was near enough, and the API is the fallback. `similarity` is that of the chosen
    model, or of the best one that was refused: 1 for a name, alias or id, else of the spelling in [0, 1] or
    of the meaning in [-1, 1]; None where nothing could be compared.
    """

    api: T2IApi
    verdict: Verdict
    changes: tuple[Change, ...]
    abstained: bool
    similarity: float | None


def repair(
    api: T2IApi | str,
    catalogue: Catalogue,
    search: Searcher | None = None,
    instruction: Instruction | str | Mapping[str, Any] | None = None,
) -> Repair:
    """The nearest true API; a valid one comes back as it is.

    Args:
        api: a T2I API, or a bare name: then family and type are free, and recommended settings are filled in.
        search: finds models by meaning, such as a `DescriptionIndex`; without it shared words count.
        instruction: the request; it says what a model that does not exist was meant for.

    Raises:
        InvalidInstruction: the instruction is empty or no text.
        RequestRefused: it, or the API's prompt, is for sexual content with minors.
        UnknownModel: the catalogue holds no checkpoint to fall back on.
    """
    request = None if instruction is None else read_instruction(instruction)
    for asked in (request, None if isinstance(api, str) else api):
        if asked is not None:
            refuse(asked)
    verdict = judge(api, catalogue)
    call = verdict.call
    if call is not None and verdict.mendable:
        mended, changes = _mended(call, call, {}, verdict.problems)
        return Repair(mended, verdict, changes, abstained=False, similarity=1.0)
    found = (
        Substitute(verdict.record, verdict.version, next(iter(verdict.reasons), ""), 1.0)
        if verdict.mendable
        else find_substitute(verdict, request, catalogue, search)
    )
    record = found.record
    if record is None:
        return _abstained(verdict, found, request, catalogue)
    if call is None:
        made, whys = recommended_api(record, found.version, request), {}
    else:
        made = _substitute(call, record, found.version, request)
        whys = {change.field: found.why for change in _differences(call, made, {})}
    again = judge_call(made, Match(record, found.version, "name"), catalogue)
    mended, changes = _mended(call or made, made, whys, again.problems)
    if call is None and record.model != verdict.named:
        changes = (Change("model", verdict.named, record.model, found.why), *changes)
    return Repair(mended, verdict, changes, abstained=False, similarity=found.similarity)


def _mended(
    before: T2IApi, call: T2IApi, whys: Mapping[str, str], problems: Sequence[Problem]
) -> tuple[T2IApi, tuple[Change, ...]]:
    """The call with the fix of each problem, and all in which it differs from `before`.

    Args:
        whys: of the differences that the call has already.
    """
    fixes = [change for problem in problems for change in problem.fix or ()]
    mended = call.model_copy(update={change.attribute: change.after for change in fixes})
    told = {**whys, **{change.field: change.why for change in fixes}}
    return mended if fixes else call, _differences(before, mended, told)


def _abstained(
    verdict: Verdict, found: Substitute, request: Instruction | None, catalogue: Catalogue
) -> Repair:
    """The fallback, where no model is near enough."""
    fallback = _fallback(verdict, request, catalogue)
    family = shown_family(fallback.base_model)
    why = f"{found.why}; the answer is the base model of {family} with default parameters"
    if verdict.call is None:
        changes: tuple[Change, ...] = (Change("model", verdict.named, fallback.model, why),)
    else:
        changes = _differences(verdict.call, fallback, {}, why)
    return Repair(fallback, verdict, changes, abstained=True, similarity=found.similarity)


def _fallback(verdict: Verdict, request: Instruction | None, catalogue: Catalogue) -> T2IApi:
    """The paper's default call (section 4.1) on the family's base model; a size that fits is kept."""
    call = verdict.call
    family = call.base_model if call is not None else None
    if verdict.record is None:
        family = family_meant(verdict.named, call, catalogue) or family
    record = default_record(catalogue, table_family(family) if family is not None else None)
    made = default_api(record, request)
    if call is None:
        return made
    update: dict[str, Any] = {}
    limits = table_family(record.base_model) or family_of(DEFAULT_FAMILY)
    if not {change.field for change in corrections(call, limits, None)} & {"width", "height"}:
        update |= {"width": call.width, "height": call.height}
    if request is None:
        update |= {"prompt": _without_triggers(call), "negative_prompt": call.negative_prompt}
    return made.model_copy(update=update)


def _substitute(
    call: T2IApi, record: ModelRecord, version: VersionRecord | None, request: Instruction | None
) -> T2IApi:
    """The call with another model in it: its facts and trigger words, the settings as they were."""
    # how sure somebody was of another model says nothing of this one
    update = {**facts(record, version), "confidence": None}
    if not fits_family(record, family_name(call.base_model)):
        update["base_model"] = record.base_model
    prompt = _without_triggers(call) or (request.prompt if request is not None else "")
    if prompt:
        prompt = with_trigger(worth_saying(record, update["trigger_words"]), prompt)
    return call.model_copy(update={**update, "prompt": prompt})


def _without_triggers(call: T2IApi) -> str:
    """The prompt without the trigger word that was put before it for the model that is left."""
    for trigger in call.trigger_words:
        if trigger and call.prompt.startswith(f"{trigger}, "):
            return call.prompt.removeprefix(f"{trigger}, ")
    return call.prompt


def _differences(
    before: T2IApi, after: T2IApi, whys: Mapping[str, str], usual: str = "it belongs to the model"
) -> tuple[Change, ...]:
    """Every field that differs, with its reason, or the usual one where it has none of its own."""
    found = []
    for name in T2IApi.model_fields:
        field, was, is_ = name.replace("_", " "), getattr(before, name), getattr(after, name)
        if was != is_:
            found.append(Change(field, was, is_, whys.get(field, usual)))
    return tuple(found)

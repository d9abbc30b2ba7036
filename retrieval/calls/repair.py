"""The nearest T2I API that can be called, with what was changed and why.

    repaired = repair(read_api(text).api, Catalogue.starter(), instruction="a castle at night")
    for change in repaired.changes:
        print(change.field, change.before, "->", change.after, change.why)

A name is looked for as an alias, then as a misspelling, then by the ids, then by meaning, within the family
and the type that the API says. What is not near enough is not guessed: the answer is then the family's base
model with default parameters, and `abstained` is true.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.calls.base_checkpoint import base_checkpoint_change, default_record
from retrieval.calls.check import Verdict, check
from retrieval.calls.compose import api_for, trigger_words, with_trigger
from retrieval.calls.identify import (
    air_of,
    fits_family,
    fitting_version,
    id_faults,
    identify,
    known_family,
    named_version,
    table_family,
    version_fault,
)
from retrieval.calls.limits import Change, corrections
from retrieval.calls.meaning import Searcher
from retrieval.calls.substitute import choose
from retrieval.catalogue import Catalogue, Match
from retrieval.records.api import DEFAULT_PARAMETERS, Instruction, T2IApi, read_instruction
from retrieval.records.model import ModelRecord, VersionRecord, family_name
from retrieval.requests.consent import refuse
from retrieval.tables.families import family_of

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
    *,
    cross_family: bool = False,
    cross_type: bool = False,
) -> Repair:
    """The nearest true API; a valid one comes back as it is.

    Args:
        api: a T2I API, or a bare name: then family and type are free, and recommended settings are filled in.
        search: finds models by meaning, such as a `DescriptionIndex`; without it shared words count.
        instruction: the request; it says what a model that does not exist was meant for.
        cross_family: a model of another base-model family may be taken.
        cross_type: a checkpoint may be taken for a LoRA and the reverse.

    Raises:
        InvalidInstruction: the instruction is empty or no text.
        RequestRefused: it, or the API's prompt, is for sexual content with minors.
        UnknownModel: the catalogue holds no checkpoint to fall back on.
    """
    request = None if instruction is None else read_instruction(instruction)
    for asked in (request, None if isinstance(api, str) else api):
        if asked is not None:
            refuse(asked)
    verdict = check(api, catalogue)
    call = None if isinstance(api, str) else api
    if call is not None and verdict.valid:
        return Repair(call, verdict, (), abstained=False, similarity=1.0)
    named = api if isinstance(api, str) else api.model
    family = None if call is None or cross_family else known_family(call.base_model, catalogue)
    kind = None if call is None or cross_type else call.type
    choice = choose(named, call, request, catalogue, search, family, kind)
    if choice.record is None:
        fallback = _fallback(call, request, catalogue)
        why = f"{choice.why}; the answer is the base model of {fallback.base_model} with default parameters"
        changes = (
            _differences(call, fallback, why) if call else (Change("model", named, fallback.model, why),)
        )
        return Repair(fallback, verdict, changes, abstained=True, similarity=choice.similarity)
    if call is None:
        filled = _from_record(choice.record, choice.version, request)
        filled, changes = _finish(filled, filled, choice.record, catalogue, {})
        if choice.record.model != named:
            changes = (
                Change("model", named, choice.record.model, choice.why or verdict.reasons[0]),
                *changes,
            )
        return Repair(filled, verdict, changes, abstained=False, similarity=choice.similarity)
    substituted = bool(choice.why)
    if substituted:
        changed = _substitute(call, choice.record, choice.version, request)
        reasons = {change.field: change.why for change in _differences(call, changed, choice.why)}
    else:
        changed, reasons = _correct(call, choice.record, verdict, catalogue)
    final, changes = _finish(call, changed, choice.record, catalogue, reasons)
    return Repair(final, verdict, changes, abstained=False, similarity=choice.similarity)


def _fallback(call: T2IApi | None, request: Instruction | None, catalogue: Catalogue) -> T2IApi:
    """The family's base model with the paper's default parameters (section 4.1); a size that fits is kept."""
    family = table_family(call.base_model) if call is not None else None
    record = default_record(catalogue, family)
    own = table_family(record.base_model) or family_of("SD 1.5")
    made = _from_record(record, record.default_version, request)
    update: dict[str, Any] = {"width": own.default_width, "height": own.default_height, "clip_skip": None}
    update |= DEFAULT_PARAMETERS
    if call is not None:
        faults = {change.field for change in corrections(call, own, None)}
        if not faults & {"width", "height"}:
            update |= {"width": call.width, "height": call.height}
        if request is None:
            update |= {"prompt": _without_triggers(call), "negative_prompt": call.negative_prompt}
    return made.model_copy(update=update)


def _from_record(record: ModelRecord, version: VersionRecord | None, request: Instruction | None) -> T2IApi:
    """The call that the catalogue recommends; without a request its prompt is empty."""
    if table_family(record.base_model) is not None:
        version_id = version.version_id if version else None
        filled = api_for(record, request or Instruction(prompt="-"), version_id=version_id)
        return filled if request is not None else filled.model_copy(update={"prompt": ""})
    # a base model of no known family has no sizes of its own
    limits = family_of("SD 1.5")
    return T2IApi(
        model=record.model,
        type=record.type,
        base_model=record.base_model,
        width=limits.default_width,
        height=limits.default_height,
        **DEFAULT_PARAMETERS,
        prompt=request.prompt if request else "",
        negative_prompt=request.negative_prompt if request else "",
    ).model_copy(update=_facts(record, version))


def _facts(record: ModelRecord, version: VersionRecord | None) -> dict[str, Any]:
    """What the catalogue knows of a model and version that is no setting."""
    return {
        "model": record.model,
        "type": record.type,
        "model_description": record.description,
        "trigger_words": trigger_words(record, version),
        **_ids(record, version),
    }


def _ids(record: ModelRecord, version: VersionRecord | None) -> dict[str, Any]:
    return {
        "model_id": record.model_id,
        "version_id": version.version_id if version else None,
        "version": version.version if version else None,
        "air": air_of(record, version),
    }


def _substitute(
    call: T2IApi, record: ModelRecord, version: VersionRecord | None, request: Instruction | None
) -> T2IApi:
    """The call with another model in it: its facts and trigger words, the settings as they were."""
    family = family_name(call.base_model)
    own = fits_family(record, family)
    if version_fault(record, version, family if own else record.base_model):
        version = fitting_version(record, family if own else record.base_model)
    # how sure somebody was of another model says nothing of this one
    update = {**_facts(record, version), "confidence": None}
    if not own:
        update["base_model"] = record.base_model
    if record.type != call.type:
        update |= _loading(call, record, version)
    prompt = _without_triggers(call) or (request.prompt if request is not None else "")
    if prompt:
        prompt = with_trigger(update["trigger_words"], prompt)
    return call.model_copy(update={**update, "prompt": prompt})


def _loading(call: T2IApi, record: ModelRecord, version: VersionRecord | None) -> dict[str, Any]:
    """Another type, with what a LoRA is loaded with; a checkpoint loses it with its other parameters."""
    if record.type == "Checkpoint":
        return {"type": record.type}
    advised = _from_record(record, version or record.default_version, None)
    weight = advised.lora_weight if call.lora_weight is None else call.lora_weight
    return {"type": record.type, "lora_weight": weight, "base_checkpoint": advised.base_checkpoint}


def _without_triggers(call: T2IApi) -> str:
    """The prompt without the trigger word that was put before it for the model that is left."""
    for trigger in call.trigger_words:
        if trigger and call.prompt.startswith(f"{trigger}, "):
            return call.prompt.removeprefix(f"{trigger}, ")
    return call.prompt


def _correct(
    call: T2IApi, record: ModelRecord, verdict: Verdict, catalogue: Catalogue
) -> tuple[T2IApi, dict[str, str]]:
    """The same model rightly named: the catalogue's spelling, ids that belong to it, its own family."""
    reasons = {problem.field: problem.reason for problem in reversed(verdict.problems)}
    update: dict[str, Any] = {"model": record.model}
    if record.type != call.type:
        update |= _loading(call, record, None)
    family = known_family(call.base_model, catalogue)
    if family is None or not fits_family(record, family):
        family = update["base_model"] = record.base_model
    match = identify(call.model, catalogue, call) or Match(record, None, "name")
    version = named_version(call, match)
    left = version_fault(record, version, family)
    faults = id_faults(call, record, catalogue)
    if left or version is None:
        version = fitting_version(record, family)
    said = call.version_id is None and match.version is not None
    if left or faults or said:
        update |= _ids(record, version)
        why = left[1] if left else faults[0].reason if faults else "the name says which version"
        for field in ("model id", "version id", "version", "air"):
            reasons.setdefault(field, why)
    return call.model_copy(update=update), reasons


def _finish(
    call: T2IApi, changed: T2IApi, record: ModelRecord, catalogue: Catalogue, reasons: Mapping[str, str]
) -> tuple[T2IApi, tuple[Change, ...]]:
    """Clamps the parameters of `changed` to its family, and lists all that differs from `call`."""
    limits = table_family(changed.base_model) or table_family(record.base_model)
    told = dict(reasons)
    for change in corrections(changed, limits, record):
        changed = changed.model_copy(update={change.attribute: change.after})
        told[change.field] = change.why
    loaded = base_checkpoint_change(changed, record, catalogue)
    if loaded is not None:
        changed = changed.model_copy(update={loaded.attribute: loaded.after})
        told[loaded.field] = loaded.why
    return changed, tuple(
        Change(change.field, change.before, change.after, told.get(change.field, change.why))
        for change in _differences(call, changed, "it belongs to the model")
    )


def _differences(before: T2IApi, after: T2IApi, why: str) -> tuple[Change, ...]:
    return tuple(
        Change(name.replace("_", " "), getattr(before, name), getattr(after, name), why)
        for name in T2IApi.model_fields
        if getattr(before, name) != getattr(after, name)
    )

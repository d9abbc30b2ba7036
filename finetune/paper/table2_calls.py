"""The calls that Table 2 compares: for each prompt one of every method, written as a candidates file.

    plan = make_calls(sets, answers, adapters, catalogue, architecture="SD 1.5")
    write_calls(Path("calls.jsonl"), plan)      # then finetune/rewards/render_and_score.py --candidates
    calls.jsonl

| method         | model                      | parameters                 |
|----------------|----------------------------|----------------------------|
| Baseline       | the architecture's base    | Euler a, 20 steps, cfg 7   |
| Baseline*      | the architecture's base    | those of DiffAgent-RRHF    |
| DiffAgent#     | that of DiffAgent-RRHF     | Euler a, 20 steps, cfg 7   |
| DiffAgent-SFT  | the SFT adapter's          | its own                    |
| DiffAgent-RRHF | the RRHF adapter's         | its own                    |

Parameters are rebuilt from the catalogue, as in stage 2. Where an answer is a hallucination, or names a model
of another architecture, the baseline's call stands in its place (paper section 4.1). Equal calls of a prompt
stand in the file once, and are rendered once: `methods` says which is whose.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.candidates.file import Candidate, CandidateLine
from finetune.data.cases import Case
from finetune.evaluate.metrics import HALLUCINATED, outcome_of_api
from finetune.paper.figures import ARCHITECTURES
from finetune.paper.free_answers import Answer
from finetune.paper.inputs import Adapter
from finetune.paper.prompt_sets import PromptSet
from retrieval.calls.base_checkpoint import family_default
from retrieval.calls.compose import api_for, default_api
from retrieval.calls.verdict import judge
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi, InvalidInput, UnknownBaseModel
from retrieval.records.api import DEFAULT_PARAMETERS, Instruction, T2IApi, read_api, read_instruction
from retrieval.records.model import ModelRecord
from retrieval.storage import atomic_write
from retrieval.tables.families import family_of

FAMILY = dict(zip(ARCHITECTURES, ("SD 1.5", "SDXL 1.0"), strict=True))
"""The family whose base model is the baseline."""
SIZE = {"SD 1.5": 512, "SD XL": 1024}
"""One side of every image: scores depend on the shape, so all have one."""
_PARAMETERS = tuple(DEFAULT_PARAMETERS)


@dataclass(frozen=True)
class PromptCalls:
    """One prompt of a set: its different calls, which method's is which, and who did not answer with one."""

    id: str
    case: Case
    instruction: Instruction
    calls: tuple[T2IApi, ...]
    methods: Mapping[str, int]
    fell_back: tuple[str, ...]


Plan = Mapping[str, Sequence[PromptCalls]]
"""The prompts of each set, by the set's name."""


def method_of(adapter: Adapter) -> str:
    """The table's name of what an adapter answers: DiffAgent-SFT, DiffAgent-RRHF, or one by its own name."""
    return f"DiffAgent-{adapter.stage or adapter.name}"


def make_calls(
    sets: Sequence[PromptSet],
    answers: Mapping[tuple[str, str], Sequence[Answer]],
    adapters: Sequence[Adapter],
    catalogue: Catalogue,
    *,
    architecture: str,
) -> Plan:
    """The calls of every prompt that could be asked.

    Args:
        answers: by set and adapter, in the order of the set's cases.

    Raises:
        InvalidInput: two adapters are of one stage.
        UnknownModel: the catalogue lacks the base model of the architecture.
    """
    names = [method_of(adapter) for adapter in adapters]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InvalidInput(
            f"two adapters are {twice}; Table 2 has one of each stage, so leave one out of --adapters"
        )
    plan: dict[str, list[PromptCalls]] = {}
    for each in sets:
        rows = plan.setdefault(each.name, [])
        for place, case in enumerate(each.cases):
            said = {
                method: answers[each.name, adapter.name][place]
                for method, adapter in zip(names, adapters, strict=True)
            }
            if all(answer.said is not None for answer in said.values()):
                rows.append(_calls(f"{each.slug}-{place:05d}", case, said, catalogue, architecture))
    return plan


def _calls(
    id: str, case: Case, said: Mapping[str, Answer], catalogue: Catalogue, architecture: str
) -> PromptCalls:
    instruction = read_instruction({"prompt": case.prompt, "negative prompt": case.negative_prompt})
    baseline = default_api(family_default(catalogue, FAMILY[architecture]), instruction)
    wanted: dict[str, T2IApi] = {"Baseline": baseline}
    fell_back: list[str] = []
    for method, answer in said.items():
        record = callable_model(answer.said or "", catalogue, architecture)
        api = baseline if record is None else api_for(record, instruction)
        if record is None:
            fell_back.append(method)
        if method == "DiffAgent-RRHF":
            own = {name: getattr(api, name) for name in _PARAMETERS}
            wanted["Baseline*"] = baseline.model_copy(update=own)
            wanted["DiffAgent#"] = api.model_copy(update=dict(DEFAULT_PARAMETERS))
        wanted[method] = api
    calls: list[T2IApi] = []
    for api in wanted.values():
        if api not in calls:
            calls.append(api)
    methods = {method: calls.index(api) for method, api in wanted.items()}
    return PromptCalls(id, case, instruction, tuple(calls), methods, tuple(fell_back))


def callable_model(said: str, catalogue: Catalogue, architecture: str) -> ModelRecord | None:
    """The model that an answer names, if it exists, can be had, and is of the architecture."""
    try:
        api = read_api(said).api
    except InvalidApi:
        return None
    if outcome_of_api(api, None, catalogue) in HALLUCINATED:
        return None
    record = judge(api, catalogue).record
    if record is None:
        return None
    try:
        fits = family_of(record.base_model).architecture == family_of(FAMILY[architecture]).architecture
    except UnknownBaseModel:  # a family of the user's own catalogue
        return None
    return record if fits else None


def write_calls(path: Path, plan: Plan) -> None:
    """One line a prompt, as finetune/candidates/make.py writes them, with `methods` beside.

    Raises:
        StorageError: the file cannot be written.
    """
    lines = []
    for rows in plan.values():
        for row in rows:
            source = {index: method for method, index in reversed(list(row.methods.items()))}
            calls = tuple(Candidate(api, source[index]) for index, api in enumerate(row.calls))
            line = {
                **CandidateLine(row.id, row.instruction, calls).to_wire(),
                "methods": dict(row.methods),
                "fell back": list(row.fell_back),
            }
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    atomic_write(path, "".join(lines).encode())

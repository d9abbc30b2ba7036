"""The pairs of rendering runs as rows of a study: `diffagent render --baseline` fills the folders.

rows = read_runs([Path("run")], prompts=Path("prompts.jsonl"))

The architecture is that of a pair's base model, under the name of its first family, so that Pony counts as
SDXL. The data set is named for all runs, or it is what the file of prompts says of a request, else the name
of that file, or without one the name of the run's folder.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from finetune.paper.gallery import read_pairs
from finetune.study.create import Row
from retrieval.errors import InvalidInput, UnknownBaseModel
from retrieval.tables.families import FAMILIES, family_of

_SET = ("data set", "data_set")


def read_runs(
    runs: Sequence[Path],
    *,
    data_set: str | None = None,
    prompts: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """The pairs of all runs; one with a picture that a safety checker made black is left out.

    Args:
        data_set: of every pair.
        prompts: the file that `diffagent select --input` read; a line may name its "data set".

    Raises:
        InvalidInput: a folder has no pair or one that the prompts do not hold, or the file cannot be read.
    """
    named = data_sets(prompts) if prompts is not None else {}
    rows: list[Row] = []
    seen = blocked = 0
    for run in runs:
        for pair in read_pairs(run):
            if prompts is not None and pair.id not in named:
                raise InvalidInput(
                    f"{run} has a picture of the request {pair.id[:80]!r}, which {prompts} does not hold; "
                    "give the file that its answers were made from"
                )
            seen += 1
            blocked += pair.blocked
            if pair.blocked:
                continue
            rows.append(
                Row(
                    architecture=architecture_of(pair.base_model),
                    data_set=data_set or named.get(pair.id) or run.resolve().name,
                    prompt=pair.prompt,
                    image_a=pair.baseline,
                    image_b=pair.answer,
                    model_a=pair.baseline_model,
                    model_b=pair.answer_model,
                )
            )
    if blocked and progress is not None:
        progress(f"left out, as the safety checker made a picture black: {blocked} of {seen} pairs")
    return rows


def architecture_of(base_model: str) -> str:
    """What the report calls the architecture; a base model of no known family is one of its own."""
    try:
        wanted = family_of(base_model).architecture
    except UnknownBaseModel:
        return base_model
    return next(family.name for family in FAMILIES if family.architecture == wanted)


def data_sets(prompts: Path) -> dict[str, str]:
    """The data set of each request, by the id that `diffagent select --input` gives it.

    Raises:
        InvalidInput: the file cannot be read.
    """
    try:
        lines = prompts.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    except OSError as error:
        raise InvalidInput(f"cannot read {prompts} ({error.strerror}); name a file of JSON lines") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue  # empty, or a line that had no answer either
        told = value if isinstance(value, dict) else {}
        name = next((told[key] for key in _SET if isinstance(told.get(key), str) and told[key].strip()), None)
        given = told.get("id")
        found[str(number if given is None else given)] = name or prompts.name.partition(".")[0]
    return found

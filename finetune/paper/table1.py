"""Table 1 of the paper: the hallucination error of free decoding, by data set and by training stage.

    diffagent evaluate --table 1 --pairs pairs_val.jsonl.gz --coco captions.txt --parti PartiPrompts.tsv \\
        --adapters sft=adapters/sft rrhf=adapters/rrhf control=adapters/control --output evaluation/table1

The language model writes greedily and without constraint; an answer is a hallucination where it names
nothing that exists and can be had: invented, unavailable or unparsable. Naming one real model always would
score 0, so how often the model is the right one and how many models are named stand beside it; and the error
that is left when the names are held to the catalogue, and when the answers are repaired. Writes table1.md,
.csv, .json and .png, and every answer; a stopped run goes on.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from diffagent_tools.exits import run_script, tell
from diffagent_tools.extras import require
from finetune.data.cases import Case
from finetune.data.pairs import WHERE
from finetune.evaluate.metrics import (
    Outcome,
    bootstrap,
    distinct,
    hallucination,
    outcome_of,
    outcome_of_api,
    paired_difference,
)
from finetune.evaluate.summary import right_share, said_figures
from finetune.paper.free_answers import Answer
from finetune.paper.inputs import Adapter, Speaker, add_inputs, read_adapters, read_prompts
from finetune.paper.prompt_sets import PromptSet
from finetune.paper.table1_report import write_table1
from retrieval.calls.repair import repair
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi
from retrieval.records.api import read_api


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diffagent evaluate --table 1",
        description="The paper's Table 1: hallucination error, by data set and training stage.",
        epilog=WHERE[0].upper() + WHERE[1:] + ".",
    )
    add_inputs(parser)
    parser.add_argument(
        "--output", type=Path, default=Path("evaluation/table1"), help="folder (default: evaluation/table1)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what is left to measure, and writes the table.

    Raises:
        MissingExtra: what draws the table is not installed.
        DataError: a data file is missing or broken, or the output folder holds another run.
        AdapterError: an adapter cannot be read, or fits another base model or catalogue.
    """
    options = make_parser().parse_args(arguments)
    require("matplotlib")  # hours later would be late to find it missing
    adapters = read_adapters(options.adapters)
    sets = read_prompts(options)
    catalogue = Catalogue.load(options.catalogue) if options.catalogue else Catalogue.starter()
    figures = measure(options, adapters, sets, catalogue)
    write_table1(figures, options.output)
    print((options.output / "table1.md").read_text(encoding="utf-8"))
    tell(f"written to {options.output}")
    return 0


def measure(
    options: argparse.Namespace, adapters: Sequence[Adapter], sets: Sequence[PromptSet], catalogue: Catalogue
) -> dict[str, Any]:
    """The figures: "run", "sets" with what each adapter scored, "differences" from the first adapter."""
    found: dict[str, dict[str, Any]] = {each.name: {} for each in sets}
    outcomes: dict[tuple[str, str], list[Outcome | None]] = {}
    for adapter in adapters:
        speak = Speaker(options, adapter, catalogue)
        for each in sets:
            answers = speak(each, options.output / "answers")
            found[each.name][adapter.name], outcomes[each.name, adapter.name] = figures_of(
                each.cases, answers, catalogue
            )
    return {
        "run": {
            "catalogue": f"{catalogue.name}, {len(catalogue):,} models, digest {catalogue.digest[:12]}",
            "base": options.base or "the embedded one",
            "adapters": {
                each.name: {"stage": each.stage, "folder": each.folder.name, "digest": each.digest}
                for each in adapters
            },
            "decoding": "greedy, the whole object" if options.whole else "greedy, the model information",
        },
        "sets": [
            {
                "name": each.name,
                "prompts": len(each.cases),
                "source": each.source,
                "as": each.prompts,
                "measured": found[each.name],
            }
            for each in sets
        ],
        "differences": _differences([each.name for each in adapters], [each.name for each in sets], outcomes),
    }


def figures_of(
    cases: Sequence[Case], answers: Sequence[Answer], catalogue: Catalogue
) -> tuple[dict[str, Any], list[Outcome | None]]:
    """What one adapter scored on one set, and the outcome of each free answer; None where nothing was asked.

    Requests that could not be asked (an empty prompt) are left out and counted.
    """
    free: list[Outcome | None] = []
    said: list[tuple[Outcome, str | None]] = []
    held: list[Outcome] = []
    repaired: list[Outcome] = []
    abstained = 0
    for case, answer in zip(cases, answers, strict=True):
        if answer.said is None:
            free.append(None)
            continue
        said.append(outcome_of(answer.said, case.gold, catalogue))
        free.append(said[-1][0])
        held.append(_held(answer.held, case.gold))
        mended, gave_up = _repaired(answer.said, case, catalogue)
        repaired.append(mended)
        abstained += gave_up
    known = any(case.gold is not None for case in cases)
    seconds = [answer.seconds for answer in answers if answer.said is not None]
    return {
        "answers": len(said),
        "not asked": len(free) - len(said),
        **said_figures(said, known=known),
        "constrained": asdict(bootstrap(hallucination(held))),
        "repaired": asdict(bootstrap(hallucination(repaired))),
        "repair gave the base model": abstained / max(len(said), 1),
        "top-1 constrained": right_share(held) if known else None,
        "top-1 repaired": right_share(repaired) if known else None,
        "distinct models constrained": distinct([answer.held for answer in answers]),
        "cut off": sum(answer.ended == "cut off" for answer in answers) / max(len(said), 1),
        "seconds an answer": sum(seconds) / len(seconds) if seconds else None,
    }, free


def _held(model_id: int | None, gold: int | None) -> Outcome:
    """Of a name that the trie held; it holds names that can be had and no other."""
    if model_id is None:
        return "unparsable"
    return "correct" if model_id == gold else "wrong but real"


def _repaired(said: str, case: Case, catalogue: Catalogue) -> tuple[Outcome, bool]:
    """What is left of an answer's faults after `repair`, and whether it gave the family's base model."""
    try:
        api = read_api(said).api
    except InvalidApi:
        return "unparsable", False
    asked = {"prompt": case.prompt, "negative prompt": case.negative_prompt}
    mended = repair(api, catalogue, instruction=asked)
    return outcome_of_api(mended.api, case.gold, catalogue), mended.abstained


def _differences(
    adapters: Sequence[str],
    sets: Sequence[str],
    outcomes: Mapping[tuple[str, str], Sequence[Outcome | None]],
) -> list[dict[str, Any]]:
    """What each further adapter changes against the first, on the same prompts."""
    rows: list[dict[str, Any]] = []
    for other in adapters[1:]:
        for name in sets:
            pairs = zip(outcomes[name, other], outcomes[name, adapters[0]], strict=True)
            both = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
            first, second = [ours for ours, _ in both], [theirs for _, theirs in both]
            rows.append(
                {
                    "set": name,
                    "adapter": other,
                    "against": adapters[0],
                    "hallucination error": asdict(
                        paired_difference(hallucination(first), hallucination(second))
                    ),
                    "top-1": _gain(first, second),
                }
            )
    return rows


def _gain(first: Sequence[Outcome], second: Sequence[Outcome]) -> dict[str, Any] | None:
    """None without a known model, where nothing is ever correct."""
    if "correct" not in {*first, *second}:
        return None
    return asdict(paired_difference([o == "correct" for o in first], [o == "correct" for o in second]))


if __name__ == "__main__":
    run_script(main, "stopped; what is answered is kept, and the same command goes on after it")

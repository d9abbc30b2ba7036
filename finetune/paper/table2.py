"""Table 2 of the paper: baselines, SFT and RRHF by CLIP Score, ImageReward, HPS v2 and the Unified Metric.

    diffagent evaluate --table 2 --pairs pairs_val.jsonl.gz --coco captions.txt --parti PartiPrompts.tsv \\
        --adapters sft=adapters/sft rrhf=adapters/rrhf --output evaluation/table2
    python -m finetune.rewards --candidates evaluation/table2/calls.jsonl --models models/ \\
        --store evaluation/table2/scores --width 512 --height 512 --images 3
    diffagent evaluate --table 2 ... --store evaluation/table2/scores

The first command writes the calls of every method, the second renders and scores them, and the third, which
is the first with --store, makes the table: three seeds, one shape of image, the baseline's image where an
answer is a hallucination. A cell that was not measured says so. `--catalogue-reward` adds what the
community's record says of each call; no image is rendered for it. Writes table2.md, .csv, .json and .png.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.exits import run_script, tell
from diffagent_tools.extras import require
from finetune.evaluate.metrics import bootstrap, distinct
from finetune.paper.figures import ARCHITECTURES, METHODS
from finetune.paper.inputs import Speaker, add_inputs, read_adapters, read_prompts
from finetune.paper.table2_calls import SIZE, PromptCalls, make_calls, method_of, write_calls
from finetune.paper.table2_report import write_table2
from finetune.rewards.catalogue import NAME as CATALOGUE_REWARD
from finetune.rewards.store import RewardStore
from finetune.rewards.unified import unified
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

COLUMNS = {
    "CLIP Score": ("clip",),
    "ImageReward": ("imagereward",),
    "HPS v2": ("hps-v2.1", "hps-v2.0"),
}
"""The paper's columns and the rewards that fill them, the first that the store has."""
SCALE = {"clip": 100.0, "imagereward": 100.0}
"""As the paper prints them; HPS v2 is a cosine times 100 already."""


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diffagent evaluate --table 2", description="The paper's Table 2: rewards of rendered images."
    )
    add_inputs(parser)
    parser.add_argument(
        "--architecture", choices=ARCHITECTURES, default="SD 1.5", help="of the baseline and of the models"
    )
    parser.add_argument(
        "--answers", type=Path, help="folder of answers, such as Table 1's (default: OUTPUT/answers)"
    )
    parser.add_argument("--store", type=Path, help="folder of scores that render_and_score wrote")
    parser.add_argument(
        "--catalogue-reward",
        action="store_true",
        help="add the reward that needs no image; no image is rendered for it",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("evaluation/table2"), help="folder (default: evaluation/table2)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the calls, and the table of what has been measured.

    Raises:
        MissingExtra: what draws the table is not installed.
        DataError: a data file is missing or broken, or the store holds the scores of other calls.
        AdapterError: an adapter cannot be read, or fits another base model or catalogue.
    """
    options = make_parser().parse_args(arguments)
    require("matplotlib")
    if options.store:
        require("pyarrow")
    adapters = read_adapters(options.adapters)
    sets = read_prompts(options)
    catalogue = Catalogue.load(options.catalogue) if options.catalogue else Catalogue.starter()
    answers = {}
    for adapter in adapters:
        speak = Speaker(options, adapter, catalogue)
        for each in sets:
            answers[each.name, adapter.name] = speak(each, options.answers or options.output / "answers")
    plan = make_calls(sets, answers, adapters, catalogue, architecture=options.architecture)
    calls = options.output / "calls.jsonl"
    write_calls(calls, plan)
    scores = Scores.read(options.store, calls) if options.store else None
    methods = [*METHODS, *(method_of(each) for each in adapters if each.stage is None)]
    score_record = _catalogue_scorer(catalogue) if options.catalogue_reward else None
    side = SIZE[options.architecture]
    figures = {
        "run": {
            "architecture": options.architecture,
            "catalogue": f"{catalogue.name}, {len(catalogue):,} models, digest {catalogue.digest[:12]}",
            "base": options.base or "the embedded one",
            "adapters": {method_of(each): f"{each.folder.name}, digest {each.digest}" for each in adapters},
            "images": scores.described if scores else "none: no store of scores was given",
            "rewards": list(scores.store.rewards) if scores else [],
        },
        "sets": [
            {
                "name": each.name,
                "prompts": len(plan[each.name]),
                "source": each.source,
                "as": each.prompts,
                "measured": measure_set(plan[each.name], methods, scores, score_record),
            }
            for each in sets
        ],
    }
    write_table2(figures, options.output)
    print((options.output / "table2.md").read_text(encoding="utf-8"))
    count = sum(len(row.calls) for rows in plan.values() for row in rows)
    tell(f"written to {options.output}")
    if scores is None:
        tell(
            f"{count:,} different calls are in {calls}; to measure them: python -m finetune.rewards "
            f"--candidates {calls} --models MODELS --store {options.output / 'scores'} --width {side} "
            f"--height {side} --images 3, then this command with --store {options.output / 'scores'}"
        )
    return 0


class Scores:
    """A store of scores, checked to be of these calls and of one shape."""

    def __init__(self, store: RewardStore, seeds: Sequence[int], described: str) -> None:
        self.store, self.seeds, self.described = store, tuple(seeds), described
        table = store.table()
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
        self._scores: dict[tuple[str, int], dict[int, dict[str, float]]] = {}
        for place, prompt_id in enumerate(columns["prompt_id"]):
            images = self._scores.setdefault((prompt_id, columns["response"][place]), {})
            images[columns["seed"][place]] = {name: columns[name][place] for name in store.rewards}

    @classmethod
    def read(cls, folder: Path, calls: Path) -> "Scores":
        """Raises DataError for a folder that is no store, of other calls, or of images of unequal shape."""
        store = RewardStore.open(folder)
        run = json.loads((folder / "store.json").read_text(encoding="utf-8"))["run"]
        digest = hashlib.sha256(calls.read_bytes()).hexdigest()[:16]
        if run.get("candidates") != digest:
            raise DataError(
                f"{folder} holds the scores of other calls than {calls}; render and score these into a "
                "folder of their own"
            )
        if not run.get("size"):
            raise DataError(
                f"the images of {folder} have shapes of their own, and scores depend on the shape; render "
                "again into another folder, with --width and --height"
            )
        width, height = run["size"]
        return cls(store, run["seeds"], f"{len(run['seeds'])} a call (the paper: 3), {width} x {height}")

    def of(self, rows: Sequence[PromptCalls], method: str) -> "dict[str, Tensor] | None":
        """The raw scores of a method by reward, [prompts, seeds]; None unless every image has been scored."""
        import torch

        found: dict[str, list[list[float]]] = {name: [] for name in self.store.rewards}
        for row in rows:
            images = self._scores.get((row.id, row.methods.get(method, -1)), {})
            if any(seed not in images for seed in self.seeds):
                return None
            for name, values in found.items():
                values.append([images[seed][name] for seed in self.seeds])
        if not rows:
            return None
        return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


def measure_set(
    rows: Sequence[PromptCalls], methods: Sequence[str], scores: Scores | None, score_record: "Any | None"
) -> dict[str, dict[str, Any]]:
    """By method its columns, each an interval over prompts or None where it was not measured."""
    raw = {method: scores.of(rows, method) for method in methods} if scores else {}
    found: dict[str, dict[str, Any]] = {}
    metric = _unified({method: values for method, values in raw.items() if values is not None})
    for method in methods:
        has_calls = bool(rows) and all(method in row.methods for row in rows)
        values = raw.get(method)
        columns: dict[str, Any] = {}
        for title, rewards in COLUMNS.items():
            reward = next((name for name in rewards if values is not None and name in values), None)
            columns[title] = (
                _interval(values[reward].mean(1) * SCALE.get(reward, 1.0)) if reward and values else None
            )
        complete = all(columns[title] is not None for title in COLUMNS)
        columns["Unified"] = _interval(100 * metric[method]) if complete else None
        # of fewer rewards it is another metric than the paper's, and has a column of its own
        columns["Unified of fewer"] = (
            _interval(100 * metric[method]) if method in metric and not complete else None
        )
        columns[CATALOGUE_REWARD] = (
            _interval(score_record(rows, method)) if score_record and has_calls else None
        )
        columns |= _named(rows, method) if has_calls else {"fell back": None, "top-1": None, "models": None}
        found[method] = columns
    return found


def _unified(raw: "Mapping[str, dict[str, Tensor]]") -> "dict[str, Tensor]":
    """Eq. 5 of every method, [prompts], normalised over all that are compared for the set."""
    import torch

    if not raw:
        return {}
    rewards = next(iter(raw.values()))
    together = {name: torch.stack([values[name] for values in raw.values()]) for name in rewards}
    return dict(zip(raw, unified(together), strict=True))


def _named(rows: Sequence[PromptCalls], method: str) -> dict[str, Any]:
    """Which models the calls name: different ones, the right one, and how often the baseline stood in."""
    models = [row.calls[row.methods[method]].model_id for row in rows]
    known = [row.case.gold for row in rows if row.case.gold is not None]
    spoke = "DiffAgent-RRHF" if method in ("Baseline*", "DiffAgent#") else method
    right = [model == row.case.gold for model, row in zip(models, rows, strict=True)]
    return {
        "fell back": sum(spoke in row.fell_back for row in rows) / len(rows)
        if method != "Baseline"
        else None,
        "top-1": _interval([100.0 * hit for hit in right]) if known else None,
        "models": distinct(models),
    }


def _interval(values: Any) -> dict[str, Any]:
    return asdict(bootstrap(values))


def _catalogue_scorer(catalogue: Catalogue) -> Any:
    """A function of rows and method that gives the record's score of each call, times 100."""
    from finetune.rewards.catalogue import CatalogueReward

    reward = CatalogueReward(catalogue)

    def score(rows: Sequence[PromptCalls], method: str) -> "Tensor":
        prompts = [row.instruction.prompt for row in rows]
        return 100 * reward.score(prompts, [row.calls[row.methods[method]] for row in rows])

    return score


if __name__ == "__main__":
    run_script(main, "stopped; what is answered is kept, and the same command goes on after it")

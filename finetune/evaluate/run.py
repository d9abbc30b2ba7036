"""Measures a selector: shortlist recall, selection accuracy, hallucination, calibration, latency, baselines.

    diffagent evaluate --pairs pairs_val.jsonl.gz --train pairs_train.jsonl.gz --models models.jsonl.gz
    diffagent evaluate --pairs pairs_val.jsonl.gz --mode free --limit 100 --output evaluation/free
    diffagent evaluate --prompts-file PartiPrompts.tsv --mode constrained
    diffagent evaluate --table 1 --help    # the paper's tables, 1 and 2 (finetune/paper/)

Writes report.md, report.json and report.png to the output folder, and the answers themselves, one line a
prompt: a stopped run goes on where it was. With --train and --models the baselines stand beside the selector.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from diffagent_tools.exits import tell
from diffagent_tools.extras import require
from diffagent_tools.select.selection import Selector
from finetune.data.cases import Case, Named, Variant, cases_of, read_prompts
from finetune.data.pairs import WHERE, Pair, read_pairs
from finetune.evaluate.baselines import Baseline, Row, fit_baselines
from finetune.evaluate.predictions import predict
from finetune.evaluate.report import write_report
from finetune.evaluate.summary import (
    ACCURACY_AT,
    RECALL_AT,
    compare,
    free_figures,
    names,
    ranks_of,
    summarise,
)
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError
from retrieval.storage import read_jsonl

MODES = ("shortlist", "constrained", "free", "retrieval")
PROMPTS: dict[str, tuple[Variant, ...]] = {
    "raw": ("raw",),
    "stripped": ("stripped",),
    "both": ("raw", "stripped"),
}
TABLES = {"1": "finetune.paper.table1", "2": "finetune.paper.table2"}
"""The paper's tables, and what makes each; it has options of its own."""
_MODEL_FIELDS = ("model_id", "model", "description", "tags", "trigger_words")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diffagent evaluate",
        description="Measure how often a selector finds the right model, beside baselines.",
        epilog=WHERE[0].upper() + WHERE[1:] + ".",
    )
    parser.add_argument(
        "--table", choices=sorted(TABLES), help="a table of the paper; `--table 1 --help` lists its options"
    )
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--pairs", type=Path, help="instruction-API pairs, .jsonl or .jsonl.gz")
    asked.add_argument(
        "--prompts-file", type=Path, help="prompts without a known model: .tsv with a Prompt column, or .txt"
    )
    parser.add_argument(
        "--train", type=Path, help="training pairs: counts per model, and the baselines' source"
    )
    parser.add_argument(
        "--models",
        type=Path,
        help="the models with descriptions and trigger words: candidates of the baselines",
    )
    parser.add_argument(
        "--mode", choices=MODES, default="shortlist", help="how to decide (default: shortlist)"
    )
    parser.add_argument(
        "--prompts",
        choices=sorted(PROMPTS),
        default="both",
        help="as they are, stripped of the trigger and name words of their model, or both (default)",
    )
    parser.add_argument("--no-negative", action="store_true", help="leave the negative prompts out")
    parser.add_argument(
        "--no-dense", action="store_true", help="leave out the dense baselines, which take minutes"
    )
    parser.add_argument("--limit", type=int, help="the first N prompts only")
    parser.add_argument("--catalogue", type=Path, help="a catalogue instead of the packaged one")
    parser.add_argument("--base", help="a folder or hub id of a LLaMA instead of the embedded one")
    parser.add_argument("--adapter", type=Path, help="an adapter's folder instead of the packaged one")
    parser.add_argument(
        "--output", type=Path, default=Path("evaluation"), help="folder (default: evaluation)"
    )
    return parser


def main(
    argv: Sequence[str] | None = None,
    *,
    selector: Selector | None = None,
    retriever: Selector | None = None,
) -> int:
    """Runs the evaluation that the arguments ask for, or makes the table that `--table` names.

    Args:
        selector: measured instead of the one that `--mode`, `--base` and `--adapter` name.
        retriever: proposes the shortlists whose recall is reported; retrieval alone if None.

    Raises:
        MissingExtra: what draws the report is not installed.
        DataError: a data file is missing or broken, or the output folder holds another run.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    which = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    which.add_argument("--table", choices=sorted(TABLES))
    asked, rest = which.parse_known_args(arguments)
    if asked.table:
        return int(import_module(TABLES[asked.table]).main(rest))
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        parser.error("--limit must be 1 or more")
    if bool(options.train) != bool(options.models) and options.models:
        parser.error("--models is for the baselines, which need --train, too")
    require("matplotlib")  # an hour later would be late to find it missing
    catalogue = Catalogue.starter() if options.catalogue is None else Catalogue.load(options.catalogue)
    data = read_data(options, catalogue)
    if selector is None:
        selector = make_selector(options, catalogue)
    if options.mode == "retrieval":
        retriever = None
    elif retriever is None and options.pairs:
        retriever = make_selector(argparse.Namespace(**{**vars(options), "mode": "retrieval"}), catalogue)
    report = evaluate(options, data, catalogue, selector, retriever)
    write_report(report, options.output)
    print((options.output / "report.md").read_text(encoding="utf-8"))
    tell(f"written to {options.output}")
    return 0


def make_selector(options: argparse.Namespace, catalogue: Catalogue) -> Selector:
    """The selector that the options name; it loads at the first request."""
    from diffagent_tools.select.selector import LlamaSelector, RetrievalSelector

    if options.mode == "retrieval":
        return RetrievalSelector(catalogue, adapter=options.adapter)
    return LlamaSelector(
        catalogue, base=options.base, adapter=options.adapter, mode=options.mode, progress=tell
    )


@dataclass(frozen=True)
class EvaluationData:
    """What was read: cases by variant, training pairs per model, and the baselines' models and pairs."""

    cases: Mapping[str, list[Case]]
    trained: Mapping[int, int]
    models: Sequence[Row] = ()
    train: Sequence[Pair] = ()
    stripped_by: str = ""


def read_data(options: argparse.Namespace, catalogue: Catalogue) -> EvaluationData:
    """Reads every file before anything is loaded, so that a missing one is told at once.

    Raises:
        DataError: a file is missing or broken.
    """
    if options.prompts_file:
        return EvaluationData({"prompts": read_prompts(options.prompts_file)[: options.limit]}, {})
    pairs = read_pairs(options.pairs)[: options.limit]
    train = read_pairs(options.train) if options.train else []
    models = read_jsonl(options.models, _MODEL_FIELDS, dict, hint=WHERE) if options.models else []
    trained: Mapping[int, int] = (
        Counter(pair["model_id"] for pair in train)
        if options.train
        else {record.model_id: record.samples for record in catalogue}
    )
    # the catalogue's words, by which training strips; what it lacks is stripped by the given models
    named: Named = {
        **{model["model_id"]: (model["model"], model["trigger_words"] or ()) for model in models},
        **{record.model_id: (record.model, record.trigger_words) for record in catalogue},
    }
    cases: dict[str, list[Case]] = {
        variant: cases_of(pairs, variant, named, negative=not options.no_negative)
        for variant in PROMPTS[options.prompts]
    }
    by = f"{catalogue.name}, and for models that it lacks {options.models.name}" if models else catalogue.name
    return EvaluationData(cases, trained, models, train, by)


def evaluate(
    options: argparse.Namespace,
    data: EvaluationData,
    catalogue: Catalogue,
    selector: Selector,
    retriever: Selector | None,
) -> dict[str, Any]:
    """The report: "run", and "variants" with the figures of each."""
    run = {
        "mode": options.mode,
        "data": (options.pairs or options.prompts_file).name,
        "catalogue": f"{catalogue.name}, {len(catalogue):,} models, digest {catalogue.digest[:12]}",
        "base": options.base or "the embedded one",
        "adapter": _adapter(options.adapter),
        "negative prompts": "left out" if options.no_negative else "asked, too",
    }
    longest = max(RECALL_AT) if options.mode == "retrieval" else max(ACCURACY_AT)
    if options.prompts_file:
        # no rank is looked at, and in constrained mode every further model is a further beam
        longest = 1
    run["models asked for"] = f"{longest} a prompt; latency is for so many"
    asking = {key: run[key] for key in ("mode", "catalogue", "base", "adapter")}
    baselines = fitted(options, data)
    columns = {model["model_id"]: place for place, model in enumerate(data.models)}
    variants: dict[str, Any] = {}
    for variant, cases in data.cases.items():
        path = options.output / f"answers_{variant}.jsonl"
        answers = predict(selector, cases, path, asking, k=longest, progress=tell)
        if options.prompts_file:
            errors = sum(answer.error is not None for answer in answers)
            variants[variant] = {"prompts": len(cases), "errors": errors, **names(answers, catalogue)}
            if options.mode == "free":
                variants[variant]["free"] = free_figures(cases, answers, catalogue)
            continue
        shortlists = answers
        if retriever is not None:
            path = options.output / f"shortlists_{variant}.jsonl"
            asked = {**asking, "mode": "retrieval"}
            shortlists = predict(retriever, cases, path, asked, k=max(RECALL_AT), progress=tell)
        summary = summarise(cases, answers, shortlists, catalogue, data.trained, free=options.mode == "free")
        ranks = ranks_of(cases, answers)
        summary["baselines"] = compare(cases, baselines, columns, ranks=ranks, progress=tell)
        variants[variant] = summary
    if data.stripped_by:
        run["stripped by"] = f"names and trigger words of {data.stripped_by}"
        run["training examples"] = options.train.name if options.train else f"samples of {catalogue.name}"
    if baselines:
        run["baselines"] = f"{len(columns):,} candidates, {len(data.train):,} training pairs"
    return {"run": run, "variants": variants}


def _adapter(folder: Path | None) -> str:
    from diffagent_tools.llm.adapter import STARTER_ADAPTER, adapter_digest

    named = "the packaged one" if folder is None else folder.name
    return f"{named}, digest {adapter_digest(folder or STARTER_ADAPTER, ranker=True)}"


def fitted(options: argparse.Namespace, data: EvaluationData) -> dict[str, Baseline]:
    """The baselines; none without `--models`."""
    if not data.models:
        return {}
    if not data.train:
        raise DataError(f"{options.train} holds no pairs; {WHERE}")
    tell("fitting the baselines")
    if options.no_dense:
        return fit_baselines(data.models, data.train)
    from retrieval.search.encoders import PackagedEmbedder

    return fit_baselines(data.models, data.train, embedder=PackagedEmbedder())

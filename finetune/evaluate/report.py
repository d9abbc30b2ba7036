"""A report of figures: Markdown for people, JSON for programs, one PNG.

    write_report(report, Path("evaluation"))    # report.md, report.json, report.png

`report` is what finetune/evaluate/run.py gathers: "run" (how it was made) and "variants"
(finetune/evaluate/summary.py).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.evaluate.metrics import PARAMETERS
from finetune.evaluate.summary import ACCURACY_AT, CUTOFF, RECALL_AT
from finetune.evaluate.write import Values, cell, draw, table, write_json
from retrieval.storage import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_report(report: Values, folder: Path) -> None:
    """Raises StorageError if the folder cannot be written."""
    write_json(folder / "report.json", report)
    atomic_write(folder / "report.md", markdown(report).encode())
    if any("accuracy" in summary for summary in report["variants"].values()):
        draw(folder / "report.png", lambda figure: plot(report, figure), (14, 9))


def markdown(report: Values) -> str:
    """The whole report; shortlist recall first, because nothing after it can be better."""
    run, variants = report["run"], report["variants"]
    parts = [f"# Evaluation: {run['mode']} mode", _run_lines(run)]
    measured = {name: summary for name, summary in variants.items() if "accuracy" in summary}
    if measured:
        parts += [
            "## Shortlist recall",
            "The share of prompts whose model is among retrieval's first k: it caps everything below.",
            table(
                ["prompts", *(f"recall@{k}" for k in RECALL_AT)],
                [[n, *(cell(s["shortlist recall"][str(k)]) for k in RECALL_AT)] for n, s in measured.items()],
            ),
            "## Selection accuracy",
            "Means with 95% bootstrap intervals over prompts (2,000 samples, seed 0). Errors and empty "
            "prompts count as wrong.",
            table(
                ["prompts", "n", "empty", "errors", *(f"top-{k}" for k in ACCURACY_AT), f"MRR@{CUTOFF}"],
                [
                    [
                        n,
                        s["prompts"],
                        s["empty prompts"],
                        s["errors"],
                        *(cell(s["accuracy"][str(k)]) for k in ACCURACY_AT),
                        cell(s[f"mrr@{CUTOFF}"]),
                    ]
                    for n, s in measured.items()
                ],
            ),
        ]
        for name, summary in measured.items():
            parts += _variant(name, summary)
    parts += ["## Names, models, latency", _names_table(variants)]
    for name, summary in variants.items():
        if summary["outside the catalogue"]:
            shown = ", ".join(f"`{outside}`" for outside in summary["outside the catalogue"])
            parts.append(f"Outside the catalogue ({name}): {shown}")
    free = {name: summary["free"] for name, summary in variants.items() if "free" in summary}
    if free:
        parts += _free(free)
    return "\n\n".join(parts) + "\n"


def _run_lines(run: Values) -> str:
    return "\n".join(f"- {key}: {value}" for key, value in run.items() if key != "mode")


def _variant(name: str, summary: Values) -> Iterable[str]:
    if summary.get("baselines"):
        yield f"## Beside the baselines, {name} prompts"
        yield (
            "Ties are counted against every method. A gain is ours minus theirs on the same prompts. "
            '"+ negative" reads the negative prompt, too.'
        )
        rows = [
            [
                title,
                *(cell(found["accuracy"][str(k)]) for k in (*ACCURACY_AT, 20)),
                *(cell(found["gain"][str(k)], signed=True) for k in (1, 10)),
            ]
            for title, found in summary["baselines"].items()
        ]
        ours = ["**this selector**", *(cell(summary["accuracy"][str(k)]) for k in ACCURACY_AT), "", "", ""]
        heads = ["method", *(f"top-{k}" for k in (*ACCURACY_AT, 20)), "gain top-1", "gain top-10"]
        yield table(heads, [*rows, ours])
    for title, slices in summary["slices"].items():
        yield f"## By {title}, {name} prompts"
        yield table(
            [title, "prompts", *(f"top-{k}" for k in ACCURACY_AT), "recall@10", "recall@50"],
            [
                [
                    label,
                    found["prompts"],
                    *(cell(found["accuracy"][str(k)]) for k in ACCURACY_AT),
                    *(cell(found["shortlist recall"][str(k)]) for k in (10, 50)),
                ]
                for label, found in slices.items()
            ],
        )
    yield f"## Parameters, {name} prompts"
    yield (
        "The share of first answers that agree with the pair: the same sampler; size (both sides), steps "
        'and cfg within 20%. "defaults": Euler a, 20 steps, cfg 7 and the family\'s size, whatever the model.'
    )
    yield table(
        ["answers", *PARAMETERS],
        [
            [title, *(cell(found[name]) for name in PARAMETERS)]
            for title, found in summary["parameters"].items()
        ],
    )
    found = summary["calibration"]
    if found:
        yield f"## Calibration, {name} prompts"
        figures = [key for key in found if isinstance(found[key], float)]
        yield table(["answers", *figures], [[found["answers"], *(f"{found[key]:.3f}" for key in figures)]])
        yield table(["coverage", "risk"], [[f"{c:.2f}", f"{r:.3f}"] for c, r in found["risk at coverage"]])


def _names_table(variants: Values) -> str:
    heads = ["prompts", "n", "errors", "abstained", "names given", "outside the catalogue", "distinct models"]
    rows = []
    for name, found in variants.items():
        latency = found["latency seconds"]
        times = [f"{latency[key]:.3f} s" if key in latency else "" for key in ("p50", "p95")]
        counts = [found["names given"], found["names outside the catalogue"], found["distinct models"]]
        rows.append([name, found["prompts"], found["errors"], found["abstained"], *counts, *times])
    return table([*heads, "p50", "p95"], rows)


def _free(free: Mapping[str, Values]) -> list[str]:
    kinds = list(next(iter(free.values()))["split"])
    return [
        "## What the language model wrote",
        "Before any repair. The hallucination error is the share that is invented, unavailable or "
        "unparsable; naming one real model always would score 0, so top-1 and the number of names stand "
        "beside it.",
        table(
            ["prompts", "written", "hallucination error", "top-1", "distinct names", "most frequent", *kinds],
            [
                [
                    name,
                    found["written"],
                    cell(found["hallucination error"]),
                    cell(found["top-1"]) if found["top-1"] else "",
                    found["distinct names"],
                    f"{found['share of the most frequent name']:.3f}",
                    *(f"{found['split'][kind]:.3f}" for kind in kinds),
                ]
                for name, found in free.items()
            ],
        ),
    ]


def plot(report: Values, figure: "Figure") -> None:
    """Recall and accuracy over k, accuracy by training examples, reliability and risk-coverage."""
    (over_k, by_examples), (reliability, risk) = figure.subplots(2, 2)
    for number, (name, summary) in enumerate(report["variants"].items()):
        color = f"C{number}"
        recall = [summary["shortlist recall"][str(k)]["mean"] for k in RECALL_AT]
        over_k.plot(RECALL_AT, recall, "--", color=color, marker="o", label=f"shortlist recall, {name}")
        found = [summary["accuracy"][str(k)] for k in ACCURACY_AT]
        bars = [[x["mean"] - x["low"] for x in found], [x["high"] - x["mean"] for x in found]]
        means = [x["mean"] for x in found]
        over_k.errorbar(ACCURACY_AT, means, bars, color=color, marker="s", label=f"accuracy, {name}")
        best = _best_baseline(summary)
        if best:
            over_k.plot(ACCURACY_AT, best[1], ":", color=color, marker="x", label=f"{best[0]}, {name}")
        slices = summary["slices"]["training examples"]
        places = [place + 0.4 * number for place in range(len(slices))]
        heights = [found["accuracy"]["1"]["mean"] for found in slices.values()]
        by_examples.bar(places, heights, 0.38, color=color, label=f"top-1, {name}")
        by_examples.set_xticks(range(len(slices)), [f"{k} (n {v['prompts']})" for k, v in slices.items()])
        curve = summary["calibration"]
        if curve:
            reliability.plot(
                [b[0] for b in curve["bins"]],
                [b[1] for b in curve["bins"]],
                color=color,
                marker="o",
                label=name,
            )
            points = curve["risk at coverage"]
            label = f"{name}, AURC {curve['aurc']:.3f}"
            risk.plot([p[0] for p in points], [p[1] for p in points], color=color, label=label)
    reliability.plot([0, 1], [0, 1], color="grey", linewidth=0.8, label="calibrated")
    over_k.set(
        xscale="log",
        xticks=RECALL_AT,
        xticklabels=RECALL_AT,
        xlabel="k",
        ylim=(0, 1),
        title="Right model among k",
    )
    by_examples.set(ylim=(0, 1), title="Top-1 by number of training examples")
    reliability.set(xlabel="confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1), title="Reliability")
    risk.set(xlabel="coverage", ylabel="share wrong", xlim=(0, 1), ylim=(0, 1), title="Risk and coverage")
    for axes in (over_k, by_examples, reliability, risk):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")


def _best_baseline(summary: Values) -> tuple[str, list[float]] | None:
    """The baseline with the best top-10 of all, and its accuracy at 1, 5 and 10."""
    found = summary.get("baselines")
    if not found:
        return None
    name = max(found, key=lambda title: found[title]["accuracy"]["10"]["mean"])
    return name, [found[name]["accuracy"][str(k)]["mean"] for k in ACCURACY_AT]

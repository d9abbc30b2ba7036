"""Table 2 as files: what `finetune/paper/table2.py` measured, each cell beside the paper's."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.evaluate.write import NOT_MEASURED, interval_fields, table, write_table
from finetune.paper.figures import METRICS, TABLE_2
from finetune.paper.prompt_sets import RAW
from finetune.rewards.catalogue import NAME as CATALOGUE_REWARD
from finetune.rewards.catalogue import NOTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = Mapping[str, Any]
FEWER = "Unified of fewer"


def write_table2(figures: Values, folder: Path) -> None:
    """table2.md, .csv, .json and .png. Raises StorageError if the folder cannot be written."""
    rows = [_row(figures, each, name) for each in figures["sets"] for name in each["measured"]]
    write_table(
        folder,
        "table2",
        markdown=markdown(figures),
        rows=rows,
        figures=figures,
        plot=lambda figure: _plot(figure, figures),
        size=(14, 3.2 * len(figures["sets"]) + 0.6),
    )


def markdown(figures: Values) -> str:
    """The whole report."""
    run = figures["run"]
    parts = [
        f"# Table 2: rewards, {run['architecture']}",
        _run_lines(figures),
        "Means over prompts with 95% bootstrap intervals (2,000 samples, seed 0), and the paper's figure in "
        "square brackets. CLIP Score and ImageReward are times 100, HPS v2 is a cosine times 100. Unified "
        "(Eq. 5 and 6) is times 100, each reward normalised by its least and greatest over all the images "
        "that are compared for the set; the paper does not say how it normalises. Where an answer is a "
        f"hallucination, the baseline's image is scored. A cell that was not measured says {NOT_MEASURED!r}.",
        "Baseline*: the baseline with the parameters of DiffAgent-RRHF. DiffAgent#: the model of "
        "DiffAgent-RRHF with the default parameters.",
    ]
    for each in figures["sets"]:
        parts += [f"## {each['name']} ({each['prompts']:,} prompts)", _set_table(run, each)]
    if any(found[CATALOGUE_REWARD] for each in figures["sets"] for found in each["measured"].values()):
        parts.append(
            f"Catalogue reward: {NOTE}; it is times 100, and says how well a call fits the prompt by the "
            "community's record of the model. It does not see the parameters."
        )
    return "\n\n".join(parts) + "\n"


def _run_lines(figures: Values) -> str:
    run = figures["run"]
    lines = [f"- {key}: {run[key]}" for key in ("catalogue", "base", "images")]
    lines += [f"- {method}: {adapter}" for method, adapter in run["adapters"].items()]
    for each in figures["sets"]:
        how = "raw prompts, not rewritten" if each["as"] == RAW else f"prompts {each['as']}"
        lines.append(f"- {each['name']}: {each['source']}; {how}")
    return "\n".join(lines)


def _set_table(run: Values, each: Values) -> str:
    measured = each["measured"]
    fewer = any(found[FEWER] for found in measured.values())
    recorded = any(found[CATALOGUE_REWARD] for found in measured.values())
    known = any(found["top-1"] for found in measured.values())
    paper = TABLE_2[run["architecture"]].get(each["name"], {})
    heads = ["method", *METRICS]
    heads += [f"Unified of {', '.join(run['rewards'])}"] if fewer else []
    heads += [f"catalogue ({NOTE})"] if recorded else []
    heads += ["top-1"] if known else []
    rows = []
    for method, found in measured.items():
        row = [method]
        for metric in METRICS:
            theirs = paper.get(method, {}).get(metric)
            row.append(_figure(found[metric]) + (f" [{theirs:.1f}]" if theirs is not None else ""))
        row += [_figure(found[FEWER])] if fewer else []
        row += [_figure(found[CATALOGUE_REWARD])] if recorded else []
        row += [_figure(found["top-1"])] if known else []
        row.append(NOT_MEASURED if found["models"] is None else str(found["models"]))
        row.append(_share(method, found))
        rows.append(row)
    return table([*heads, "different models", "baseline's image, %"], rows)


def _share(method: str, found: Values) -> str:
    if method == "Baseline":
        return "all"
    return NOT_MEASURED if found["fell back"] is None else f"{100 * found['fell back']:.1f}"


def _figure(interval: Values | None) -> str:
    if interval is None or not interval["count"]:
        return NOT_MEASURED
    return f"{interval['mean']:.1f} ({interval['low']:.1f} to {interval['high']:.1f})"


def _row(figures: Values, each: Values, method: str) -> dict[str, Any]:
    found = each["measured"][method]
    architecture = figures["run"]["architecture"]
    paper = TABLE_2[architecture].get(each["name"], {}).get(method, {})
    row: dict[str, Any] = {
        "architecture": architecture,
        "set": each["name"],
        "prompts": each["prompts"],
        "prompts as": each["as"],
        "method": method,
    }
    for metric in METRICS:
        row |= interval_fields(metric, found[metric])
        row[f"{metric} paper"] = paper.get(metric)
    row |= interval_fields(FEWER, found[FEWER])
    row |= interval_fields(f"{CATALOGUE_REWARD} ({NOTE})", found[CATALOGUE_REWARD])
    row |= interval_fields("top-1", found["top-1"])
    return row | {"models": found["models"], "fell back": found["fell back"]}


def _plot(figure: "Figure", figures: Values) -> None:
    """A row a set, a panel a metric: ours with intervals, and the paper's as crosses."""
    architecture = figures["run"]["architecture"]
    panels = figure.subplots(len(figures["sets"]), len(METRICS), squeeze=False)
    for line, each in zip(panels, figures["sets"], strict=True):
        paper = TABLE_2[architecture].get(each["name"], {})
        methods = list(each["measured"])
        for axes, metric in zip(line, METRICS, strict=True):
            for place, method in enumerate(methods):
                found = each["measured"][method][metric]
                if found:
                    low, high = found["mean"] - found["low"], found["high"] - found["mean"]
                    axes.errorbar(found["mean"], place, xerr=[[low], [high]], fmt="o", color="C0", capsize=3)
                theirs = paper.get(method, {}).get(metric)
                if theirs is not None:
                    axes.plot(theirs, place, "x", color="black")
            if not any(each["measured"][method][metric] for method in methods):
                axes.text(0.5, 0.5, NOT_MEASURED, transform=axes.transAxes, ha="center", color="tab:red")
            axes.set_yticks(range(len(methods)), methods if metric == METRICS[0] else [""] * len(methods))
            axes.set_ylim(len(methods) - 0.5, -0.5)
            axes.set_title(f"{each['name']}: {metric}", fontsize="small")
            axes.grid(alpha=0.3)
    figure.suptitle(f"Table 2, {architecture}: measured (dots) and the paper's (crosses)", fontsize="medium")

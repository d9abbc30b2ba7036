"""Table 1 as files: what `finetune/paper/table1.py` measured, each cell beside the paper's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.evaluate.metrics import OUTCOMES
from finetune.evaluate.write import NOT_MEASURED, bars, interval_fields, percent, table, write_table
from finetune.paper.figures import ARCHITECTURES, STAGES, TABLE_1
from finetune.paper.prompt_sets import RAW

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = Mapping[str, Any]


def write_table1(figures: Values, folder: Path) -> None:
    """table1.md, .csv, .json and .png. Raises StorageError if the folder cannot be written."""
    write_table(
        folder,
        "table1",
        markdown=markdown(figures),
        rows=[_row(figures, each, name) for each in figures["sets"] for name in figures["run"]["adapters"]],
        figures=figures,
        plot=lambda figure: _plot(figure, figures),
        size=(13, 5),
    )


def markdown(figures: Values) -> str:
    """The whole report; the paper's own table first."""
    parts = [
        "# Table 1: hallucination error",
        _run_lines(figures),
        "## Beside the paper",
        "Per cent of answers that name nothing that exists and can be had, with 95% bootstrap intervals over "
        "prompts (2,000 samples, seed 0). The paper's figures are of LLaMA-2-7B, one for each architecture, "
        "and of its own models and prompts; "
        "they show a direction to compare with, not a value to reach.",
        _paper_table(figures),
        *_differences(figures),
        "## What the answers are",
        "Shares of the free answers, before any repair, in per cent. Without a known model nothing is "
        '"correct".',
        table(
            ["prompts", "adapter", "answers", *OUTCOMES, "distinct names", "most frequent"],
            _cells(figures, _said_cells),
        ),
        "## Free, held to the catalogue, repaired",
        'Hallucination error and top-1, in per cent. "Constrained": the name is decoded greedily along the '
        'prefix trie of the names that can be had. "Repaired": the free answer after `repair`, which falls '
        "back on the family's base model where no name is near enough; an answer that cannot be read cannot "
        "be repaired, and counts as a hallucination.",
        table(
            ["prompts", "adapter", *_ERRORS, "fell back", *_TOPS, "constrained models"],
            _cells(figures, _held_cells),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _differences(figures: Values) -> list[str]:
    """What the others change against the first adapter; nothing where there is one."""
    if not figures["differences"]:
        return []
    rows = [
        [
            row["set"],
            row["adapter"],
            percent(row["hallucination error"], signed=True),
            percent(row["top-1"], signed=True) if row["top-1"] else "no known model",
        ]
        for row in figures["differences"]
    ]
    return [
        f"## Against {next(iter(figures['run']['adapters']))}",
        "Percentage points, on the same prompts; below 0 in the hallucination error is better.",
        table(["prompts", "adapter", "hallucination error", "top-1"], rows),
    ]


def _cells(figures: Values, of: Callable[[Values], list[object]]) -> list[list[object]]:
    """A row a set and adapter."""
    return [
        [each["name"], name, *of(found)]
        for each in figures["sets"]
        for name, found in each["measured"].items()
    ]


def _said_cells(found: Values) -> list[object]:
    shares = [*(found["split"][kind] for kind in OUTCOMES), found["share of the most frequent name"]]
    *kinds, often = (f"{100 * share:.1f}" for share in shares)
    return [found["answers"], *kinds, found["distinct names"], often]


def _held_cells(found: Values) -> list[object]:
    return [
        *(percent(found[key]) for key in ("hallucination error", "constrained", "repaired")),
        f"{100 * found['repair gave the base model']:.1f}",
        *(percent(found[top]) if found[top] else "no known model" for top in _TOPS),
        found["distinct models constrained"],
    ]


_ERRORS = ("free", "constrained", "repaired")
_TOPS = ("top-1", "top-1 constrained", "top-1 repaired")


def _run_lines(figures: Values) -> str:
    run = figures["run"]
    lines = [f"- {key}: {run[key]}" for key in ("catalogue", "base", "decoding")]
    for name, adapter in run["adapters"].items():
        stage = adapter["stage"] or "a control, no stage of the paper"
        lines.append(f"- adapter {name}: {stage}; {adapter['folder']}, digest {adapter['digest']}")
    for each in figures["sets"]:
        how = "raw prompts, not rewritten" if each["as"] == RAW else f"prompts {each['as']}"
        lines.append(f"- {each['name']}: {each['source']}; {how}")
    unasked = sum(found["not asked"] for each in figures["sets"] for found in each["measured"].values())
    if unasked:
        lines.append(f"- left out: {unasked} requests that could not be asked, such as empty prompts")
    return "\n".join(lines)


def _paper_table(figures: Values) -> str:
    adapters = figures["run"]["adapters"]
    staged = {stage: [n for n, a in adapters.items() if a["stage"] == stage] for stage in STAGES}
    others = [name for name, adapter in adapters.items() if adapter["stage"] is None]
    sets = {each["name"]: each for each in figures["sets"]}
    heads = ["prompts"]
    for stage in STAGES:
        heads += [f"{stage}: {name}" for name in staged[stage]] or [stage]
        heads += [f"paper, {stage}, {architecture}" for architecture in ARCHITECTURES]
    rows = []
    for name in TABLE_1[ARCHITECTURES[0]]:
        each = sets.get(name)

        def ours(adapter: str, each: Values | None = each) -> str:
            return percent(each["measured"][adapter]["hallucination error"]) if each else NOT_MEASURED

        row = [f"{name} ({each['prompts']:,})" if each else name]
        for stage in STAGES:
            row += [ours(adapter) for adapter in staged[stage]] or [NOT_MEASURED]
            row += [f"{TABLE_1[architecture][name][stage]:.1f}" for architecture in ARCHITECTURES]
        rows.append([*row, *(ours(adapter) for adapter in others)])
    return table([*heads, *others], rows)


def _row(figures: Values, each: Values, name: str) -> dict[str, Any]:
    adapter, found = figures["run"]["adapters"][name], each["measured"][name]
    paper = TABLE_1.get(ARCHITECTURES[0], {}).get(each["name"], {})
    return {
        "set": each["name"],
        "prompts as": each["as"],
        "adapter": name,
        "stage": adapter["stage"] or "",
        "answers": found["answers"],
        **interval_fields("hallucination error", found["hallucination error"]),
        **{
            f"paper {architecture}": TABLE_1[architecture][each["name"]][adapter["stage"]] / 100
            if paper and adapter["stage"]
            else None
            for architecture in ARCHITECTURES
        },
        **interval_fields("constrained", found["constrained"]),
        **interval_fields("repaired", found["repaired"]),
        **found["split"],
        **{key: value for top in _TOPS for key, value in interval_fields(top, found[top]).items()},
        "distinct names": found["distinct names"],
        "distinct models constrained": found["distinct models constrained"],
        "share of the most frequent name": found["share of the most frequent name"],
        "fell back": found["repair gave the base model"],
        "cut off": found["cut off"],
        "seconds an answer": found["seconds an answer"],
    }


def _plot(figure: "Figure", figures: Values) -> None:
    """Left: the error with intervals, and the paper's; right: what the answers are."""
    error, split = figure.subplots(1, 2, width_ratios=(3, 2))
    adapters, sets = figures["run"]["adapters"], figures["sets"]
    width = 0.8 / len(adapters)
    for number, (name, adapter) in enumerate(adapters.items()):
        places = [place + width * (number + 0.5) - 0.4 for place in range(len(sets))]
        found = [bars(each["measured"][name]["hallucination error"]) for each in sets]
        heights, below, above = zip(*found, strict=True)
        label = name if name.upper() == (adapter["stage"] or "").upper() else _label(name, adapter)
        error.bar(places, heights, width, yerr=(below, above), color=f"C{number}", capsize=3, label=label)
        if adapter["stage"]:
            for architecture, mark in zip(ARCHITECTURES, "ox", strict=True):
                paper = [TABLE_1[architecture][each["name"]][adapter["stage"]] for each in sets]
                label = f"paper, {adapter['stage']}, {architecture}"
                error.plot(places, paper, mark, color="black", markersize=5, alpha=0.7, label=label)
    error.set_xticks(range(len(sets)), [f"{each['name']}\n(n {each['prompts']:,})" for each in sets])
    error.set(ylabel="hallucination error, %", title="Free decoding", ylim=(0, None))
    rows = [(each["name"], name) for each in sets for name in adapters]
    left = [0.0] * len(rows)
    found_of = {each["name"]: each["measured"] for each in sets}
    colors = ("tab:green", "tab:olive", "tab:red", "tab:orange", "tab:gray")
    for kind, color in zip(OUTCOMES, colors, strict=True):
        shares = [100 * found_of[each][name]["split"][kind] for each, name in rows]
        split.barh(range(len(rows)), shares, left=left, color=color, label=kind)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    split.set_yticks(range(len(rows)), [f"{each}, {name}" for each, name in rows])
    split.invert_yaxis()
    split.set(xlabel="share of answers, %", title="What the answers are", xlim=(0, 100))
    for axes in (error, split):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")


def _label(name: str, adapter: Values) -> str:
    return f"{name} ({adapter['stage'] or 'control'})"

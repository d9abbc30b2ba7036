"""What a build kept and dropped, as text and as one picture (the paper's Fig. 2).

    diffagent dabench stats set            # prints the funnel, writes set/funnel.png

Distributions over all models that were collected: (a) type, (b) base model, (c) NSFW content, (d)
availability of the file, each by the model's newest version where versions differ.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.dabench.model_rules import (
    Limits,
    family_or_none,
    model_is_withdrawn,
    usable_files,
    version_has_no_usable_file,
    version_is_in_early_access,
    version_is_unpublished,
)
from retrieval.records.civitai import ApiModel
from retrieval.storage import atomic_write

TITLES = {"type": "(a) model type", "base": "(b) base model", "nsfw": "(c) NSFW content", "file": "(d) file"}
_SHOWN = 8


def distributions_of(models: Iterable[ApiModel], limits: Limits) -> dict[str, dict[str, int]]:
    """The four distributions, most frequent first."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in TITLES}
    for model in models:
        counts["type"][model.type or "not given"] += 1
        counts["base"][_base(model)] += 1
        counts["nsfw"][_nsfw(model)] += 1
        counts["file"][_availability(model, limits)] += 1
    return {name: dict(sorted(found.items(), key=lambda i: (-i[1], i[0]))) for name, found in counts.items()}


def stats_text(report: Mapping[str, Any]) -> str:
    """The funnel, the distributions and the sets of a report, for a terminal."""
    lines: list[str] = []
    for level in report["funnel"]:
        lines.append(f"{level['level']:<52}{level['read']:>10,}")
        lines += [f"  {rule:<50}{-count:>10,}" for rule, count in level["dropped"].items()]
        lines += [f"  {'kept':<50}{level['kept']:>10,}", ""]
    for name, title in TITLES.items():
        found = report["distributions"][name]
        total = max(sum(found.values()), 1)
        said = ", ".join(f"{key} {count / total:.1%}" for key, count in _first(found))
        lines.append(f"{title}: {said}")
    for name, numbers in report["sets"].items():
        lines += ["", f"{name}: {numbers['pairs']:,} pairs in {numbers['models']:,} models"]
        for division, parts in numbers["splits"].items():
            said = ", ".join(
                f"{part} {found['pairs']:,} ({found['models']:,} models)" for part, found in parts.items()
            )
            lines.append(f"  {division}: {said}")
    return "\n".join(lines)


def draw(report: Mapping[str, Any], path: Path) -> None:
    """One PNG: the four distributions and the funnel.

    Raises:
        StorageError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplot_mosaic(
        [["type", "base", "funnel"], ["nsfw", "file", "funnel"]], width_ratios=[1, 1, 1.5]
    )
    for name, title in TITLES.items():
        found = _first(report["distributions"][name])
        total = max(sum(report["distributions"][name].values()), 1)
        _bars(axes[name], [(key, count / total) for key, count in found], title, "{:.1%}", "tab:blue")
    steps: list[tuple[str, float]] = []
    for level in report["funnel"]:
        if level["level"] != "records":
            steps += [(f"{level['level']} read", level["read"]), (f"{level['level']} kept", level["kept"])]
            steps += [(f"- {rule}", count) for rule, count in _first(level["dropped"], "other rules")]
    _bars(axes["funnel"], steps, "funnel", "{:,.0f}", "tab:blue")
    for bar, (label, _) in zip(axes["funnel"].patches, steps, strict=True):
        bar.set_color("tab:red" if label.startswith("-") else "tab:green")
    # no date and no version in the file, so that the same report gives the same picture
    atomic_write(path, lambda temporary: figure.savefig(temporary, dpi=120, metadata={"Software": None}))


def _bars(axes: Any, found: Sequence[tuple[str, float]], title: str, shown: str, colour: str) -> None:
    places = range(len(found))
    bars = axes.barh(places, [count for _, count in found], color=colour)
    axes.set_yticks(places, [label for label, _ in found], fontsize=8)
    axes.bar_label(bars, [shown.format(count) for _, count in found], fontsize=8, padding=2)
    axes.set_ylim(max(len(found), _SHOWN // 2) - 0.5, -0.5)
    axes.margins(x=0.18)
    axes.set_xticks([])
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _first(found: Mapping[str, int], others: str = "other") -> list[tuple[str, int]]:
    """The most frequent, the others as one."""
    listed = list(found.items())
    rest = sum(count for _, count in listed[_SHOWN:])
    return [*listed[:_SHOWN], *([(others, rest)] if rest else [])]


def _base(model: ApiModel) -> str:
    if not model.versions:
        return "not given"
    base = model.versions[0].base_model
    family = family_or_none(base)
    return family.name if family else base or "not given"


def _nsfw(model: ApiModel) -> str:
    if model.nsfw:
        return "flagged NSFW"
    if model.poi:
        return "real person"
    return "flagged safe" if model.nsfw is not None else "not given"


def _availability(model: ApiModel, limits: Limits) -> str:
    if model_is_withdrawn(model, limits):
        return "withdrawn"
    if not model.versions:
        return "no version"
    version = model.versions[0]
    if version_is_unpublished(version, limits):
        return "unpublished"
    if version_is_in_early_access(version, limits):
        return "early access"
    if usable_files(version):
        return "safetensors, clean"
    found = version_has_no_usable_file(version, limits) or ""
    return {"format": "no safetensors", "scans": "not scanned clean"}.get(found.split()[0], found)

"""A table as files: Markdown for people, CSV for programs, PNG for talks, and JSON of everything.

    write_table(folder, "table1", markdown=text, rows=rows, figures=figures, plot=draw)

A value that was not measured is written as "not measured" in Markdown and as an empty field in CSV.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.storage import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_MEASURED = "not measured"
Values = Mapping[str, Any]


def write_table(
    folder: Path,
    name: str,
    *,
    markdown: str,
    rows: Sequence[Values],
    figures: Values,
    plot: "Callable[[Figure], None]",
    size: tuple[float, float] = (12, 5),
) -> None:
    """`name`.md, .csv, .json and .png.

    Args:
        rows: of the CSV, all with the same keys.
        figures: of the JSON.
        plot: draws on an empty figure.

    Raises:
        StorageError: the folder cannot be written.
    """
    atomic_write(folder / f"{name}.md", markdown.encode())
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _field(value) for key, value in row.items()} for row in rows)
    atomic_write(folder / f"{name}.csv", text.getvalue().encode())
    write_json(folder / f"{name}.json", figures)
    draw(folder / f"{name}.png", plot, size)


def write_json(path: Path, figures: Values) -> None:
    """Figures as JSON, nan as null. Raises StorageError if it cannot be written."""
    atomic_write(path, (json.dumps(_finite(figures), ensure_ascii=False, indent=1) + "\n").encode())


def draw(path: Path, plot: "Callable[[Figure], None]", size: tuple[float, float]) -> None:
    """What `plot` draws on an empty figure of so many inches, as a PNG.

    Raises:
        StorageError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # no pyplot: it keeps state and looks for a screen
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    plot(figure)
    atomic_write(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))


def cell(interval: Values, *, signed: bool = False) -> str:
    """`.634 (.593-.675)`, empty without prompts."""
    if not interval["count"]:
        return ""
    if signed:
        return f"{interval['mean']:+.3f} ({interval['low']:+.3f} to {interval['high']:+.3f})"
    return f"{interval['mean']:.3f} ({interval['low']:.3f}-{interval['high']:.3f})"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(c).replace("|", "\\|") for c in line) + " |" for line in lines)


def percent(interval: Values | None, *, signed: bool = False) -> str:
    """`26.9 (24.1 to 29.7)`: a share and its interval times 100; "not measured" where there is none."""
    if interval is None or not interval["count"]:
        return NOT_MEASURED
    form = "{:+.1f} ({:+.1f} to {:+.1f})" if signed else "{:.1f} ({:.1f} to {:.1f})"
    return form.format(*(100 * interval[key] for key in ("mean", "low", "high")))


def interval_fields(name: str, interval: Values | None) -> dict[str, float | None]:
    """Three fields of a CSV row; empty ones where nothing was measured."""
    known = interval if interval is not None and interval["count"] else None
    return {
        f"{name}{end}": known[key] if known else None
        for key, end in (("mean", ""), ("low", " low"), ("high", " high"))
    }


def bars(interval: Values | None) -> tuple[float, float, float]:
    """Height and the two arms of an error bar, per cent; nan where nothing was measured."""
    if interval is None or not interval["count"]:
        return math.nan, 0.0, 0.0
    mean, low, high = (100 * interval[key] for key in ("mean", "low", "high"))
    return mean, mean - low, high - mean


def _field(value: object) -> object:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return round(value, 6) if isinstance(value, float) else value


def _finite(value: Any) -> Any:
    """JSON knows no nan."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

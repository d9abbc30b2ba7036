"""A table as files: Markdown for people, CSV for programs, PNG for talks, and JSON of everything.

    write_table(folder, "table1", markdown=text, rows=rows, figures=figures, plot=draw)

A value that was not measured is written as "not measured" in Markdown and as an empty field in CSV.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
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
    content = json.dumps(_finite(figures), ensure_ascii=False, indent=1) + "\n"
    atomic_write(folder / f"{name}.json", content.encode())

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # no pyplot: it keeps state and looks for a screen
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    plot(figure)
    atomic_write(folder / f"{name}.png", lambda path: figure.savefig(path, dpi=110, format="png"))


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

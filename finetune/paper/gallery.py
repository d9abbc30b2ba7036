"""The sheet of the paper's Fig. 4 from a rendering run: the base model left, DiffAgent's choice right.

    python -m finetune.paper.gallery run --output sheet     # sheet.png, sheet.html

`run` is a folder that `diffagent render --baseline` filled. A row holds the two pictures of one request and
one seed, under them the models' names and the prompt. The page needs nothing but the folder beside it; the
PNG has letters for Latin scripts only.
"""

import argparse
import html
import json
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from diffagent_tools.exits import run_script
from retrieval.errors import InvalidInput
from retrieval.storage import atomic_write

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 384
GAP = 16
LINE = 18
LINES = 3
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; }
section { margin: 0 0 2rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
figure { margin: 0; } img { width: 100%; height: auto; }
figcaption { overflow-wrap: anywhere; } p { overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class Pair:
    """Two pictures of one request: paths, the models' names, the base model that both are built on.

    `blocked`: a safety checker made one of them black.
    """

    id: str
    seed: int
    prompt: str
    baseline: Path
    baseline_model: str
    answer: Path
    answer_model: str
    base_model: str
    blocked: bool = False


def read_pairs(folder: Path) -> list[Pair]:
    """The pairs of a run, by request and seed.

    Raises:
        InvalidInput: the folder holds none.
    """
    found: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
            key = (str(record["id"]), int(record["seed"]))
            role, image = str(record["role"]), folder / Path(str(record["image"])).name
            api = {"model": str(record["api"]["model"]), "base model": str(record["api"]["base model"])}
            if image.is_file():
                found.setdefault(key, {})[role] = {**record, "path": image, "api": api}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another program's JSON
    pairs = [
        Pair(
            id=name,
            seed=seed,
            prompt=str(both["answer"].get("prompt", "")),
            baseline=both["baseline"]["path"],
            baseline_model=both["baseline"]["api"]["model"],
            answer=both["answer"]["path"],
            answer_model=both["answer"]["api"]["model"],
            base_model=both["answer"]["api"]["base model"],
            blocked=any("blocked" in record for record in both.values()),
        )
        for (name, seed), both in found.items()
        if {"answer", "baseline"} <= both.keys()
    ]
    if not pairs:
        raise InvalidInput(
            f"{folder} holds no pair of pictures of one request; make them with `diffagent render --baseline`"
        )
    return pairs


def sheet_html(pairs: Sequence[Pair], folder: Path) -> str:
    """The page; picture addresses are relative to `folder`, and every text is shown as text."""
    rows = []
    for pair in pairs:
        figures = "".join(
            f'<figure><img src="{html.escape(_address(path, folder))}" alt="{html.escape(label)}">'
            f"<figcaption>{html.escape(label)}</figcaption></figure>"
            for path, label in (
                (pair.baseline, f"Baseline: {pair.baseline_model}"),
                (pair.answer, f"DiffAgent: {pair.answer_model}"),
            )
        )
        rows.append(f'<section><p>{html.escape(pair.prompt)}</p><div class="pair">{figures}</div></section>')
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Base model and DiffAgent</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>Base model (left) and DiffAgent (right)</h1>\n{chr(10).join(rows)}\n</body></html>\n"
    )


def _address(path: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def sheet_png(pairs: Sequence[Pair], *, side: int = SIDE) -> "Image":
    """The sheet as one picture, two columns of `side` pixels."""
    from PIL import Image, ImageDraw, ImageFont

    row = side + LINE * (LINES + 1) + GAP
    sheet = Image.new("RGB", (2 * side + 3 * GAP, GAP + row * len(pairs)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    columns = max(20, int((2 * side + GAP) / 7.5))
    for number, pair in enumerate(pairs):
        top = GAP + number * row
        sides = (
            (pair.baseline, f"Baseline: {pair.baseline_model}"),
            (pair.answer, f"DiffAgent: {pair.answer_model}"),
        )
        for place, (path, label) in enumerate(sides):
            left = GAP + place * (side + GAP)
            with Image.open(path) as picture:
                shown = picture.convert("RGB")
                shown.thumbnail((side, side))
            sheet.paste(shown, (left + (side - shown.width) // 2, top + (side - shown.height) // 2))
            short = textwrap.shorten(label, columns // 2, placeholder="…")
            draw.text((left, top + side + 2), short, fill="black", font=font)
        lines = textwrap.wrap(" ".join(pair.prompt.split()), columns, max_lines=LINES, placeholder=" …")
        for line, text in enumerate(lines, start=1):
            draw.text((GAP, top + side + 2 + line * LINE), text, fill="#444444", font=font)
    return sheet


def write_gallery(run: Path, output: Path) -> tuple[Path, Path]:
    """Writes the sheet of a run as `output`.png and `output`.html.

    Raises:
        InvalidInput: the folder holds no pair.
        StorageError: the sheet cannot be written.
    """
    pairs = read_pairs(run)
    base = output.with_suffix("") if output.suffix in (".png", ".html") else output
    picture, page = base.with_name(f"{base.name}.png"), base.with_name(f"{base.name}.html")
    sheet = sheet_png(pairs)
    atomic_write(picture, lambda path: sheet.save(path, "PNG"))
    atomic_write(page, sheet_html(pairs, page.parent).encode("utf-8", "backslashreplace"))
    return picture, page


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `diffagent gallery`."""
    parser = argparse.ArgumentParser(prog="diffagent gallery", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of `diffagent render --baseline`")
    parser.add_argument("--output", type=Path, default=Path("sheet"), help="the sheet's name without ending")
    options = parser.parse_args(arguments)
    for path in write_gallery(options.run, options.output):
        print(path)


if __name__ == "__main__":
    run_script(main)

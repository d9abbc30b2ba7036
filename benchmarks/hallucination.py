"""Names outside the catalogue, on prompts that no model was made for: Parti Prompts and COCO captions.

    python benchmarks/hallucination.py --parti PartiPrompts.tsv --coco captions.txt
    python benchmarks/hallucination.py --parti PartiPrompts.tsv --modes free --limit 200

Constrained and shortlist mode must give none. Free mode's rate is what the language model writes when
nothing holds it. The answers are kept in the output folder, so that a stopped run goes on. Exit code 1 if a
mode other than free names a model that is not in the catalogue.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from diffagent_tools.exits import run_script
from finetune.evaluate.run import MODES
from finetune.evaluate.run import main as evaluate
from finetune.evaluate.write import cell, table

COCO_CAPTIONS = 1000


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="names outside the catalogue on Parti and COCO")
    parser.add_argument("--parti", type=Path, help="PartiPrompts.tsv, 1,632 prompts")
    parser.add_argument(
        "--coco", type=Path, help=f"captions, one a line; the first {COCO_CAPTIONS:,} are asked"
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["constrained", "shortlist"])
    parser.add_argument("--limit", type=int, help="at most N prompts of each file")
    parser.add_argument("--adapter", type=Path, help="an adapter's folder instead of the packaged one")
    parser.add_argument("--base", help="a folder or hub id of a LLaMA instead of the embedded one")
    parser.add_argument("--output", type=Path, default=Path("evaluation"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = make_parser()
    options = parser.parse_args(arguments)
    files = {"parti": options.parti, "coco": options.coco}
    if not any(files.values()):
        parser.error("--parti or --coco is needed")
    rows: list[list[object]] = []
    outside = 0
    for name, path in files.items():
        if path is None:
            continue
        limits = [limit for limit in (options.limit, COCO_CAPTIONS if name == "coco" else None) if limit]
        for mode in options.modes:
            folder = options.output / f"{name}_{mode}"
            asked = ["--prompts-file", str(path), "--mode", mode, "--output", str(folder)]
            asked += ["--limit", str(min(limits))] if limits else []
            asked += ["--adapter", str(options.adapter)] if options.adapter else []
            asked += ["--base", options.base] if options.base else []
            evaluate(asked)
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            found = report["variants"]["prompts"]
            free = found.get("free")
            outside += found["names outside the catalogue"] if mode != "free" else 0
            rows.append(
                [
                    name,
                    mode,
                    found["prompts"],
                    found["errors"],
                    found["names given"],
                    found["names outside the catalogue"],
                    found["distinct models"],
                    cell(free["hallucination error"]) if free else "",
                    free["distinct names"] if free else "",
                ]
            )
    heads = ["prompts", "mode", "n", "errors", "names given", "outside the catalogue", "distinct models"]
    print(table([*heads, "hallucination error as written", "names written"], rows))
    return 1 if outside else 0


if __name__ == "__main__":
    run_script(main)

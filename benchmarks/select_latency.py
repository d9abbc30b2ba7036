"""What one `select` costs cold and after loading, and how many times longer the whole JSON takes to write.

    python benchmarks/select_latency.py                       # the default mode against free decoding
    python benchmarks/select_latency.py --free 0              # neither torch nor a language model
    python benchmarks/select_latency.py --mode constrained --prompts-file PartiPrompts.tsv --prompts 200

Cold is the command in a process of its own, with its caches made. The others are one prompt at a time, as a
user waits for it; OPENBLAS_NUM_THREADS=1, which the command sets, is the faster on a busy machine. Free mode
decodes the paper's nine fields, token by token.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from diffagent_tools.exits import run_script, tell
from diffagent_tools.select.selection import Selector
from diffagent_tools.select.selector import LlamaSelector, RetrievalSelector
from finetune.data.cases import read_prompts
from finetune.evaluate.metrics import percentiles
from finetune.evaluate.predictions import WARM_UP
from finetune.evaluate.run import MODES

PROMPTS = (
    "a happy corgi on a skateboard, pixel art",
    "portrait of an old fisherman, soft window light, film photograph",
    "isometric room of a botanist, low poly, pastel colors, detailed",
    "a dragon made of stained glass above a medieval town at dawn, intricate, highly detailed, 8k",
    "watercolor of a quiet harbor in the rain",
    "a red bicycle",
    "concept art, abandoned space station overgrown by moss, volumetric light, wide shot, by a painter",
    "cute sticker of a sleeping fox, white border, flat colors",
)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="latency of select, after loading")
    parser.add_argument("--mode", choices=MODES, default="shortlist")
    parser.add_argument("--prompts", type=int, default=40, help="how many are timed (default: 40)")
    parser.add_argument("--cold", type=int, default=5, help="how many cold starts (default: 5)")
    parser.add_argument(
        "--free", type=int, default=8, help="how many in free mode; 0 leaves it out (default: 8)"
    )
    parser.add_argument(
        "--prompts-file", type=Path, help="instead of the eight prompts of this file, in turn"
    )
    parser.add_argument("--adapter", type=Path, help="an adapter's folder instead of the packaged one")
    parser.add_argument("--base", help="a folder or hub id of a LLaMA instead of the embedded one")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = make_parser().parse_args(arguments)
    asked = [case.prompt for case in read_prompts(options.prompts_file)] if options.prompts_file else PROMPTS
    made: Selector
    if options.mode == "retrieval":
        made = RetrievalSelector(adapter=options.adapter)
    else:
        made = LlamaSelector(base=options.base, adapter=options.adapter, mode=options.mode, progress=tell)
    if options.cold:
        given = {"--mode": options.mode, "--adapter": options.adapter, "--base": options.base}
        cold([str(word) for pair in given.items() if pair[1] for word in pair], options.cold)
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "all"
    print(f"threads of one product: {threads}")
    median = report(options.mode, made, [asked[i % len(asked)] for i in range(options.prompts)])
    if options.free:
        free = LlamaSelector(base=options.base, adapter=options.adapter, mode="free", progress=tell)
        slow = report("free", free, [asked[i % len(asked)] for i in range(options.free)])
        print(f"free / {options.mode}: {slow / median:.1f} times longer (medians)")


def cold(options: Sequence[str], times: int) -> None:
    """Prints the best of several starts, after one that makes the caches: others only add what else ran."""
    import resource  # not on Windows

    command = [sys.executable, "-m", "diffagent_tools", "select", PROMPTS[0], *options]
    best_wall = best_processor = float("inf")
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        best_wall = min(best_wall, time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best_processor = min(best_processor, used)
    # kilobytes, but bytes on macOS
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    print(f"cold: {best_wall:.2f} s, {best_processor:.2f} processor seconds, {most:.0f} MB (best of {times})")


def report(label: str, selector: Selector, prompts: Sequence[str]) -> float:
    """Prints and returns the median number of seconds."""
    started = time.perf_counter()
    selector.select(WARM_UP)
    loading = time.perf_counter() - started
    seconds = []
    for prompt in prompts:
        started = time.perf_counter()
        selector.select(prompt)
        seconds.append(time.perf_counter() - started)
    found = percentiles(seconds)
    print(
        f"{label}: median {found['p50']:.3f} s, p95 {found['p95']:.3f} s over {len(prompts)} prompts; "
        f"the first request took {loading:.1f} s"
    )
    return found["p50"]


if __name__ == "__main__":
    run_script(main)

"""How building, opening and asking grow with the catalogue: made-up models of the starter's kind, and a plot.

    python benchmarks/scale.py --models 10000 75000 300000 --output scale   # scale.json, scale.md, scale.svg

Models are made by mixing and misspelling those of the starter, so that words are as common as there and new
ones keep coming. Above `--embed-up-to` models their vectors are not embedded: each is the vector of the
starter's model that it was made from, turned by chance. Each step is a process of its own, on one thread;
processor seconds are given beside the clock's, which counts whatever else runs on the machine.
"""

import argparse
import json
import os
import random
import resource  # not on Windows
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from diffagent_tools.exits import run_script, tell
from finetune.evaluate.metrics import percentiles
from retrieval.calls.check import check
from retrieval.catalogue import Catalogue
from retrieval.kept_vectors import text_keys
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.dense import FOLDER, facts_text, terms_text
from retrieval.search.encoders import LazyEncoder
from retrieval.search.ranker import STARTER_WEIGHTS, Ranker
from retrieval.storage import atomic_write, cache_dir, folder_size

SYLLABLES = (
    "ka",
    "ri",
    "to",
    "ne",
    "mo",
    "sha",
    "lu",
    "ve",
    "di",
    "an",
    "or",
    "el",
    "is",
    "um",
    "tra",
    "bel",
    "qui",
)
STYLES = ("pixel art", "watercolor", "a photo with film grain", "anime", "a low poly render", "oil painting")
SUBJECTS = ("a corgi", "an old fisherman", "a neon city in the rain", "a dragon over a town", "a red bicycle")
NEW_WORDS = 0.08
"""the share of words that are another's, misspelled: so many are rare in the starter, too"""
TURN = 0.7
"""the length of what is added by chance to a vector of length one"""


def varied(word: str, rng: random.Random) -> str:
    """A word that hardly any other model says."""
    return word + rng.choice(SYLLABLES) + rng.choice(SYLLABLES) if rng.random() < NEW_WORDS else word


def perturbed(number: int, wires: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The record of a made-up model, of two of the starter's; the same for the same number."""
    rng = random.Random(number)
    own, other = wires[number % len(wires)], wires[rng.randrange(len(wires))]
    words = own["model"].split() + other["model"].split()[:1]
    terms = {
        " ".join(varied(word, rng) for word in term.split()): weight
        for record, share in ((own, 0.7), (other, 0.3))
        for term, weight in record.get("terms", {}).items()
        if rng.random() < share
    }
    made = {
        **own,
        "model_id": 10_000_000 + number,
        "model": " ".join(varied(word, rng) for word in words) + f" {rng.choice(SYLLABLES)}{number % 997}",
        "aliases": [],
        "tags": [tag for tag in (*own.get("tags", ()), *other.get("tags", ())) if rng.random() < 0.6],
        "trigger_words": [varied(word, rng) for word in own.get("trigger_words", ())],
        "versions": [
            {
                **version,
                "version_id": 100_000_000 + number * 100 + place,
                "sha256": [f"{rng.getrandbits(256):064X}"],
                "file_names": [],
            }
            for place, version in enumerate(own.get("versions", ())[:2])
        ],
        "stats": {**own.get("stats", {}), "downloads": int(10 ** rng.uniform(1, 5.5))},
        "terms": terms,
    }
    return made


def write_catalogue(path: Path, count: int) -> None:
    """Made-up models as a catalogue's file."""
    wires = [record.to_wire() for record in Catalogue.starter()]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps(perturbed(number, wires), ensure_ascii=False) + "\n")


def put_vectors(catalogue: Catalogue) -> None:
    """Keeps vectors of all models as if they had been embedded: those of the starter's, turned by chance."""
    import numpy as np
    from safetensors.numpy import save

    encoder = LazyEncoder(STARTER_WEIGHTS / FOLDER)
    rng = np.random.default_rng(0)
    starter = list(Catalogue.starter())
    kinds: tuple[tuple[str, Callable[[ModelRecord], str]], ...] = (
        ("facts", facts_text),
        ("terms", terms_text),
    )
    for name, text_of in kinds:
        base = encoder.embed([encoder.text_ids(text_of(record)) for record in starter])
        keys = text_keys([text_of(record) for record in catalogue])
        made = base[np.arange(len(keys)) % len(base)]
        made += rng.normal(0, TURN / base.shape[1] ** 0.5, made.shape).astype(np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        part = cache_dir("retriever") / f"{encoder.digest[:12]}-part-{name}.safetensors"
        atomic_write(part, save({"keys": keys, "vectors": made.astype(np.float16)}))


def requests(count: int) -> list[Instruction]:
    """Half of them wishes, half of them prompts out of the terms of the starter's models."""
    rng = random.Random(1)
    starter = [record for record in Catalogue.starter() if len(record.terms) > 12]
    made = []
    for number in range(count):
        if number % 2:
            said = f"{rng.choice(SUBJECTS)}, as {rng.choice(STYLES)}"
        else:
            said = ", ".join(rng.sample(sorted(rng.choice(starter).terms), 9))
        made.append(Instruction(prompt=said))
    return made


def spent(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - clock, time.process_time() - processor


def most_memory() -> float:
    """The most that this process held, in GB; kilobytes are reported, but bytes on macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)


def build(path: Path) -> dict[str, float]:
    """All that is kept of a catalogue."""

    def made() -> None:
        _ = Ranker.packaged(Catalogue.load(path), progress=tell).retriever.facts

    clock, processor = spent(made)
    return {"build s": clock, "build processor s": processor, "build GB": most_memory()}


def ask(path: Path, count: int) -> dict[str, float]:
    """Opening what is kept, and requests one after the other; all models weighed for every fourth."""
    found: dict[str, float] = {}
    opened: list[Ranker] = []
    found["load s"], _ = spent(lambda: opened.append(Ranker.packaged(Catalogue.load(path))))
    (ranker,) = opened
    asked = requests(count)
    wanted = ranker.filter()
    found["first answer s"], _ = spent(lambda: ranker.rank(asked[0], wanted).best(10))
    times = [spent(lambda request=request: ranker.rank(request, wanted).best(10)) for request in asked]  # type: ignore[misc]
    for name, of in (("query", 0), ("query processor", 1)):
        shares = percentiles([each[of] for each in times])
        found |= {f"{name} p50 ms": 1000 * shares["p50"], f"{name} p95 ms": 1000 * shares["p95"]}
    found["GB"] = most_memory()
    recalls, whole = [], []
    for request in asked[:: max(1, count // 40)]:
        best = {each.record.model_id for each in ranker.rank(request, wanted).best(10)}
        whole.append(spent(lambda request=request: ranker.rank(request, wanted, most=None))[1])  # type: ignore[misc]
        exact = {each.record.model_id for each in ranker.rank(request, wanted, most=None).best(10)}
        recalls.append(len(best & exact) / max(1, len(exact)))
    found["recall at 10"] = sum(recalls) / len(recalls)
    found["same ten"] = sum(share == 1 for share in recalls) / len(recalls)
    found["all weighed, processor p50 ms"] = 1000 * percentiles(whole)["p50"]
    names = [f"{invented_word(number)} {invented_word(number + 1)} xl" for number in range(40)]
    check(names[0], ranker.catalogue)
    shares = percentiles([spent(lambda name=name: check(name, ranker.catalogue))[1] for name in names[1:]])  # type: ignore[misc]
    found["check processor p95 ms"] = 1000 * shares["p95"]
    return found


def invented_word(number: int) -> str:
    """An invented word."""
    rng = random.Random(number)
    return "".join(rng.choice(SYLLABLES) for _ in range(4))


def step(name: str, path: Path, home: Path, count: int) -> dict[str, float]:
    """One of the two in a process of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, __file__, "--step", name, "--catalogue", path, "--requests", str(count)],
        env={**os.environ, **threads, "DIFFAGENT_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(count: int, options: argparse.Namespace) -> dict[str, float]:
    """The figures of a catalogue of so many models."""
    folder = options.output / str(count)
    folder.mkdir(parents=True, exist_ok=True)
    path, home = folder / "models.jsonl", folder / "home"
    write_catalogue(path, count)
    if count > options.embed_up_to:
        step("vectors", path, home, 0)
    built = step("build", path, home, 0)
    size = {"catalogue MB": path.stat().st_size / 1e6, "kept MB": folder_size(home) / 1e6}
    return {"models": count, **built, **size, **step("ask", path, home, options.requests)}


def table(rows: Sequence[dict[str, float]]) -> str:
    """The figures as a table of Markdown, a column a size."""
    lines = [
        "| | " + " | ".join(f"{row['models']:,.0f}" for row in rows) + " |",
        "|---" * (len(rows) + 1) + "|",
    ]
    for name in list(rows[0])[1:]:
        lines.append(f"| {name} | " + " | ".join(f"{row[name]:,.3g}" for row in rows) + " |")
    return "\n".join(lines) + "\n"


def plot(rows: Sequence[dict[str, float]], path: Path) -> None:
    """Each figure against the number of models, on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = (
        "build processor s",
        "kept MB",
        "load s",
        "query processor p95 ms",
        "GB",
        "check processor p95 ms",
    )
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.5), layout="constrained")
    for name, axis in zip(names, axes.flat, strict=True):
        axis.loglog([row["models"] for row in rows], [row[name] for row in rows], "o-")
        axis.set_title(name)
        axis.set_xlabel("models")
        axis.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="cost against the number of models")
    parser.add_argument("--models", type=int, nargs="+", default=[10_000, 75_000])
    parser.add_argument("--output", type=Path, default=Path("scale"), help="a folder (default: scale)")
    parser.add_argument("--requests", type=int, default=100, help="how many are timed (default: 100)")
    parser.add_argument(
        "--embed-up-to", type=int, default=1000, help="of more models vectors are turned, not embedded"
    )
    parser.add_argument("--step", choices=("vectors", "build", "ask"), help=argparse.SUPPRESS)
    parser.add_argument("--catalogue", type=Path, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = make_parser().parse_args(arguments)
    if options.step == "vectors":
        put_vectors(Catalogue.load(options.catalogue))
        print("{}")
    elif options.step == "build":
        print(json.dumps(build(options.catalogue)))
    elif options.step == "ask":
        print(json.dumps(ask(options.catalogue, options.requests)))
    else:
        rows = []
        for count in sorted(options.models):
            rows.append(measure(count, options))
            atomic_write(options.output / "scale.json", json.dumps(rows, indent=1).encode())
            atomic_write(options.output / "scale.md", table(rows).encode())
            plot(rows, options.output / "scale.svg")
            print(table(rows))


if __name__ == "__main__":
    run_script(main)

"""How long the dataset's build takes, and how much memory, as the number of raw pairs grows.

    python benchmarks/dabench_build.py --models civitai_api_models.jsonl.gz --pairs 10000 100000 300000

The input is the given API objects, copied until they hold enough images with metadata: every copy has its
own ids, hashes and prompts, in which three words of ten are replaced. Times are of the build alone, in a
process of its own. Processor time is what the build needs; the clock also counts what else the machine does.
"""

import argparse
import hashlib
import multiprocessing
import random
import re
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from diffagent_tools.exits import run_script
from finetune.civitai.store import RawStore
from finetune.dabench.build import build
from finetune.dabench.config import read_config
from retrieval.storage import read_jsonl
from retrieval.tables.screen import is_blocked

_STEP = 100_000_000
_REPLACED = 0.3
_WORD = re.compile(r"[a-z]{3,}", re.IGNORECASE)
_COMMIT_EVERY = 2_000


class Copies:
    """Copies of API objects that differ in ids, hashes and prompts."""

    def __init__(self, models: list[dict[str, Any]]) -> None:
        self.models = models
        metas = [image["meta"] for model in models for image in _images(model) if image.get("meta")]
        self.pairs = len(metas)
        said = sorted({word for meta in metas for word in _WORD.findall(str(meta.get("prompt")))})
        self._words = [word for word in said if not is_blocked(word)]
        files = [file for m in models for v in m["modelVersions"] for file in v["files"]]
        self._own = {value.upper() for file in files for value in file["hashes"].values()}

    def copy(self, number: int) -> Iterator[dict[str, Any]]:
        """All the models as the copy of a number has them; copy 0 is the original."""
        lot = random.Random(number)
        for model in self.models:
            yield model if number == 0 else self._copied(model, number, lot)

    def _copied(self, value: Any, number: int, lot: random.Random, key: str = "") -> Any:
        if isinstance(value, Mapping):
            return {name: self._copied(inner, number, lot, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._copied(inner, number, lot, key) for inner in value]
        if key in ("id", "modelId") and isinstance(value, int):
            return value + number * _STEP
        if key == "prompt" and isinstance(value, str):
            return _WORD.sub(lambda m: lot.choice(self._words) if lot.random() < _REPLACED else m[0], value)
        if isinstance(value, str) and value.upper() in self._own:
            return _hash(value, number)
        return value


def _hash(value: str, number: int) -> str:
    """Another hash of the same length; those of one file still begin alike."""
    named = value.upper()[:10] if len(value) >= 10 else value.upper()
    return hashlib.sha256(f"{number} {named}".encode()).hexdigest().upper()[: len(value)]


def _images(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (image for version in model["modelVersions"] for image in version["images"])


def write_store(path: Path, models: list[dict[str, Any]], pairs: int) -> int:
    """A raw store with at least so many images that have metadata; returns how many it has."""
    copies = Copies(models)
    held = 0
    with RawStore.open(path, {"pairs": pairs}) as store:
        waiting: list[dict[str, Any]] = []
        for number in range(-(-pairs // copies.pairs)):
            for model in copies.copy(number):
                if held >= pairs:
                    break
                held += sum(1 for image in _images(model) if image.get("meta"))
                waiting.append(model)
                if len(waiting) == _COMMIT_EVERY:
                    store.append("models", waiting)
                    store.commit({})
                    waiting = []
        store.append("models", waiting)
        store.commit({}, finished=True)
    return held


def measure(raw: Path, output: Path, answer: Any) -> None:
    """Builds, and sends kept pairs, seconds by the clock and of the processor, and MiB at most."""
    start, processor = time.perf_counter(), time.process_time()
    report = build(raw, output, read_config())
    seconds = time.perf_counter() - start, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer.put((sum(numbers["pairs"] for numbers in report["sets"].values()), *seconds, memory))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=Path, required=True, help="API objects, .jsonl or .jsonl.gz")
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 100_000])
    options = parser.parse_args()
    models = read_jsonl(options.models, ("modelVersions",), dict, hint="objects of Civitai's API")
    spawning = multiprocessing.get_context("spawn")
    print(f"{'raw pairs':>10}{'kept':>10}{'clock s':>10}{'processor s':>13}{'MiB':>8}")
    for wanted in options.pairs:
        with tempfile.TemporaryDirectory() as folder:
            raw, output = Path(folder) / "raw", Path(folder) / "set"
            held = write_store(raw, models, wanted)
            answer = spawning.Queue()
            process = spawning.Process(target=measure, args=(raw, output, answer))
            process.start()
            kept, clock, processor, memory = answer.get()
            process.join()
        print(f"{held:>10,}{kept:>10,}{clock:>10.1f}{processor:>13.1f}{memory:>8.0f}", flush=True)


if __name__ == "__main__":
    run_script(main)

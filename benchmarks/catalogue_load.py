"""How long a catalogue of 100,000 models takes to load, to look a name up in, and to choose from.

python benchmarks/catalogue_load.py --records 100000
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from diffagent_tools.exits import run_script
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord, Settings, Stats, VersionRecord

T = TypeVar("T")


def record(number: int) -> ModelRecord:
    """A made-up record of the size that a collected one has (about 2 kB)."""
    words = [f"word{(number * 31 + 7 * i) % 5000}" for i in range(40)]
    return ModelRecord(
        model_id=number + 1,
        model=f"Model {number} of {words[0]}",
        type="LORA" if number % 2 else "Checkpoint",
        base_model="SDXL 1.0" if number % 3 else "SD 1.5",
        description=" ".join(words),
        trigger_words=(words[1], f"{words[2]} style"),
        tags=tuple(words[3:9]),
        versions=tuple(
            VersionRecord(
                version_id=2 * number + i + 1,
                version=f"v{i + 1}.0",
                base_model="SD 1.5",
                sha256=(f"{number * 2654435761 + i:064X}",),
                file_names=(f"model{number}_v{i + 1}.safetensors",),
            )
            for i in range(2)
        ),
        available=number % 50 != 0,
        nsfw=False,
        commercial_use=("Image",),
        stats=Stats(downloads=number),
        settings=Settings(sampling_method="Euler a", sampling_steps=20, cfg_scale=7, width=512, height=768),
        terms=dict.fromkeys(words, 0.125),
        samples=8,
    )


def timed(label: str, action: Callable[[], T]) -> T:
    start = time.perf_counter()
    result = action()
    print(f"{label:42s} {time.perf_counter() - start:7.3f} s")
    return result


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="loading and searching a large catalogue")
    parser.add_argument("--records", type=int, default=100_000)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    count = make_parser().parse_args(arguments).records
    with tempfile.TemporaryDirectory() as folder:
        made = Catalogue(record(number) for number in range(count))
        for ending in ("jsonl", "jsonl.gz"):
            path = Path(folder) / f"catalogue.{ending}"
            made.save(path)
            print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {count:,} records")
            catalogue = timed("load", lambda path=path: Catalogue.load(path))  # type: ignore[misc]
            timed("get one", lambda catalogue=catalogue: catalogue.get(count // 2))  # type: ignore[misc]
            name = catalogue.get(count // 2).model.upper()
            timed("first look-up by name", lambda c=catalogue, name=name: c.find(name))  # type: ignore[misc]
            timed("next look-up by name", lambda c=catalogue, name=name: c.find(name))  # type: ignore[misc]
            timed("select one family", lambda c=catalogue: c.select(base_model="SD 1.5"))  # type: ignore[misc]
            timed("digest", lambda c=catalogue: c.digest)  # type: ignore[misc]


if __name__ == "__main__":
    run_script(main)

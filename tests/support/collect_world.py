"""Small API objects for the tests of collecting, and a collector that can run in a process of its own.

python tests/support/collect_world.py http://127.0.0.1:8000/api/v1 raw
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from finetune.civitai.client import Civitai
from finetune.civitai.collect import Collector, Query
from finetune.civitai.store import RawStore, read_images, read_models, read_report

BASES = ("SD 1.5", "SDXL 1.0", "Pony")


def world(count: int = 44) -> tuple[list[Any], dict[int, list[Any]]]:
    """Models with one to three versions, and images for each version; some of everything is unusable."""
    models: list[Any] = []
    images: dict[int, list[Any]] = {}
    for number in range(1, count + 1):
        versions = [
            {"id": number * 10 + place, "baseModel": BASES[(number + place) % 3], "name": f"v{place}"}
            for place in range(1 + number % 3)
        ]
        kind = "LORA" if number % 2 else "Checkpoint"
        models.append({"id": number, "name": f"model {number}", "type": kind, "modelVersions": versions})
        for version in versions:
            first = version["id"] * 100
            images[version["id"]] = [
                {"id": first + i, "meta": {"prompt": f"é {i}", "steps": 20} if i % 3 else None}
                for i in range((version["id"] * 7) % 19)
            ]
    models[3:3] = ["no object", {"name": "no id", "type": "LORA"}, models[0]]
    images[22] = [*images[22], None, {"id": "x", "meta": {"steps": 1}}, *images[22][:2]]
    return models, images


def query(url: str, **changes: Any) -> Query:
    """Six models' worth of pages: small enough to be quick, large enough to be stopped in many places."""
    return Query(**{"url": url, "images_per_model": 12, **changes})


def collect(url: str, path: Path, **changes: Any) -> Counter[str]:
    """Collects to the end without pauses; says which faults were met."""
    asked = query(url, **changes)
    with (
        Civitai(url, rate=1e6, timeout=0.3, first_pause=0.001) as civitai,
        RawStore.open(path, asked.to_wire()) as store,
    ):
        Collector(civitai, store, asked).run()
    return civitai.faults


def contents(path: Path) -> tuple[Any, ...]:
    """All that is in a store but its query, which names the server's port."""
    problems: Counter[str] = Counter()
    models, images = list(read_models(path, problems)), list(read_images(path, problems))
    found = read_report(path)
    assert not problems
    assert found.counts == {"models": len(models), "images": len(images)}
    return models, images, found.dropped, found.notes, found.finished


if __name__ == "__main__":
    collect(sys.argv[1], Path(sys.argv[2]))

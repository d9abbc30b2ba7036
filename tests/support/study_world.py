"""A table of pictures that a user study is made of: two architectures, three data sets; and its server.

create_study(read_table(table(folder)), folder / "study.db", source="run.parquet", pairs=6)
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from finetune.study.create import COLUMNS
from finetune.study.server import StudyServer
from finetune.study.store import Study

RED, BLUE = (200, 30, 30), (30, 30, 200)
"""The baseline's pictures and DiffAgent's."""
SETS = ("COCO Caption", "DABench", "Parti Prompts")
SCRIPT = '<script>alert("1")</script> | a *corgi*'


def picture(path: Path, colour: tuple[int, int, int]) -> str:
    told = PngInfo()
    told.add_text("parameters", "made by Secret Model")
    Image.new("RGB", (8, 8), colour).save(path, pnginfo=told)
    return path.name


def table(folder: Path, *, prompts: int = 4, **changes: Any) -> Path:
    """A run of two architectures, three data sets, `prompts` prompts each, and of each two seeds."""
    rows = []
    red, blue = picture(folder / "red.png", RED), picture(folder / "blue.png", BLUE)
    for architecture in ("SD 1.5", "SDXL"):
        for data_set in SETS:
            for number in range(prompts):
                for _ in range(2):
                    prompt = SCRIPT if number == 0 else f"{data_set} {number}"
                    cells = (architecture, data_set, prompt, red, blue, "v1-5", "Secret Model")
                    rows.append(dict(zip(COLUMNS, cells, strict=True)))
    rows[0] |= changes
    path = folder / "run.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


@contextmanager
def served(study: Study) -> Iterator[StudyServer]:
    """A server of the study in a thread, until the end."""
    with StudyServer(study) as server:
        running = threading.Thread(target=server.serve_forever, args=(0.01,))
        running.start()
        try:
            yield server
        finally:
            server.shutdown()
            running.join()

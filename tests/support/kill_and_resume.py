"""Training in a process of its own that is killed in the middle, as by a power cut."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def killed_after_checkpoint(module: str, arguments: Sequence[str], output: Path, step: int = 3) -> None:
    """Runs `python -m module`, kills it once the checkpoint of a step is whole, and leaves what such a kill
    can leave behind: no later checkpoint but an empty one at twice the step."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 240
    while not (output / f"checkpoint-{step}" / "trainer_state.json").is_file():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.005)
    process.kill()
    process.wait()
    for later in output.glob("checkpoint-*"):
        if int(later.name.partition("-")[2]) > step:
            shutil.rmtree(later)
    (output / f"checkpoint-{2 * step}").mkdir()

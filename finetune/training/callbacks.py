"""What every training stage keeps and tells: metrics.csv, a line of progress, checkpoints, a clean stop.

Imported inside functions only, because transformers takes seconds.
"""

import csv
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; a run killed while saving leaves another."""
    complete = [
        path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()
    ]  # trainer_state.json is what the Trainer writes last
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class CsvLog(TrainerCallback):
    """Appends what is logged to a CSV file; a resumed run first drops the rows after its checkpoint.

    Args:
        columns: what to take of the log, beside step, epoch, num_tokens and seconds.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._columns = ("step", "epoch", *columns, "num_tokens", "seconds")
        self._before = 0.0
        self._start = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        rows = [row for row in read_curve(self._path) if int(row["step"]) <= state.global_step]
        self._before = float(rows[-1]["seconds"]) if rows else 0.0
        self._start = time.monotonic()
        with self._path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, self._columns)
            writer.writeheader()
            writer.writerows(rows)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not {"loss", "eval_loss"} & set(logs or ()):
            return
        seconds = round(self._before + time.monotonic() - self._start, 1)
        values = {**logs, "step": state.global_step, "seconds": seconds}
        with self._path.open("a", newline="", encoding="utf-8") as stream:
            csv.DictWriter(stream, self._columns, extrasaction="ignore").writerow(values)


def read_curve(path: Path) -> list[dict[str, str]]:
    """The rows of `CsvLog`'s file; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["seconds"]]


class Progress(TrainerCallback):
    """A line for each log: step, loss, tokens a second, and the time that is left at this run's own pace.

    Args:
        share: the name in the log of a share of 1 to tell beside the loss, and how it is called there.
    """

    def __init__(self, tell: Callable[[str], None], share: tuple[str, str]) -> None:
        self._tell = tell
        self._share = share
        self._start = time.monotonic()
        self._from_step = 0
        self._tokens: float | None = None
        self._at = self._start

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._start = self._at = time.monotonic()
        self._from_step = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or "loss" not in (logs or ()):
            return
        now = time.monotonic()
        pace = (now - self._start) / max(1, state.global_step - self._from_step)
        left = pace * (state.max_steps - state.global_step)
        tokens = float(logs["num_tokens"])
        speed = f", {(tokens - self._tokens) / (now - self._at):,.0f} tokens/s" if self._tokens else ""
        self._tokens, self._at = tokens, now
        name, called = self._share
        share = f", {called} {float(logs[name]):.1%}" if name in logs else ""
        self._tell(
            f"step {state.global_step:,} of {state.max_steps:,}: loss {float(logs['loss']):.3f}{share}{speed}"
            f", {pace:.2f} s a step, {left / 60:,.0f} min left"
        )


class StopOnSignal(TrainerCallback):
    """SIGTERM or SIGINT: saves a checkpoint after the current step and stops. A second one stops at once.

    Transformers' own `enable_jit_checkpoint` may save between a step's backward and its update, so that a
    resumed run draws other dropout masks; here a checkpoint always lies between two steps.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._before: dict[int, Any] = {}

    def _asked(self, number: int, frame: Any) -> None:
        self.stopped = True
        signal.signal(number, self._before[number])

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._asked)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.stopped:
            control.should_save = control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

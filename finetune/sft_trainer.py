"""Stage 1's trainer: TRL's SFTTrainer with the language model's head on the response's positions only.

    trainer = DiffAgentSFTTrainer(model=peft_model, args=sft_config, train_dataset=to_dataset(rows), ...)
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))

On two cores most of a step's waste is the head: 576 x 49,152 weights for each of some 70 positions, of which
8 belong to the response. Stock TRL skips the others only on devices with Triton. Imported inside functions
only, because TRL takes five seconds.
"""

import csv
import signal
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import Sampler
from transformers import TrainerCallback
from transformers.utils.generic import ModelOutput
from trl import SFTTrainer  # type: ignore[attr-defined]

from finetune.dialogues import Row

IGNORED = -100
_POOL = 50  # batches that are sorted together: enough for next to no padding, few enough to stay random
_CURVE = ("step", "epoch", "loss", "eval_loss", "learning_rate", "grad_norm", "mean_token_accuracy")
_COLUMNS = (*_CURVE, "num_tokens", "seconds")


def response_nll(
    hidden: torch.Tensor, labels: torch.Tensor, head: Callable[[torch.Tensor], torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Paper Eq. 1, L_sft = -sum_t log P(r_t | t, r_<t), with logits for the response's positions only.

    Args:
        hidden: last hidden states, [batch, length, width].
        labels: token ids, `IGNORED` outside the response, [batch, length].
        head: [positions, width] -> [positions, vocabulary].

    Returns:
        The summed negative log-likelihood in nats, the number of response tokens, and how many of them were
        the likeliest token; each a scalar.
    """
    targets = labels[:, 1:]
    response = targets != IGNORED
    logits = head(hidden[:, :-1][response]).float()  # [positions, vocabulary]
    wanted = targets[response]
    nll = cross_entropy(logits, wanted, reduction="sum")
    return nll, response.sum(), (logits.detach().argmax(-1) == wanted).sum()


@dataclass
class ResponseOutput(ModelOutput):
    """What the model returns when called with `response_only=True`: see `response_nll`."""

    nll: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    correct: torch.Tensor | None = None


def add_response_head(model: Any) -> None:
    """Lets `model(input_ids, attention_mask, labels, response_only=True)` return a `ResponseOutput`.

    In the model's own forward, not beside it, so that DDP's and FSDP's hooks see the call.
    """
    original = model.forward

    def forward(self: Any, *args: Any, response_only: bool = False, **kwargs: Any) -> Any:
        if not response_only:
            return original(*args, **kwargs)
        labels = kwargs.pop("labels")
        hidden = self.base_model(*args, **kwargs).last_hidden_state
        nll, tokens, correct = response_nll(hidden, labels, self.get_output_embeddings())
        return ResponseOutput(nll=nll, tokens=tokens, correct=correct)

    model.forward = types.MethodType(forward, model)


class LengthGroupedBatches(Sampler[int]):
    """Indices in which each run of `batch` has similar lengths, and runs come in random order.

    The order is a function of seed and epoch alone, so a resumed run continues it. Transformers' own sampler
    goes from long to short over and over, and draws from the global generator.

    Args:
        epoch: tells the current epoch.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, epoch: Callable[[], int]) -> None:
        self._lengths = lengths
        self._batch = batch
        self._seed = seed
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(1_000_003 * self._seed + self._epoch())
        order: list[int] = torch.randperm(len(self), generator=generator).tolist()
        pool = self._batch * _POOL
        batches: list[list[int]] = []
        for start in range(0, len(order), pool):
            near = sorted(order[start : start + pool], key=lambda i: self._lengths[i])
            batches += [near[i : i + self._batch] for i in range(0, len(near), self._batch)]
        # a batch that is not full stays last, or it would shift all that follow
        short = [batches.pop()] if len(batches[-1]) < self._batch else []
        shuffled = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        return (index for batch in (*shuffled, *short) for index in batch)


class DiffAgentSFTTrainer(SFTTrainer):
    """SFTTrainer for dialogues that are token ids already (`to_dataset`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model: Any = self.model
        add_response_head(model.get_base_model() if _has_adapter(model) else model)

    def _send_telemetry(self) -> None:
        """Nothing about a run is sent anywhere."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """TRL's README for the hub, one at each checkpoint; finetune/card.py writes this project's own."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return LengthGroupedBatches(
            [len(ids) for ids in dataset["input_ids"]],
            together,
            self.args.data_seed if self.args.data_seed is not None else self.args.seed,
            lambda: int(self.state.epoch or 0),
        )

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        mode = "train" if model.training else "eval"
        outputs = model(**inputs, use_cache=False, response_only=True)
        loss = outputs.nll / (outputs.tokens if num_items_in_batch is None else num_items_in_batch)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # DDP averages gradients over the processes
        gather = self.accelerator.gather_for_metrics
        tokens, correct = gather(outputs.tokens).sum(), gather(outputs.correct).sum()
        self._metrics[mode]["mean_token_accuracy"].append((correct / tokens).item())
        if mode == "train":
            self._total_train_tokens += int(gather(inputs["attention_mask"].sum()).sum())
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        return (loss, outputs) if return_outputs else loss


def _has_adapter(model: Any) -> bool:
    from peft import PeftModel

    return isinstance(model, PeftModel)


def to_dataset(rows: Sequence[Row]) -> Any:
    """A `datasets.Dataset` of `input_ids` and `labels`, as TRL's collator reads them."""
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [list(row.input_ids) for row in rows],
            "labels": [
                [IGNORED] * row.response_start + list(row.input_ids[row.response_start :]) for row in rows
            ],
        }
    )


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; a run killed while saving leaves another."""
    complete = [
        path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()
    ]  # trainer_state.json is what the Trainer writes last
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class CsvLog(TrainerCallback):
    """Appends what is logged to a CSV file; a resumed run first drops the rows after its checkpoint."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = 0.0
        self._start = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        rows = [row for row in read_curve(self._path) if int(row["step"]) <= state.global_step]
        self._before = float(rows[-1]["seconds"]) if rows else 0.0
        self._start = time.monotonic()
        with self._path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not {"loss", "eval_loss"} & set(logs or ()):
            return
        seconds = round(self._before + time.monotonic() - self._start, 1)
        values = {**logs, "step": state.global_step, "seconds": seconds}
        with self._path.open("a", newline="", encoding="utf-8") as stream:
            csv.DictWriter(stream, _COLUMNS, extrasaction="ignore").writerow(values)


def read_curve(path: Path) -> list[dict[str, str]]:
    """The rows of `CsvLog`'s file; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["seconds"]]


class Progress(TrainerCallback):
    """A line for each log: step, loss, tokens a second, and the time that is left at this run's own pace."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
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
        self._tell(
            f"step {state.global_step:,} of {state.max_steps:,}: loss {float(logs['loss']):.3f}, response "
            f"tokens right {float(logs['mean_token_accuracy']):.1%}{speed}, {pace:.2f} s a step, "
            f"{left / 60:,.0f} min left"
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

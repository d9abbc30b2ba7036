"""Tokens a second of the SFT trainer against trl's SFTTrainer, in one process, on the same dialogues.

    python benchmarks/sft_throughput.py --train-data pairs_train.jsonl.gz --steps 12 --threads 2

Both train the same base with the same LoRA, batch, truncation, fp32 products, no gradient checkpointing, and
the loss on the response alone. Differences: the head runs on the response's positions only, batches have
similar lengths, and attention is the plain one. A third run also keeps the frozen layers rounded to bf16
(`matmul_precision: bfloat16`). Tokens are those of dialogues, padding does not count. The trainers take turns
of a few steps, so that other work on the machine slows all alike; processor time stands beside the clock.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffagent_tools.exits import run_script

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TARGET = 1.5
EQUAL = 1e-5
TURN = 2  # steps of one trainer before the next one's
RANK = 16


@dataclass
class Run:
    """A trainer with its sums: what it did (tokens, prompts), seconds by the clock and of the processor."""

    name: str
    trainer: Any
    precision: str = "highest"
    done: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    @contextmanager
    def measured(self, done: int) -> Iterator[None]:
        """Adds what the block takes for `done` of them; nothing for none, which is a first step."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        if done:
            self.wall += time.perf_counter() - wall
            self.cpu += time.process_time() - cpu
            self.done += done

    @property
    def speed(self) -> float:
        return self.done / self.wall

    @property
    def cpu_speed(self) -> float:
        return self.done / self.cpu


def make_run(name: str, rows: Sequence[Any], options: argparse.Namespace) -> Run:
    """A trainer on a base of its own."""
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from diffagent_tools.llm.base import load_base
    from diffagent_tools.llm.bf16 import round_frozen_linears
    from finetune.sft.trainer import DiffAgentSFTTrainer, to_dataset

    base = load_base(options.base)
    stock = name == "trl SFTTrainer"
    if not stock:
        base.model.set_attn_implementation("eager")
    trainer = (SFTTrainer if stock else DiffAgentSFTTrainer)(
        model=base.model,
        args=SFTConfig(
            output_dir=tempfile.mkdtemp(),
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            per_device_train_batch_size=options.batch,
            learning_rate=1e-4,
            dataset_kwargs={"skip_prepare_dataset": True},
            prediction_loss_only=True,
            report_to="none",
            disable_tqdm=True,
            seed=0,
        ),
        train_dataset=to_dataset(rows),
        processing_class=base.tokenizer,
        peft_config=LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=LINEAR, task_type="CAUSAL_LM"),
    )
    rounded = name.endswith("bfloat16")
    if rounded:
        round_frozen_linears(trainer.model)
    return Run(name, trainer, "medium" if rounded else "highest")


def train(run: Run, optimizer: Any, batches: Sequence[dict[str, Any]], *, count: bool = True) -> None:
    """Steps of the trainer's own `training_step`, measured."""
    import torch

    torch.set_float32_matmul_precision(run.precision)
    with run.measured(sum(int(inputs["attention_mask"].sum()) for inputs in batches) if count else 0):
        for inputs in batches:
            answered = (inputs["labels"][:, 1:] != -100).sum()
            run.trainer.training_step(run.trainer.model, dict(inputs), answered)
            optimizer.step()
            optimizer.zero_grad()


def loss_of(run: Run, batches: Sequence[dict[str, Any]]) -> float:
    """Mean loss in nats a token over the same held-out batches, without training."""
    import torch

    torch.set_float32_matmul_precision(run.precision)
    run.trainer.model.train(False)
    with torch.no_grad():
        losses = [float(run.trainer.compute_loss(run.trainer.model, dict(inputs))) for inputs in batches]
    run.trainer.model.train(True)
    return sum(losses) / len(losses)


def make_runs(options: argparse.Namespace) -> tuple[list[Run], list[Any]]:
    """The trainers, and two batches that none of them trains on."""
    from diffagent_tools.llm.base import load_base
    from finetune.data.pairs import read_pairs
    from finetune.sft.dialogues import Mix, build_dialogues
    from finetune.sft.trainer import to_dataset
    from retrieval.catalogue import Catalogue

    batch = options.batch
    rows = build_dialogues(
        read_pairs(options.train_data)[: 60 * batch],
        Catalogue.starter(),
        load_base(options.base).tokenizer,
        Mix(pair=1, stripped=1, description=0),
        max_prompt_tokens=64,
        max_length=1024,
    ).rows
    names = ("trl SFTTrainer", "ours, fp32", "ours, bfloat16")
    runs = [make_run(name, rows[: -2 * batch], options) for name in names]
    held_out, collate = to_dataset(rows[-2 * batch :]), runs[0].trainer.data_collator
    return runs, [collate([held_out[i] for i in range(at, at + batch)]) for at in (0, batch)]


def train_in_turn(runs: Sequence[Run], steps: int) -> None:
    """So many steps of each, on batches as the trainer itself draws and pads them."""
    import torch

    turns = []
    for run in runs:
        loader = iter(run.trainer.get_train_dataloader())
        weights = [p for p in run.trainer.model.parameters() if p.requires_grad]
        batches = [next(loader) for _ in range(steps + 1)]
        turns.append((run, torch.optim.AdamW(weights, lr=1e-4), batches))
    for run, optimizer, batches in turns:
        run.trainer.model.train(True)
        train(run, optimizer, batches[:1], count=False)  # the first step allocates and compiles
    for start in range(1, steps + 1, TURN):
        for run, optimizer, batches in turns:
            train(run, optimizer, batches[start : start + TURN])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train-data", type=Path, required=True)
    parser.add_argument("--base", help="folder or hub id; the embedded default if not given")
    parser.add_argument("--steps", type=int, default=12, help="measured steps of each trainer")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import torch

    torch.set_num_threads(options.threads)
    runs, same = make_runs(options)
    before = [loss_of(run, same) for run in runs]
    train_in_turn(runs, options.steps)
    after = [loss_of(run, same) for run in runs]
    stock = runs[0]
    print(f"batch {options.batch}, LoRA r={RANK}, {options.threads} threads, {options.steps} steps each")
    print("| trainer | tokens/s | ratio | tokens per processor second | ratio | loss before | after |")
    print("|---|---|---|---|---|---|---|")
    for run, first, last in zip(runs, before, after, strict=True):
        print(
            f"| {run.name} | {run.speed:.0f} | {run.speed / stock.speed:.2f} | {run.cpu_speed:.0f} | "
            f"{run.cpu_speed / stock.cpu_speed:.2f} | {first:.6f} | {last:.4f} |"
        )
    difference = abs(before[1] - before[0])
    print(f"loss of the same weights on the same batches differs by {difference:.1e} (at most {EQUAL:.0e})")
    print(
        f"{runs[1].speed / stock.speed:.2f} times as fast by the clock and "
        f"{runs[1].cpu_speed / stock.cpu_speed:.2f} by the processor's, at equal loss; the target is {TARGET}"
    )
    if difference > EQUAL:
        raise SystemExit("the losses are not equal")


if __name__ == "__main__":
    run_script(main)

"""Tokens a second of the SFT trainer against trl's SFTTrainer, in one process, on the same dialogues.

    python benchmarks/sft_throughput.py --train-data pairs_train.jsonl.gz --steps 12 --threads 2

Both train the same base with the same LoRA, batch, truncation, fp32 products, no gradient checkpointing, and
the loss on the response alone. Differences: the head runs on the response's positions only, batches have
similar lengths, and attention is the plain one. A third run also keeps the frozen layers rounded to bf16
(`matmul_precision: bfloat16`). Tokens are those of dialogues, padding does not count. The trainers take turns
of a few steps, so that other work on the machine slows all alike; processor time stands beside the clock.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffagent_tools.exits import run_script

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TARGET = 1.5
EQUAL = 1e-5


@dataclass
class Run:
    """A trainer with its running sums: tokens of dialogues, seconds by the clock and by the processor."""

    name: str
    trainer: Any
    precision: str
    tokens: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    @property
    def speed(self) -> float:
        return self.tokens / self.wall

    @property
    def cpu_speed(self) -> float:
        return self.tokens / self.cpu


def make_run(name: str, rows: Sequence[Any], options: argparse.Namespace) -> Run:
    """A trainer on a base of its own."""
    import tempfile

    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from diffagent_tools.llm.base import load_base
    from diffagent_tools.llm.bf16 import round_frozen_linears
    from finetune.sft.trainer import DiffAgentSFTTrainer, to_dataset

    base = load_base(options.base)
    stock = name == "trl SFTTrainer"
    if not stock:
        base.model.set_attn_implementation("eager")
    layers = int(base.model.config.num_hidden_layers)
    upper = list(range(layers - options.upper_layers, layers)) if options.upper_layers else None
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
        peft_config=LoraConfig(
            r=options.rank,
            lora_alpha=2 * options.rank,
            target_modules=LINEAR,
            layers_to_transform=upper,
            task_type="CAUSAL_LM",
        ),
    )
    rounded = name.endswith("bfloat16")
    if rounded:
        round_frozen_linears(trainer.model)
    return Run(name, trainer, "medium" if rounded else "highest")


def batches_of(run: Run, steps: int) -> list[dict[str, Any]]:
    """Batches as the trainer itself would draw and pad them."""
    loader = iter(run.trainer.get_train_dataloader())
    return [next(loader) for _ in range(steps)]


def train(run: Run, optimizer: Any, batches: Sequence[dict[str, Any]], *, count: bool = True) -> None:
    """Steps of the trainer's own `training_step`, measured."""
    import torch

    torch.set_float32_matmul_precision(run.precision)
    wall, cpu = time.perf_counter(), time.process_time()
    for inputs in batches:
        run.trainer.training_step(run.trainer.model, dict(inputs), (inputs["labels"][:, 1:] != -100).sum())
        optimizer.step()
        optimizer.zero_grad()
    if count:
        run.wall += time.perf_counter() - wall
        run.cpu += time.process_time() - cpu
        run.tokens += sum(int(inputs["attention_mask"].sum()) for inputs in batches)


def loss_of(run: Run, batches: Sequence[dict[str, Any]]) -> float:
    """Mean loss in nats a token over the same held-out batches, without training."""
    import torch

    torch.set_float32_matmul_precision(run.precision)
    run.trainer.model.train(False)
    with torch.no_grad():
        losses = [float(run.trainer.compute_loss(run.trainer.model, dict(inputs))) for inputs in batches]
    run.trainer.model.train(True)
    return sum(losses) / len(losses)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train-data", type=Path, required=True)
    parser.add_argument("--base", help="folder or hub id; the embedded default if not given")
    parser.add_argument("--steps", type=int, default=12, help="measured steps of each trainer")
    parser.add_argument("--turn", type=int, default=2, help="steps of one trainer before the next one's turn")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--upper-layers", type=int, default=0, help="LoRA on so many upper layers; 0 for all")
    parser.add_argument("--max-prompt-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import torch

    from diffagent_tools.llm.base import load_base
    from finetune.data.pairs import read_pairs
    from finetune.sft.dialogues import Mix, build_dialogues
    from finetune.sft.trainer import to_dataset
    from retrieval.catalogue import Catalogue

    torch.set_num_threads(options.threads)
    pairs = read_pairs(options.train_data)[: 60 * options.batch]
    rows = build_dialogues(
        pairs,
        Catalogue.starter(),
        load_base(options.base).tokenizer,
        Mix(pair=1, stripped=1, description=0),
        max_prompt_tokens=options.max_prompt_tokens,
        max_length=1024,
    ).rows
    runs = [
        make_run(name, rows[: -2 * options.batch], options)
        for name in ("trl SFTTrainer", "ours, fp32", "ours, bfloat16")
    ]
    held_out = to_dataset(rows[-2 * options.batch :])
    same = [
        runs[0].trainer.data_collator([held_out[i] for i in range(start, start + options.batch)])
        for start in (0, options.batch)
    ]
    before = [loss_of(run, same) for run in runs]
    drawn = [batches_of(run, options.steps + 1) for run in runs]
    optimizers = [
        torch.optim.AdamW([p for p in run.trainer.model.parameters() if p.requires_grad], lr=1e-4)
        for run in runs
    ]
    for run, optimizer, batches in zip(runs, optimizers, drawn, strict=True):
        run.trainer.model.train(True)
        train(run, optimizer, batches[:1], count=False)  # the first step allocates and compiles
    for start in range(1, options.steps + 1, options.turn):
        for run, optimizer, batches in zip(runs, optimizers, drawn, strict=True):
            train(run, optimizer, batches[start : start + options.turn])
    after = [loss_of(run, same) for run in runs]

    stock = runs[0]
    print(
        f"batch {options.batch}, LoRA r={options.rank}, {options.threads} threads, {options.steps} steps each"
    )
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
    if options.json:
        figures = [
            {"trainer": run.name, "tokens_per_second": run.speed, "tokens_per_cpu_second": run.cpu_speed}
            for run in runs
        ]
        options.json.write_text(json.dumps({"runs": figures, "loss_difference": difference}, indent=1))
    if difference > EQUAL:
        raise SystemExit("the losses are not equal")


if __name__ == "__main__":
    run_script(main)

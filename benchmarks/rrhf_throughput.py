"""An RRHF step that reads each prompt once, against one that reads it again for every candidate.

    python benchmarks/rrhf_throughput.py --steps 3 --threads 1
    python benchmarks/rrhf_throughput.py --name-only

The same trainer, base, LoRA, prompts and losses (finetune/rrhf/trainer.py), with `share_prompt` true and
false; in both the output layer runs on the responses' positions only, so the prompt alone makes the ratio.
Prompts have 150 tokens. Candidates are models of the starter catalogue: whole responses, the paper's nine
fields, or with `--name-only` the model's name. The two take turns, so that other work on the machine slows
both alike; processor time stands beside the clock. Losses and gradients of the first batch must be equal.
"""

import argparse
import random
import tempfile
from typing import Any

from sft_throughput import LINEAR, RANK, TARGET, Run

from diffagent_tools.exits import run_script

EQUAL = 1e-4


def make_prompts(tokenizer: Any, options: argparse.Namespace) -> list[Any]:
    """Prompts of just so many tokens, of the catalogue's own terms, each with models drawn by lot."""
    from finetune.rrhf.data import RankedPrompt, Scored, build_ranked
    from retrieval.calls.compose import api_for
    from retrieval.catalogue import Catalogue
    from retrieval.records.api import read_instruction

    lot = random.Random(0)
    catalogue = Catalogue.starter()
    records = [record for record in catalogue if record.terms and record.description]
    terms = sorted({term for record in records for term in record.terms})
    scored = []
    for _ in range(options.batch * (options.steps + 1)):
        words = read_instruction(", ".join(lot.choices(terms, k=options.prompt_tokens)))
        texts = [api_for(record, words).paper_json() for record in lot.sample(records, options.candidates)]
        scored.append(Scored(words, tuple(texts), tuple(lot.random() for _ in texts)))
    built = build_ranked(
        scored,
        catalogue,
        tokenizer,
        max_prompt_tokens=options.prompt_tokens,
        max_length=4096,
        name_only=options.name_only,
    )
    # the template's own words come on top of the prompt's: the last ones are kept, which end in `{"model":"`
    return [
        RankedPrompt(prompt.prompt_ids[-options.prompt_tokens :], prompt.responses, prompt.scores)
        for prompt in built.prompts
    ]


def make_run(name: str, prompts: list[Any], options: argparse.Namespace) -> Run:
    """A trainer on a base of its own."""
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    from diffagent_tools.llm.base import load_base
    from finetune.rrhf.trainer import RRHFConfig, RRHFTrainer

    base = load_base(options.base)
    base.model.set_attn_implementation("sdpa")
    set_seed(0)
    lora = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=LINEAR)
    model: Any = get_peft_model(base.model, lora)
    trainer = RRHFTrainer(
        model,
        RRHFConfig(
            output_dir=tempfile.mkdtemp(),
            use_cpu=True,
            per_device_train_batch_size=options.batch,
            report_to="none",
            disable_tqdm=True,
            share_prompt=name == "shared",
        ),
        train_dataset=prompts,
    )
    return Run(name, trainer)


def step(run: Run, prompts: list[Any], *, count: bool = True) -> tuple[float, float]:
    """Forward and backward of a step, collation included; the loss and the gradient's norm."""
    import torch

    with run.measured(len(prompts) if count else 0):
        inputs = run.trainer.data_collator(prompts)
        run.trainer.model.zero_grad()
        loss = run.trainer.training_step(run.trainer.model, inputs, torch.tensor(len(prompts)))
    gradients = [p.grad.norm() for p in run.trainer.model.parameters() if p.grad is not None]
    return float(loss), float(torch.stack(gradients).norm())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", help="folder or hub id; the embedded default if not given")
    parser.add_argument("--candidates", type=int, default=6)
    parser.add_argument("--prompt-tokens", type=int, default=150)
    parser.add_argument("--name-only", action="store_true", help="responses are names instead of whole calls")
    parser.add_argument("--steps", type=int, default=3, help="measured steps of each")
    parser.add_argument("--batch", type=int, default=1, help="prompts a step")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    import torch

    from diffagent_tools.llm.base import load_base

    torch.set_num_threads(options.threads)
    prompts = make_prompts(load_base(options.base).tokenizer, options)
    batches = [prompts[at : at + options.batch] for at in range(0, len(prompts), options.batch)]
    runs = [make_run(name, prompts, options) for name in ("naive", "shared")]
    (naive_loss, naive_norm), (loss, norm) = (step(run, batches[0], count=False) for run in runs)
    for batch in batches[1:]:
        for run in runs:
            step(run, batch)
    naive, shared = runs
    tokens = sum(len(r) for prompt in prompts for r in prompt.responses) / len(prompts) / options.candidates
    print(
        f"{options.candidates} candidates of {tokens:.0f} tokens to prompts of {options.prompt_tokens}, "
        f"{options.batch} prompts a step, {options.threads} threads, {options.steps} steps each"
    )
    print("| prompt | s a prompt | processor s a prompt |")
    print("|---|---|---|")
    for run in runs:
        name = "read once" if run is shared else "read for every candidate"
        print(f"| {name} | {1 / run.speed:.2f} | {1 / run.cpu_speed:.2f} |")
    difference = max(abs(loss / naive_loss - 1), abs(norm / naive_norm - 1))
    wall, cpu = shared.speed / naive.speed, shared.cpu_speed / naive.cpu_speed
    print(f"loss and gradient norm of the first step differ by {difference:.1e} of themselves")
    print(f"{wall:.2f} times as fast by the clock and {cpu:.2f} by the processor's; the target is {TARGET}")
    if difference > EQUAL:
        raise SystemExit("the losses are not equal")


if __name__ == "__main__":
    run_script(main)

"""Stage 1, supervised fine-tuning (paper section 3.2.1): a LLaMA learns to answer with the T2I API.

    python -m finetune.sft --config finetune/configs/sft_cpu.yaml --train_data pairs_train.jsonl.gz
    accelerate launch --config_file fsdp.yaml -m finetune.sft --config sft_llama2_7b_sd15.yaml

Every field of trl's SFTConfig and ModelConfig can stand in the YAML or on the command line, and those of
`SFTScriptConfig`. A run that was stopped (SIGTERM, Ctrl-C) or killed goes on from its last checkpoint when
the same command is given again with `--resume_from_checkpoint auto`, and gives the losses it would have
given.

Written into the output folder: `metrics.csv`, `checkpoint-*/`, and at the end `adapter/` with
`adapter_model.safetensors`, `adapter_config.json`, `card.json` and `card.md`, which
`diffagent select --adapter` reads.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from diffagent_tools.exits import Exit, run_script
from retrieval.errors import InvalidInput, StorageError, TrainingError

if TYPE_CHECKING:
    from trl.scripts.utils import TrlParser
    from trl.trainer.model_config import ModelConfig
    from trl.trainer.sft_config import SFTConfig

    from diffagent_tools.base import Base
    from finetune.callbacks import StopOnSignal
    from finetune.dialogues import Dialogues
    from retrieval.catalogue import Catalogue


@dataclass
class SFTScriptConfig:
    """What trl's own configurations do not know."""

    train_data: str = field(
        metadata={"help": "pairs, .jsonl or .jsonl.gz, as finetune/dabench.py writes them"}
    )
    eval_data: str | None = field(default=None, metadata={"help": "pairs for the loss every eval_steps"})
    catalogue: str | None = field(
        default=None, metadata={"help": "catalogue file; the starter catalogue if not given"}
    )
    max_prompt_tokens: int = field(
        default=64, metadata={"help": "tokens kept of prompt and negative prompt together"}
    )
    pair_rate: float = field(default=1.0, metadata={"help": "dialogues a pair, as it is"})
    stripped_rate: float = field(
        default=1.0, metadata={"help": "dialogues a pair, without the model's trigger and name words"}
    )
    no_negative_rate: float = field(
        default=0.0, metadata={"help": "dialogues a pair, without its negative prompt"}
    )
    choice_rate: float = field(
        default=0.0, metadata={"help": "dialogues a pair, with a list of models to choose from"}
    )
    description_rate: float = field(
        default=1.0, metadata={"help": "dialogues a model, from the catalogue's description or terms"}
    )
    full_share: float = field(
        default=0.0, metadata={"help": "share of responses that are the whole JSON; else the name alone"}
    )
    upper_layers: int = field(default=0, metadata={"help": "LoRA on so many uppermost layers; 0 for all"})
    adapter_dtype: str = field(default="float16", metadata={"help": "of the saved adapter: float16, float32"})
    threads: int = field(default=0, metadata={"help": "threads of matrix products; 0 for torch's choice"})
    matmul_precision: str = field(
        default="highest",
        metadata={
            "help": "'highest'; 'medium' lets the processor round the factors of fp32 products to bf16; "
            "'bfloat16' also keeps the frozen linear layers rounded, twice as fast where it has AVX512-BF16"
        },
    )


def make_parser() -> "TrlParser":
    """Parses YAML and command line into (SFTScriptConfig, SFTConfig, ModelConfig)."""
    from trl import ModelConfig, SFTConfig, TrlParser  # type: ignore[attr-defined]

    return TrlParser((SFTScriptConfig, SFTConfig, ModelConfig), prog="python -m finetune.sft")  # type: ignore[arg-type]


def main(
    config: SFTScriptConfig,
    args: "SFTConfig",
    model_config: "ModelConfig",
    *,
    tell: Callable[[str], None] = print,
) -> Path | None:
    """Trains, or goes on training, and saves the adapter.

    Returns:
        The folder of the adapter, or None where a signal stopped the run before its end.

    Raises:
        DataError: the pairs cannot be trained on; the message names file and line.
        BaseModelError: the base model cannot be had, or has no tokenizer.
        TrainingError: the output folder holds a run with other settings, or one that is not to be resumed.
    """
    from datasets import disable_progress_bars

    from finetune.callbacks import CsvLog, Progress, StopOnSignal
    from finetune.card import write_card
    from finetune.sft_trainer import CURVE, DiffAgentSFTTrainer, to_dataset

    disable_progress_bars()
    set_precision(config.matmul_precision, config.threads)
    output = Path(str(args.output_dir))
    first = args.process_index == 0
    speak = tell if first else silent
    catalogue, base, train, held_out = prepare(config, args, model_config, speak)
    facts = run_facts(config, args, model_config, base, catalogue, train)
    resume = resume_point(output, args.resume_from_checkpoint, facts, write=first)
    if resume is not None:
        speak(f"going on from {resume.name}")
    args.dataset_kwargs = {"skip_prepare_dataset": True}
    args.prediction_loss_only = True
    stop = StopOnSignal()
    trainer = DiffAgentSFTTrainer(
        model=base.model,
        args=args,
        train_dataset=to_dataset(train.rows),
        eval_dataset=to_dataset(held_out.rows) if held_out else None,
        processing_class=base.tokenizer,
        peft_config=lora_config(model_config, config.upper_layers, base),
        callbacks=[
            CsvLog(output / "metrics.csv", CURVE),
            Progress(speak, ("mean_token_accuracy", "response tokens right")),
            stop,
        ],
    )
    trained = run_training(
        trainer, stop, resume, base, rounded=config.matmul_precision == "bfloat16", tell=speak
    )
    if trained is None:
        return None
    folder = output / "adapter"
    save_model(trainer, folder, base, config.adapter_dtype)
    if first:
        write_card(folder, facts, metrics=output / "metrics.csv", weights=trained.weights)
    speak(f"saved {folder} after {trained.seconds / 60:,.1f} min of this start")
    return folder


def set_precision(matmul_precision: str, threads: int) -> None:
    """Of all matrix products of this process; 0 threads leaves torch's choice.

    Raises:
        TrainingError: there is no such precision.
    """
    import torch

    if matmul_precision not in PRECISIONS:
        raise TrainingError(
            f"matmul_precision is {matmul_precision!r}, needed is one of {', '.join(PRECISIONS)}"
        )
    if threads:
        torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest" if matmul_precision == "highest" else "medium")


@dataclass(frozen=True)
class Trained:
    """How many weights a finished run trained, and how long this start of it took."""

    weights: int
    seconds: float


def run_training(
    trainer: Any,
    stop: "StopOnSignal",
    resume: Path | None,
    base: "Base",
    *,
    rounded: bool,
    tell: Callable[[str], None],
) -> Trained | None:
    """Trains to the end, or to a signal, after which None is returned.

    Args:
        rounded: keep the frozen linear layers rounded to bf16 (diffagent_tools/rounding.py).

    Raises:
        StorageError: a checkpoint or the log cannot be written.
    """
    from safetensors import SafetensorError

    from diffagent_tools.rounding import round_frozen_linears

    only_own_log(trainer)
    if rounded:
        round_frozen_linears(trainer.model)
    weights = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    tell(f"training {weights:,} weights of {base.name}")
    started = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    except (OSError, SafetensorError) as error:
        # safetensors has no other error for a full disk
        raise StorageError(
            f"cannot write {trainer.args.output_dir} ({error}); the same command with "
            "--resume_from_checkpoint auto goes on from its last checkpoint"
        ) from error
    if stop.stopped and trainer.state.global_step < trainer.state.max_steps:
        tell(
            f"stopped after step {trainer.state.global_step:,} of {trainer.state.max_steps:,}; "
            "the same command with --resume_from_checkpoint auto goes on"
        )
        return None
    return Trained(weights, time.monotonic() - started)


def prepare(
    config: SFTScriptConfig, args: "SFTConfig", model_config: "ModelConfig", tell: Callable[[str], None]
) -> "tuple[Catalogue, Base, Dialogues, Dialogues | None]":
    """The catalogue, the base, and the dialogues to train on and to measure the loss on."""
    from diffagent_tools.base import load_base
    from finetune.dialogues import Mix, build_dialogues, read_pairs
    from retrieval.catalogue import Catalogue

    catalogue = Catalogue.load(Path(config.catalogue)) if config.catalogue else Catalogue.starter()
    pairs = read_pairs(Path(config.train_data))
    eval_pairs = read_pairs(Path(config.eval_data)) if config.eval_data else []
    base = load_base(model_config.model_name_or_path, dtype=model_config.dtype or "float32", progress=tell)
    if model_config.attn_implementation:
        base.model.set_attn_implementation(model_config.attn_implementation)
    context = int(base.model.config.max_position_embeddings)
    mix = Mix(
        pair=config.pair_rate,
        stripped=config.stripped_rate,
        no_negative=config.no_negative_rate,
        choice=config.choice_rate,
        description=config.description_rate,
        full_share=config.full_share,
    )
    limits = {
        "max_prompt_tokens": config.max_prompt_tokens,
        "max_length": min(args.max_length or context, context),
    }
    train = build_dialogues(pairs, catalogue, base.tokenizer, mix, seed=args.seed, **limits)
    tell(f"train: {train.report()}")
    if not eval_pairs:
        return catalogue, base, train, None
    as_served = Mix(pair=1, stripped=1, no_negative=0, choice=0, description=0, full_share=0)
    held_out = build_dialogues(eval_pairs, catalogue, base.tokenizer, as_served, seed=args.seed, **limits)
    tell(f"eval: {held_out.report()}")
    return catalogue, base, train, held_out


def lora_config(model_config: "ModelConfig", upper_layers: int, base: "Base") -> Any:
    """peft's configuration, or None for full fine-tuning (`use_peft: false`)."""
    from trl import get_peft_config  # type: ignore[attr-defined]

    lora: Any = get_peft_config(model_config)
    if lora is None:
        return None
    lora.base_model_name_or_path = base.name
    layers = int(base.model.config.num_hidden_layers)
    if not 0 <= upper_layers <= layers:
        raise TrainingError(f"upper_layers is {upper_layers}, and {base.name} has {layers} layers")
    if upper_layers:
        if not lora.target_modules or isinstance(lora.target_modules, str):
            raise TrainingError(
                "upper_layers needs lora_target_modules, the list of the linear layers' names"
            )
        # the layers below need no gradient, so autograd keeps nothing of them and goes back no further
        lora.layers_to_transform = list(range(layers - upper_layers, layers))
    return lora


def run_facts(
    config: SFTScriptConfig,
    args: "SFTConfig",
    model_config: "ModelConfig",
    base: "Base",
    catalogue: "Catalogue",
    train: "Dialogues",
) -> dict[str, Any]:
    """What makes a run what it is: the same facts give the same losses. No machine's paths."""
    given = asdict(config)
    for name in ("train_data", "eval_data", "catalogue"):
        given[name] = Path(given[name]).name if given[name] else None
    return {
        "stage": "sft",
        "base": base.name,
        "base_digest": base.digest,
        "base_source": base.source,
        "catalogue": catalogue.name,
        "catalogue_digest": catalogue.digest,
        "max_prompt_tokens": config.max_prompt_tokens,
        "dialogues": {
            "digest": train.digest,
            "count": len(train.rows),
            **{name: getattr(train, name) for name in ("kinds", "too_long", "unknown", "empty")},
        },
        "config": {
            **given,
            **{name: plain(getattr(args, name)) for name in TRAINING},
            **{name: plain(getattr(model_config, name)) for name in LORA},
        },
        "processes": args.world_size,
        "model_ids": list(train.model_ids),
    }


TRAINING = (
    *("seed", "data_seed", "num_train_epochs", "max_steps", "per_device_train_batch_size"),
    *(
        "gradient_accumulation_steps",
        "learning_rate",
        "lr_scheduler_type",
        "lr_scheduler_kwargs",
        "warmup_steps",
    ),
    *("weight_decay", "max_grad_norm", "optim", "adam_beta1", "adam_beta2", "bf16", "fp16", "max_length"),
)
LORA = (*("use_peft", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "use_rslora", "dtype"),)


def plain(value: Any) -> Any:
    return str(value.value) if hasattr(value, "value") else value


def resume_point(output: Path, asked: str | None, facts: dict[str, Any], *, write: bool) -> Path | None:
    """The checkpoint to go on from; keeps the facts of a new run beside its checkpoints."""
    from finetune.callbacks import last_checkpoint

    kept = output / "run.json"
    checkpoint = last_checkpoint(output) if asked in (None, "auto") else Path(asked)
    if checkpoint is not None and asked is None:
        raise TrainingError(
            f"{output} holds {checkpoint.name} of an earlier run; add --resume_from_checkpoint auto to go on "
            "with it, or name another --output_dir"
        )
    facts = json.loads(json.dumps(facts))
    if checkpoint is not None and kept.is_file():
        before = json.loads(kept.read_text(encoding="utf-8"))
        changed = [
            f"{name} was {before.get(name)!r} and is {facts[name]!r}"
            for name in facts
            if name not in ("config", "dialogues", "model_ids") and before.get(name) != facts[name]
        ]
        for group in ("config", "dialogues"):
            old = before.get(group, {})
            changed += [
                f"{name} was {old.get(name)!r} and is {value!r}"
                for name, value in facts[group].items()
                if old.get(name) != value and name not in _MAY_CHANGE
            ]
        if changed:
            raise TrainingError(
                f"{output} was begun with other settings: {'; '.join(changed[:5])}; give the old settings, "
                "or name another --output_dir"
            )
    elif write:
        try:
            output.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"cannot write {kept} ({error.strerror}); name an --output_dir that you may write"
            ) from error
    return checkpoint


PRECISIONS = ("highest", "medium", "bfloat16")
_MAY_CHANGE = ("threads", "eval_data", "adapter_dtype", "train_data", "catalogue")


def save_model(trainer: Any, folder: Path, base: "Base", dtype: str) -> None:
    """Saves LoRA weights as peft does, in `dtype` and without this machine's paths; or the whole model."""
    import tempfile

    import torch
    from peft import PeftModel
    from safetensors.torch import load_file, save_file

    if not isinstance(trainer.accelerator.unwrap_model(trainer.model), PeftModel):
        trainer.save_model(str(folder))
        return
    with tempfile.TemporaryDirectory() as scratch:
        trainer.save_model(scratch)  # by every process: FSDP collects the shards here
        if not trainer.is_world_process_zero():
            return
        folder.mkdir(parents=True, exist_ok=True)
        source = Path(scratch)
        tensors = load_file(source / "adapter_model.safetensors")
        kept = {name: tensor.to(getattr(torch, dtype)).contiguous() for name, tensor in tensors.items()}
        save_file(kept, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        lora = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
        lora["base_model_name_or_path"] = base.name
        if isinstance(lora["target_modules"], list):
            lora["target_modules"].sort()  # a set's order is not the same in every process
        (folder / "adapter_config.json").write_text(
            json.dumps(lora, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )


def only_own_log(trainer: Any) -> None:
    """`Progress` says it in one line; the Trainer's own bar and dictionaries would say it twice more."""
    from transformers import PrinterCallback, ProgressCallback

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)


def silent(line: str) -> None:
    """For every process but the first."""


def run_training_script(make_parser: "Callable[[], TrlParser]", main: Callable[..., Path | None]) -> NoReturn:
    """Parses YAML and command line, trains, and ends the process: 130 where a signal stopped the training."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

    def train() -> Exit:
        return Exit.STOPPED if main(*_parsed(make_parser())) is None else Exit.FOUND

    run_script(train, "stopped before the first step")


def _parsed(parser: "TrlParser") -> tuple[Any, ...]:
    """Raises InvalidInput where the YAML cannot be read, or says what no configuration knows."""
    from yaml import YAMLError

    try:
        return tuple(parser.parse_args_and_config())
    except (OSError, YAMLError, ValueError, TypeError) as error:
        raise InvalidInput(f"cannot take the settings of this run: {error}; --help lists them all") from error


if __name__ == "__main__":
    run_training_script(make_parser, main)

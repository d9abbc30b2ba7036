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

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.training.run import (
    LORA,
    TRAINING,
    lora_config,
    numbers_kept,
    resume_point,
    run_training,
    save_model,
    set_precision,
    settings,
    silent,
)

if TYPE_CHECKING:
    from trl.scripts.utils import TrlParser
    from trl.trainer.model_config import ModelConfig
    from trl.trainer.sft_config import SFTConfig

    from diffagent_tools.llm.base import Base
    from finetune.sft.dialogues import Dialogues
    from retrieval.catalogue import Catalogue


@dataclass
class SFTScriptConfig:
    """What trl's own configurations do not know."""

    train_data: str = field(
        metadata={"help": "pairs, .jsonl or .jsonl.gz, as finetune/dabench/build.py writes them"}
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


@numbers_kept()
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

    from finetune.sft.trainer import CURVE, DiffAgentSFTTrainer, to_dataset
    from finetune.training.callbacks import CsvLog, Progress, StopOnSignal
    from finetune.training.card import write_card

    disable_progress_bars()
    set_precision(config.matmul_precision, config.threads)
    output = Path(str(args.output_dir))
    first = args.process_index == 0
    speak = tell if first else silent
    catalogue, base, train, held_out = prepare(config, args, model_config, speak)
    facts = run_facts(config, args, model_config, base, catalogue, train)
    resume = resume_point(output, args.resume_from_checkpoint, facts, write=first)
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


def prepare(
    config: SFTScriptConfig, args: "SFTConfig", model_config: "ModelConfig", tell: Callable[[str], None]
) -> "tuple[Catalogue, Base, Dialogues, Dialogues | None]":
    """The catalogue, the base, and the dialogues to train on and to measure the loss on."""
    from diffagent_tools.llm.base import load_base
    from finetune.data.pairs import read_pairs
    from finetune.sft.dialogues import Mix, build_dialogues
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
            **settings(args, TRAINING),
            **settings(model_config, LORA),
        },
        "processes": args.world_size,
        "model_ids": list(train.model_ids),
    }

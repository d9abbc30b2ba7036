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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.training.run import lora_config, numbers_kept, set_precision, silent
from finetune.training.script import ScriptConfig, load_inputs, run_facts, train_and_save

if TYPE_CHECKING:
    from trl.scripts.utils import TrlParser
    from trl.trainer.model_config import ModelConfig
    from trl.trainer.sft_config import SFTConfig

    from diffagent_tools.llm.base import Base
    from finetune.sft.dialogues import Dialogues
    from retrieval.catalogue import Catalogue


@dataclass
class SFTScriptConfig(ScriptConfig):
    """What trl's own configurations do not know."""

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

    disable_progress_bars()
    set_precision(config.matmul_precision, config.threads)
    speak = tell if args.process_index == 0 else silent
    catalogue, base, train, held_out = prepare(config, args, model_config, speak)
    args.dataset_kwargs = {"skip_prepare_dataset": True}
    args.prediction_loss_only = True
    dialogues = {
        "digest": train.digest,
        "count": len(train.rows),
        **{name: getattr(train, name) for name in ("kinds", "too_long", "unknown", "empty")},
    }
    facts = run_facts(
        *("sft", config, args, model_config, base, catalogue),
        max_prompt_tokens=config.max_prompt_tokens,
        dialogues=dialogues,
        model_ids=list(train.model_ids),
    )

    def make_trainer(callbacks: list[Any]) -> DiffAgentSFTTrainer:
        return DiffAgentSFTTrainer(
            model=base.model,
            args=args,
            train_dataset=to_dataset(train.rows),
            eval_dataset=to_dataset(held_out.rows) if held_out else None,
            processing_class=base.tokenizer,
            peft_config=lora_config(model_config, config.upper_layers, base),
            callbacks=callbacks,
        )

    share = ("mean_token_accuracy", "response tokens right")
    return train_and_save(config, args, base, facts, make_trainer, curve=CURVE, share=share, tell=speak)


def prepare(
    config: SFTScriptConfig, args: "SFTConfig", model_config: "ModelConfig", tell: Callable[[str], None]
) -> "tuple[Catalogue, Base, Dialogues, Dialogues | None]":
    """The catalogue, the base, and the dialogues to train on and to measure the loss on."""
    from finetune.data.pairs import read_pairs
    from finetune.sft.dialogues import Mix, build_dialogues

    pairs = read_pairs(Path(config.train_data))
    eval_pairs = read_pairs(Path(config.eval_data)) if config.eval_data else []
    catalogue, base = load_inputs(config, model_config, tell)
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

"""Stage 2, alignment with human preferences by RRHF (paper section 3.2.2): losses and training script.

    python -m finetune.rrhf --config finetune/configs/rrhf_cpu.yaml --train_data scored.jsonl
    accelerate launch -m finetune.rrhf --config finetune/configs/rrhf_llama2_7b_sd15.yaml \\
        --train_data sd15/scored.jsonl --adapter runs/sft_llama2_7b_sd15/adapter
    ... --loss ce_only      # the control: as many steps on the best responses alone

Every field of `RRHFConfig` (transformers' TrainingArguments and the losses' own) and of trl's ModelConfig can
stand in the YAML or on the command line, and those of `RRHFScriptConfig`. A stopped or killed run goes on
from its last checkpoint with `--resume_from_checkpoint auto`, and gives the losses it would have given.

Written into the output folder: `metrics.csv`, `checkpoint-*/`, and at the end `adapter/` as
finetune/sft/run.py writes it. What the SFT adapter brought for retrieval is copied beside it;
`shortlist.safetensors` is not, since it weighs the scores of the language model as it was:
`python -m finetune.ranker.fusion --stage shortlist` fits it anew.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.llm.adapter import ADAPTER_FILE, STARTER_ADAPTER
from finetune.training.run import LORA, TRAINING, lora_config, numbers_kept, set_precision, silent
from finetune.training.script import ScriptConfig, load_inputs, run_facts, train_and_save
from retrieval.errors import AdapterError, StorageError
from retrieval.storage import sha256_of

if TYPE_CHECKING:
    from trl.scripts.utils import TrlParser
    from trl.trainer.model_config import ModelConfig

    from diffagent_tools.llm.base import Base
    from finetune.rrhf.data import Ranked
    from finetune.rrhf.trainer import RRHFConfig
    from retrieval.catalogue import Catalogue


@dataclass
class RRHFScriptConfig(ScriptConfig):
    """What transformers' and trl's configurations do not know."""

    adapter: str | None = field(
        default=None,
        metadata={
            "help": "folder of the SFT adapter whose weights are trained on, or 'starter' for the packaged "
            "one; a fresh LoRA if not given"
        },
    )
    max_prompt_tokens: int | None = field(
        default=None,
        metadata={"help": "tokens kept of prompt and negative prompt together; the adapter's own, else 64"},
    )
    max_length: int | None = field(
        default=None, metadata={"help": "tokens of a prompt with one response; the context's if not given"}
    )
    name_only: bool = field(
        default=False,
        metadata={"help": "responses end with the model's name, for a model that was taught names alone"},
    )


def make_parser() -> "TrlParser":
    """Parses YAML and command line into (RRHFScriptConfig, RRHFConfig, ModelConfig)."""
    from trl import ModelConfig, TrlParser  # type: ignore[attr-defined]

    from finetune.rrhf.trainer import RRHFConfig

    return TrlParser((RRHFScriptConfig, RRHFConfig, ModelConfig), prog="python -m finetune.rrhf")  # type: ignore[arg-type]


@numbers_kept()
def main(
    config: RRHFScriptConfig,
    args: "RRHFConfig",
    model_config: "ModelConfig",
    *,
    tell: Callable[[str], None] = print,
) -> Path | None:
    """Trains, or goes on training, and saves the adapter.

    Returns:
        The folder of the adapter, or None where a signal stopped the run before its end.

    Raises:
        DataError: the scored responses cannot be trained on; the message names file and line.
        AdapterError: the adapter cannot be read, or was trained on another base or catalogue.
        BaseModelError: the base model cannot be had, or has no tokenizer.
        TrainingError: the output folder holds a run with other settings, or one that is not to be resumed.
    """
    from finetune.rrhf.trainer import CURVE, RRHFTrainer

    set_precision(config.matmul_precision, config.threads)
    first = args.process_index == 0
    speak = tell if first else silent
    start = _adapter_folder(config)
    catalogue, base, train, held_out, card = prepare(config, model_config, start, speak)
    losses = ("loss", "ranking_weight", "ce_reduction", "share_prompt")
    facts = run_facts(
        *("rrhf", config, args, model_config, base, catalogue),
        names=(*losses, *(name for name in TRAINING if name != "max_length")),
        lora=() if start else LORA,
        max_prompt_tokens=prompt_tokens(config, card),
        started_from=sha256_of(start / ADAPTER_FILE) if start else None,
        rewards=list(train.rewards),
        dialogues={"digest": train.digest, "count": len(train.prompts), **train.counts},
        model_ids=sorted({*card.get("model_ids", ()), *train.model_ids}),
    )

    def make_trainer(callbacks: list[Any]) -> RRHFTrainer:
        return RRHFTrainer(
            model=load_policy(config, model_config, base, start, seed=args.seed),
            args=args,
            train_dataset=train.prompts,
            eval_dataset=held_out.prompts if held_out else None,
            processing_class=base.tokenizer,
            callbacks=callbacks,
        )

    share = ("pairs_in_order", "pairs in order")
    folder = train_and_save(config, args, base, facts, make_trainer, curve=CURVE, share=share, tell=speak)
    if folder is not None and start is not None and first:
        copy_retrieval(start, folder)
    return folder


def prompt_tokens(config: RRHFScriptConfig, card: Mapping[str, Any]) -> int:
    """Tokens kept of a prompt: as given, else as the adapter was trained with."""
    return config.max_prompt_tokens or int(card.get("max_prompt_tokens", 64))


def _adapter_folder(config: RRHFScriptConfig) -> Path | None:
    if config.adapter is None:
        return None
    return STARTER_ADAPTER if config.adapter == "starter" else Path(config.adapter)


def prepare(
    config: RRHFScriptConfig, model_config: "ModelConfig", start: Path | None, tell: Callable[[str], None]
) -> "tuple[Catalogue, Base, Ranked, Ranked | None, Mapping[str, Any]]":
    """The catalogue, the base, what to train on and to measure the losses on, and the adapter's card."""
    from diffagent_tools.llm.adapter import check_base, check_catalogue, read_card
    from finetune.rrhf.data import build_ranked, read_scored

    card: Mapping[str, Any] = {}
    if start is not None:
        card = read_card(start)
        if not card:
            raise AdapterError(
                f"{start} has no {ADAPTER_FILE}; needed is the folder that finetune/sft/run.py saved, or "
                "'starter'"
            )
    scored = read_scored(Path(config.train_data))
    eval_scored = read_scored(Path(config.eval_data)) if config.eval_data else []
    catalogue, base = load_inputs(config, model_config, tell)
    if start is not None:
        check_catalogue(card, catalogue, start)
        check_base(card, base.name, base.digest, start)
    context = int(base.model.config.max_position_embeddings)
    limits = {
        "max_prompt_tokens": prompt_tokens(config, card),
        "max_length": min(config.max_length or context, context),
    }
    train = build_ranked(scored, catalogue, base.tokenizer, name_only=config.name_only, **limits)
    tell(f"train: {train.report()}")
    if not eval_scored:
        return catalogue, base, train, None, card
    held_out = build_ranked(eval_scored, catalogue, base.tokenizer, name_only=config.name_only, **limits)
    tell(f"eval: {held_out.report()}")
    return catalogue, base, train, held_out, card


def load_policy(
    config: RRHFScriptConfig, model_config: "ModelConfig", base: "Base", start: Path | None, *, seed: int
) -> Any:
    """The base with the adapter to go on training, with a fresh LoRA, or as it is (`use_peft: false`)."""
    from peft import PeftModel, get_peft_model
    from transformers import set_seed

    if start is not None:
        return PeftModel.from_pretrained(base.model, str(start), is_trainable=True)
    lora = lora_config(model_config, config.upper_layers, base)
    set_seed(seed)  # a fresh LoRA is random, and the Trainer sets the seed only later
    return base.model if lora is None else get_peft_model(base.model, lora)


def copy_retrieval(start: Path, folder: Path) -> None:
    """Copies the files of an adapter that do not depend on its language model.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    from retrieval.search.dense import FOLDER
    from retrieval.search.ranker import LEXICAL_FILE, RETRIEVAL_FILE

    try:
        for name in (LEXICAL_FILE, RETRIEVAL_FILE):
            if (start / name).is_file():
                shutil.copyfile(start / name, folder / name)
        if (start / FOLDER).is_dir():
            shutil.copytree(start / FOLDER, folder / FOLDER, dirs_exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot copy the retrieval weights of {start} to {folder} ({error})") from error

"""Stage 2, alignment with human preferences by RRHF (paper section 3.2.2): losses and training script.

    python -m finetune.rrhf --config finetune/configs/rrhf_cpu.yaml --train_data scored.jsonl
    accelerate launch -m finetune.rrhf --config finetune/configs/rrhf_llama2_7b_sd15.yaml \\
        --train_data sd15/scored.jsonl --adapter runs/sft_llama2_7b_sd15/adapter
    ... --loss ce_only      # the control: as many steps on the best responses alone

Every field of `RRHFConfig` (transformers' TrainingArguments and the losses' own) and of trl's ModelConfig can
stand in the YAML or on the command line, and those of `RRHFScriptConfig`. A stopped or killed run goes on
from its last checkpoint with `--resume_from_checkpoint auto`, and gives the losses it would have given.

Written into the output folder: `metrics.csv`, `checkpoint-*/`, and at the end `adapter/` as
finetune/sft/run.py
writes it. What the SFT adapter brought for retrieval is copied beside it; `shortlist.safetensors` is not,
since it weighs the scores of the language model as it was: `python -m finetune.ranker.fusion --stage
shortlist` fits it anew.
"""

import shutil
from collections.abc import Callable, Mapping
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
from retrieval.errors import StorageError
from retrieval.storage import sha256_of

if TYPE_CHECKING:
    from trl.scripts.utils import TrlParser
    from trl.trainer.model_config import ModelConfig

    from diffagent_tools.llm.base import Base
    from finetune.rrhf.data import Ranked
    from finetune.rrhf.trainer import RRHFConfig
    from retrieval.catalogue import Catalogue


@dataclass
class RRHFScriptConfig:
    """What transformers' and trl's configurations do not know."""

    train_data: str = field(
        metadata={"help": "scored responses, .jsonl (finetune/rrhf/data.py shows a line)"}
    )
    eval_data: str | None = field(
        default=None, metadata={"help": "scored responses for the losses every eval_steps"}
    )
    adapter: str | None = field(
        default=None,
        metadata={
            "help": "folder of the SFT adapter whose weights are trained on, or 'starter' for the packaged "
            "one; a fresh LoRA if not given"
        },
    )
    catalogue: str | None = field(
        default=None, metadata={"help": "catalogue file; the starter catalogue if not given"}
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
    upper_layers: int = field(
        default=0, metadata={"help": "a fresh LoRA on so many uppermost layers; 0 for all"}
    )
    adapter_dtype: str = field(default="float16", metadata={"help": "of the saved adapter: float16, float32"})
    threads: int = field(default=0, metadata={"help": "threads of matrix products; 0 for torch's choice"})
    matmul_precision: str = field(
        default="highest", metadata={"help": "highest, medium or bfloat16, as in finetune/sft/run.py"}
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

    from finetune.rrhf.card import markdown
    from finetune.rrhf.trainer import CURVE, RRHFTrainer
    from finetune.training.callbacks import CsvLog, Progress, StopOnSignal
    from finetune.training.card import write_card

    set_precision(config.matmul_precision, config.threads)
    output = Path(str(args.output_dir))
    first = args.process_index == 0
    speak = tell if first else silent
    start = _adapter_folder(config)
    catalogue, base, train, held_out, card = prepare(config, model_config, start, speak)
    facts = run_facts(config, args, model_config, base, catalogue, train, start, card)
    resume = resume_point(output, args.resume_from_checkpoint, facts, write=first)
    stop = StopOnSignal()
    trainer = RRHFTrainer(
        model=load_policy(config, model_config, base, start, seed=args.seed),
        args=args,
        train_dataset=train.prompts,
        eval_dataset=held_out.prompts if held_out else None,
        processing_class=base.tokenizer,
        callbacks=[
            CsvLog(output / "metrics.csv", CURVE),
            Progress(speak, ("pairs_in_order", "pairs in order")),
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
        write_card(folder, facts, metrics=output / "metrics.csv", weights=trained.weights, markdown=markdown)
        if start is not None:
            copy_retrieval(start, folder)
    speak(f"saved {folder} after {trained.seconds / 60:,.1f} min of this start")
    return folder


def _adapter_folder(config: RRHFScriptConfig) -> Path | None:
    from diffagent_tools.llm.adapter import STARTER_ADAPTER

    if config.adapter is None:
        return None
    return STARTER_ADAPTER if config.adapter == "starter" else Path(config.adapter)


def prepare(
    config: RRHFScriptConfig, model_config: "ModelConfig", start: Path | None, tell: Callable[[str], None]
) -> "tuple[Catalogue, Base, Ranked, Ranked | None, Mapping[str, Any]]":
    """The catalogue, the base, what to train on and to measure the losses on, and the adapter's card."""
    from diffagent_tools.llm.adapter import ADAPTER_FILE, check_base, check_catalogue, read_card
    from diffagent_tools.llm.base import load_base
    from finetune.rrhf.data import build_ranked, read_scored
    from retrieval.catalogue import Catalogue
    from retrieval.errors import AdapterError

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
    catalogue = Catalogue.load(Path(config.catalogue)) if config.catalogue else Catalogue.starter()
    base = load_base(model_config.model_name_or_path, dtype=model_config.dtype or "float32", progress=tell)
    if start is not None:
        check_catalogue(card, catalogue, start)
        check_base(card, base.name, base.digest, start)
    if model_config.attn_implementation:
        base.model.set_attn_implementation(model_config.attn_implementation)
    context = int(base.model.config.max_position_embeddings)
    limits = {
        "max_prompt_tokens": config.max_prompt_tokens or int(card.get("max_prompt_tokens", 64)),
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


def run_facts(
    config: RRHFScriptConfig,
    args: "RRHFConfig",
    model_config: "ModelConfig",
    base: "Base",
    catalogue: "Catalogue",
    train: "Ranked",
    start: Path | None,
    card: Mapping[str, Any],
) -> dict[str, Any]:
    """What makes a run what it is, as in finetune/sft/run.py: the same facts give the same losses."""
    from diffagent_tools.llm.adapter import ADAPTER_FILE

    given = asdict(config)
    for name in ("train_data", "eval_data", "catalogue", "adapter"):
        given[name] = Path(given[name]).name if given[name] else None
    losses = ("loss", "ranking_weight", "ce_reduction", "share_prompt")
    training = [name for name in TRAINING if name != "max_length"]
    return {
        "stage": "rrhf",
        "base": base.name,
        "base_digest": base.digest,
        "base_source": base.source,
        "catalogue": catalogue.name,
        "catalogue_digest": catalogue.digest,
        "max_prompt_tokens": config.max_prompt_tokens or int(card.get("max_prompt_tokens", 64)),
        "started_from": sha256_of(start / ADAPTER_FILE) if start else None,
        "rewards": list(train.rewards),
        "dialogues": {"digest": train.digest, "count": len(train.prompts), **train.counts},
        "config": {
            **given,
            **settings(args, (*losses, *training)),
            **settings(model_config, () if start else LORA),
        },
        "processes": args.world_size,
        "model_ids": sorted({*card.get("model_ids", ()), *train.model_ids}),
    }


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

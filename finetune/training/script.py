"""The script of both stages: its settings, what it loads, what makes a run what it is, and the run itself.

    set_precision(config.matmul_precision, config.threads)
    catalogue, base = load_inputs(config, model_config, tell)
    facts = run_facts("sft", config, args, model_config, base, catalogue, max_prompt_tokens=64)
    train_and_save(config, args, base, facts, make_trainer, curve=CURVE, share=(...), tell=tell)

finetune/sft/run.py and finetune/rrhf/run.py are the two stages.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.training.run import (
    LORA,
    TRAINING,
    resume_point,
    run_training,
    save_model,
    settings,
)

if TYPE_CHECKING:
    from trl.trainer.model_config import ModelConfig

    from diffagent_tools.llm.base import Base
    from retrieval.catalogue import Catalogue

PATHS = ("train_data", "eval_data", "catalogue", "adapter")


@dataclass
class ScriptConfig:
    """What transformers' and trl's configurations do not know, and both stages do."""

    train_data: str = field(
        metadata={"help": "stage 1: pairs, .jsonl or .jsonl.gz; stage 2: scored responses, .jsonl"}
    )
    eval_data: str | None = field(
        default=None, metadata={"help": "as train_data, for the losses every eval_steps"}
    )
    catalogue: str | None = field(
        default=None, metadata={"help": "catalogue file; the starter catalogue if not given"}
    )
    upper_layers: int = field(
        default=0, metadata={"help": "a fresh LoRA on so many uppermost layers; 0 for all"}
    )
    adapter_dtype: str = field(default="float16", metadata={"help": "of the saved adapter: float16, float32"})
    threads: int = field(default=0, metadata={"help": "threads of matrix products; 0 for torch's choice"})
    matmul_precision: str = field(
        default="highest",
        metadata={
            "help": "'highest'; 'medium' lets the processor round the factors of fp32 products to bf16; "
            "'bfloat16' also keeps the frozen linear layers rounded, twice as fast where it has AVX512-BF16"
        },
    )


def load_inputs(
    config: ScriptConfig, model_config: "ModelConfig", tell: Callable[[str], None]
) -> "tuple[Catalogue, Base]":
    """The catalogue and the base model.

    Raises:
        CatalogueError: the catalogue cannot be read.
        BaseModelError: the base model cannot be had, or has no tokenizer.
    """
    from diffagent_tools.llm.base import load_base
    from retrieval.catalogue import Catalogue

    catalogue = Catalogue.load(Path(config.catalogue)) if config.catalogue else Catalogue.starter()
    base = load_base(model_config.model_name_or_path, dtype=model_config.dtype or "float32", progress=tell)
    if model_config.attn_implementation:
        base.model.set_attn_implementation(model_config.attn_implementation)
    return catalogue, base


def run_facts(
    stage: str,
    config: ScriptConfig,
    args: Any,
    model_config: "ModelConfig",
    base: "Base",
    catalogue: "Catalogue",
    *,
    names: Sequence[str] = TRAINING,
    lora: Sequence[str] = LORA,
    **own: Any,
) -> dict[str, Any]:
    """What makes a run what it is: the same facts give the same losses. No machine's paths.

    Args:
        names: of the training's settings that are facts; `lora`, of the LoRA's.
        own: the stage's own facts.
    """
    given = asdict(config)
    for name in PATHS:
        if given.get(name):
            given[name] = Path(given[name]).name
    return {
        "stage": stage,
        "base": base.name,
        "base_digest": base.digest,
        "base_source": base.source,
        "catalogue": catalogue.name,
        "catalogue_digest": catalogue.digest,
        "config": {**given, **settings(args, names), **settings(model_config, lora)},
        "processes": args.world_size,
        **own,
    }


def train_and_save(
    config: ScriptConfig,
    args: Any,
    base: "Base",
    facts: dict[str, Any],
    make_trainer: Callable[[list[Any]], Any],
    *,
    curve: Sequence[str],
    share: tuple[str, str],
    tell: Callable[[str], None],
) -> Path | None:
    """Trains, or goes on training, and saves the adapter with its card.

    Args:
        make_trainer: of the callbacks; called once it is clear that the run may begin.
        curve: the columns of `metrics.csv`.
        share: the measure that is told with the loss, and what it is called.

    Returns:
        The folder of the adapter, or None where a signal stopped the run before its end.

    Raises:
        TrainingError: the output folder holds a run with other settings, or one that is not to be resumed.
    """
    from finetune.training.callbacks import CsvLog, Progress, StopOnSignal
    from finetune.training.card import write_card

    output = Path(str(args.output_dir))
    first = args.process_index == 0
    resume = resume_point(output, args.resume_from_checkpoint, facts, write=first)
    stop = StopOnSignal()
    metrics = output / "metrics.csv"
    trainer = make_trainer([CsvLog(metrics, curve), Progress(tell, share), stop])
    rounded = config.matmul_precision == "bfloat16"
    trained = run_training(trainer, stop, resume, base, rounded=rounded, tell=tell)
    if trained is None:
        return None
    folder = output / "adapter"
    save_model(trainer, folder, base, config.adapter_dtype)
    if first:
        write_card(folder, facts, metrics=metrics, weights=trained.weights)
    tell(f"saved {folder} after {trained.seconds / 60:,.1f} min of this start")
    return folder

"""What the training scripts share: precision, the run itself, resuming, and saving the adapter.

    @numbers_kept()    # a training changes no later number of its process
    trained = run_training(trainer, stop, resume, base, rounded=True, tell=print)   # None after a signal
    save_model(trainer, folder, base, "float16")

For finetune/sft/run.py and finetune/rrhf/run.py; finetune/ranker/encoder.py shares `train_to_end`,
finetune/ranker/fusion.py `numbers_kept`.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from diffagent_tools.exits import Exit, run_script
from retrieval.errors import InvalidInput, StorageError, TrainingError

if TYPE_CHECKING:
    from trl.scripts.utils import TrlParser
    from trl.trainer.model_config import ModelConfig

    from diffagent_tools.llm.base import Base
    from finetune.training.callbacks import StopOnSignal

PRECISIONS = ("highest", "medium", "bfloat16")
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


@contextmanager
def numbers_kept() -> Iterator[None]:
    """Around a training: what comes after it in this process computes and draws as if it had not been.

    The precision of matrix products, their threads, deterministic kernels and the random states (of the CPU
    and of GPUs that are in use) belong to the whole process, and trainings change them. Also a decorator.
    """
    import torch

    ready = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if ready else ()
    put_back = list(_settings())
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for restore in put_back:
            restore()


def _settings() -> Iterator[Callable[[], None]]:
    """What brings each setting back to what it is now, in the order in which it must be called."""
    import numpy as np
    import torch

    # torch has an old precision for all backends and, from 2.9 on, one for each; it refuses to tell the old
    # one to who has set the new ones
    with suppress(RuntimeError):
        yield partial(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
    on_cpu = getattr(torch.backends.mkldnn, "matmul", None)
    backends: tuple[Any, ...] = (torch.backends, torch.backends.cuda.matmul, on_cpu)
    for backend in backends:
        if hasattr(backend, "fp32_precision"):
            yield partial(setattr, backend, "fp32_precision", backend.fp32_precision)
    yield partial(
        torch.use_deterministic_algorithms,
        torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    for name in ("deterministic", "benchmark"):
        yield partial(setattr, torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
    yield partial(torch.set_num_threads, torch.get_num_threads())
    yield partial(random.setstate, random.getstate())
    yield partial(np.random.set_state, np.random.get_state())


def set_precision(matmul_precision: str, threads: int) -> None:
    """Of all matrix products of this process, inside `numbers_kept`; 0 threads leaves torch's choice.

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
        rounded: keep the frozen linear layers rounded to bf16 (diffagent_tools/llm/bf16.py).

    Raises:
        StorageError: a checkpoint or the log cannot be written.
    """
    from diffagent_tools.llm.bf16 import round_frozen_linears

    only_own_log(trainer)
    if rounded:
        round_frozen_linears(trainer.model)
    weights = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    tell(f"training {weights:,} weights of {base.name}")
    started = time.monotonic()
    again = "the same command with --resume_from_checkpoint auto"
    if not train_to_end(trainer, stop, resume, again=again, tell=tell):
        return None
    return Trained(weights, time.monotonic() - started)


def train_to_end(
    trainer: Any, stop: "StopOnSignal", resume: Path | None, *, again: str, tell: Callable[[str], None]
) -> bool:
    """Trains from the checkpoint, or from the start; False where a signal stopped it before its end.

    Args:
        again: what goes on after a stop or a full disk, for the messages.

    Raises:
        StorageError: a checkpoint or the log cannot be written.
    """
    from safetensors import SafetensorError

    if resume is not None:
        tell(f"going on from {resume.name}")
    try:
        trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    except (OSError, SafetensorError) as error:
        # safetensors has no other error for a full disk
        raise StorageError(
            f"cannot write {trainer.args.output_dir} ({error}); {again} goes on from its last checkpoint"
        ) from error
    state = trainer.state
    if stop.stopped and state.global_step < state.max_steps:
        tell(f"stopped after step {state.global_step:,} of {state.max_steps:,}; {again} goes on")
        return False
    return True


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


def settings(source: Any, names: Iterable[str]) -> dict[str, Any]:
    """Attributes by their names; of an enumeration, the value."""
    given = {name: getattr(source, name) for name in names}
    return {name: str(value.value) if hasattr(value, "value") else value for name, value in given.items()}


def resume_point(output: Path, asked: str | None, facts: dict[str, Any], *, write: bool) -> Path | None:
    """The checkpoint to go on from; keeps the facts of a new run beside its checkpoints."""
    from finetune.training.callbacks import last_checkpoint

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

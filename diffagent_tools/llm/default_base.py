"""The embedded default base model, made ready once: a GGUF saved as safetensors below `DIFFAGENT_HOME`.

folder = make_default(print)  # 20 seconds the first time; `load_base` loads it ever after
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from diffagent_tools.llm.wheel import GGUF_SHA256, disk_full, find_gguf
from retrieval.errors import StorageError
from retrieval.quiet import quiet
from retrieval.storage import Progress, cache_dir, home

DEFAULT_NAME = "SmolLM2-135M-Instruct"
_NEEDED_BYTES = 850_000_000
_CONFIG_KEYS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rope_parameters",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)


def default_folder() -> Path:
    """Where the embedded default lies once it is ready; the folder's name is the model's, as for any base."""
    return home() / "base" / f"gguf-{GGUF_SHA256[:8]}" / DEFAULT_NAME


def make_default(tell: Progress, *, convert: Callable[[Path, Path], None] | None = None) -> Path:
    """Makes the default's folder, once, also when two processes want it at the same time.

    Raises:
        NotAvailable: the wheel can be had nowhere.
        ChecksumError, StorageError: as `load_base`.
    """
    from filelock import FileLock, Timeout

    folder = default_folder()
    parent = cache_dir("base", folder.parent.name)
    lock = FileLock(parent / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("another process is making the base model ready; waiting for it")
        lock.acquire()
    try:
        if folder.is_dir():
            return folder
        for left in parent.glob(".making-*"):  # of a process that was killed: nobody else holds the lock
            shutil.rmtree(left, ignore_errors=True)
        if shutil.disk_usage(parent).free < _NEEDED_BYTES:
            raise disk_full(parent)
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix=".making-"))
        try:
            gguf = find_gguf(home() / "base", scratch, progress=tell)
            tell("reading the model once and saving it for fast loading (about 20 seconds)")
            ready = scratch / "ready"
            (convert or convert_gguf)(gguf, ready)
            for path in (ready, *ready.iterdir()):  # a cache may be shared; temporary files are private
                path.chmod(0o755 if path.is_dir() else 0o644)
            os.rename(ready, folder)
        except OSError as error:
            raise storage_error(parent, error) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    finally:
        lock.release()
    return folder


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Writes a LLaMA's GGUF as config.json, fp32 model.safetensors and tokenizer.json.

    transformers reads the GGUF. A model loaded so counts as quantised and cannot be saved, hence the clean
    config; and the tokenizer comes without SmolLM2's rule that every digit is a token of its own, hence the
    pre-tokenizer.

    Raises:
        StorageError: the disk is full.
    """
    import torch
    from safetensors import SafetensorError
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    with quiet(logging):
        loaded = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        kept = loaded.config.to_dict()
        # GGUF keeps the epsilon in fp32: 9.999999747378752e-06 is 1e-05
        epsilon = float(f"{kept['rms_norm_eps']:.6g}")
        clean = LlamaConfig(**{key: kept[key] for key in _CONFIG_KEYS}, rms_norm_eps=epsilon)
        with torch.device("meta"):
            model = LlamaForCausalLM(clean)
        model.load_state_dict(loaded.state_dict(), assign=True)
        model.tie_weights()
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        try:
            model.save_pretrained(folder, max_shard_size="100GB")
            tokenizer.save_pretrained(folder)
        except SafetensorError as error:
            raise StorageError(
                f"cannot write the base model to {folder} ({error}); is the disk full?"
            ) from error


def storage_error(folder: Path, error: OSError) -> StorageError:
    """The error for a folder that cannot be written."""
    if error.errno == errno.ENOSPC:
        return disk_full(folder)
    return StorageError(
        f"cannot write below {folder} ({error.strerror or error}); name a folder that you may write in "
        "DIFFAGENT_HOME"
    )

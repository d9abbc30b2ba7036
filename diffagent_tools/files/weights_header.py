"""What a safetensors file of weights is, read from its header alone: architecture, prediction, width.

    architecture_of(Path("dreamshaper_8.safetensors"))   # sd1

The names of the weights tell; a name or a folder says nothing.
"""

from pathlib import Path
from typing import Any

from retrieval.errors import BrokenModelFile


def architecture_of(path: Path) -> str:
    """`sd1` or `sdxl`, by the names of the weights in a single file.

    Raises:
        BrokenModelFile: it is no checkpoint, or of another architecture.
    """
    keys, _ = header(path)
    if "conditioner.embedders.1.model.positional_embedding" in keys:
        return "sdxl"
    if "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight" in keys:
        return "sd1"
    if "cond_stage_model.model.positional_embedding" in keys:
        raise BrokenModelFile(
            f"{path.name} is of Stable Diffusion 2, which is rendered from a folder in diffusers' layout only"
        )
    parts = sorted({key.split(".")[0] for key in keys})[:4]
    raise BrokenModelFile(
        f"{path.name} is no checkpoint of SD 1.x or SDXL with its text encoder (its weights begin with "
        f"{', '.join(parts) or 'nothing'}); name one that is, or a folder in diffusers' layout"
    )


def header(path: Path) -> tuple[set[str], dict[str, str]]:
    """Names of the weights and the metadata of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        # read as numpy's: nothing is loaded, and torch need not be
        with safe_open(path, "numpy") as file:
            return set(file.keys()), file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise BrokenModelFile(
            f"{path} cannot be read as safetensors ({error}); it may not have come whole: delete it and "
            "fetch it again"
        ) from error


def with_prediction(path: Path, noise: dict[str, Any]) -> dict[str, Any]:
    """A scheduler's config with what the file says: it predicts velocity, it begins in pure noise."""
    keys, metadata = header(path)
    if "v_pred" in keys or metadata.get("modelspec.prediction_type") == "v":
        noise["prediction_type"] = "v_prediction"
    if "ztsnr" in keys:
        noise["rescale_betas_zero_snr"] = True
    return noise


def cross_width(path: Path) -> int | None:
    """How wide the prompt's embeddings are that a LoRA was made for; None if it does not say."""
    from safetensors import safe_open

    keys, _ = header(path)
    with safe_open(path, "pt") as file:
        for key in keys:
            if "attn2" in key and "to_k" in key and key.endswith(("lora_down.weight", "lora_A.weight")):
                return int(file.get_slice(key).get_shape()[-1])
    return None

"""The sizes of SD 1.x and SDXL, and CLIP's tokenizer: what a checkpoint of a single file does not hold.

    with pipeline_config("sdxl") as folder:
        StableDiffusionXLPipeline.from_single_file(file, config=folder, tokenizer=..., local_files_only=True)

diffusers would read them from a hub on every load. `CONFIGS` states them as diffusers writes them (only what
differs from its defaults), and tests/diffagent_tools/render/test_prompt_weights.py counts the parameters
they give. The merges of CLIP's tokenizer are OpenAI's (MIT licence, clip/LICENSE beside this file).
"""

import functools
import gzip
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENS = 77
END = "<|endoftext|>"
_NOISE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
_VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
}
# OpenAI's ViT-L/14; the ids of begin and end stay those of 2022, which make diffusers look for the last token
_CLIP_L = {
    "model_type": "clip_text_model",
    "vocab_size": 49408,
    "max_position_embeddings": TOKENS,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "projection_dim": 768,
}
# open_clip's ViT-bigG/14
_CLIP_G = _CLIP_L | {
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "projection_dim": 1280,
}
CONFIGS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "sd1": {
        "model_index": {
            "_class_name": "StableDiffusionPipeline",
            "feature_extractor": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", "PNDMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
        "unet": {
            "sample_size": 64,
            "block_out_channels": [320, 640, 1280, 1280],
            "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
            "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
            "layers_per_block": 2,
            "cross_attention_dim": 768,
            "attention_head_dim": 8,
        },
        "vae": {**_VAE, "sample_size": 512, "scaling_factor": 0.18215},
        "text_encoder": _CLIP_L,
        "scheduler": {"_class_name": "PNDMScheduler", **_NOISE},
    },
    "sdxl": {
        "model_index": {
            "_class_name": "StableDiffusionXLPipeline",
            "force_zeros_for_empty_prompt": True,
            "scheduler": ["diffusers", "EulerDiscreteScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
        "unet": {
            "sample_size": 128,
            "block_out_channels": [320, 640, 1280],
            "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 2],
            "up_block_types": [*["CrossAttnUpBlock2D"] * 2, "UpBlock2D"],
            "layers_per_block": 2,
            "transformer_layers_per_block": [1, 2, 10],
            "cross_attention_dim": 2048,
            "attention_head_dim": [5, 10, 20],
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        # the decoder overflows in half precision
        "vae": {**_VAE, "sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True},
        "text_encoder": _CLIP_L,
        "text_encoder_2": _CLIP_G,
        "scheduler": {"_class_name": "EulerDiscreteScheduler", **_NOISE},
    },
}
_FILES = {"model_index": "model_index.json", "scheduler": "scheduler/scheduler_config.json"}


@contextmanager
def pipeline_config(architecture: str) -> Iterator[Path]:
    """A folder with the configs of `sd1` or `sdxl` in diffusers' layout, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="diffagent-") as name:
        folder = Path(name)
        for part, config in CONFIGS[architecture].items():
            path = folder / _FILES.get(part, f"{part}/config.json")
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(config), encoding="utf-8")
        yield folder


def clip_tokenizer(pad_token: str = END) -> "PreTrainedTokenizerBase":
    """CLIP's tokenizer; the second one of SDXL pads with `!`, the first token, as open_clip does."""
    from transformers import CLIPTokenizer

    vocabulary, merges = _vocabulary()
    # annotated as strings, and read as pairs
    pairs: Any = list(merges)
    tokenizer: PreTrainedTokenizerBase = CLIPTokenizer(
        vocab=dict(vocabulary), merges=pairs, pad_token=pad_token, model_max_length=TOKENS
    )
    return tokenizer


@functools.cache
def _vocabulary() -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    """OpenAI's order: the bytes, the bytes that end a word, the merges, begin and end: 49,408 tokens."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    packed = Path(__file__).parent / "clip" / "merges.txt.gz"
    lines = gzip.decompress(packed.read_bytes()).decode().splitlines()
    merges = tuple((first, second) for first, _, second in (line.partition(" ") for line in lines))
    letters = list(bytes_to_unicode().values())  # type: ignore[no-untyped-call]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge) for merge in merges)]
    words += ["<|startoftext|>", END]
    return {word: number for number, word in enumerate(words)}, merges

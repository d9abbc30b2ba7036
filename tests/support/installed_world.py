"""A folder of models as programs lay it out: tiny safetensors with real header forms, sidecars, broken files.

    world = installed_world(tmp_path)        # 60 files of weights
    world.root

Weights are a few numbers; their names and shapes are those that trainers and checkpoints write.
"""

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

Shapes = Mapping[str, Sequence[int]]


def weights(path: Path, shapes: Shapes, metadata: Mapping[str, str] | None = None) -> Path:
    """A safetensors file with zeros of these shapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: np.zeros(shape, np.float16) for name, shape in shapes.items()}, path, dict(metadata or {})
    )
    return path


def kohya(width: int, blocks: Sequence[str] = ("down_blocks_1_attentions_0_transformer_blocks_0",)) -> Shapes:
    """A LoRA of a UNet as Kohya's scripts write it; `width` is that of the prompt's embeddings."""
    made: dict[str, Sequence[int]] = {}
    for block in blocks:
        made[f"lora_unet_{block}_attn2_to_k.lora_down.weight"] = (1, width)
        made[f"lora_unet_{block}_attn2_to_k.lora_up.weight"] = (2, 1)
        made[f"lora_unet_{block}_attn2_to_k.alpha"] = (1,)
    return made


def peft(name: str, width: int, prefix: str = "diffusion_model.") -> Shapes:
    """A LoRA as diffusers and others write it."""
    return {f"{prefix}{name}.lora_A.weight": (1, width), f"{prefix}{name}.lora_B.weight": (2, 1)}


UNET = "model.diffusion_model."
CHECKPOINTS: dict[str, tuple[Shapes, str]] = {
    "sd15": (
        {
            f"{UNET}input_blocks.0.0.weight": (2, 4, 1, 1),
            f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (2, 768),
            "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (1, 2),
        },
        "SD 1.5",
    ),
    "sd21": (
        {
            f"{UNET}input_blocks.0.0.weight": (2, 4, 1, 1),
            "cond_stage_model.model.positional_embedding": (1, 2),
        },
        "SD 2.1",
    ),
    "sdxl": (
        {
            f"{UNET}input_blocks.0.0.weight": (2, 4, 1, 1),
            "conditioner.embedders.1.model.positional_embedding": (1, 2),
        },
        "SDXL 1.0",
    ),
    "sdxl_unet": (
        {
            "input_blocks.0.0.weight": (2, 4, 1, 1),
            "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (2, 2048),
        },
        "SDXL 1.0",
    ),
    "flux_dev": (
        {
            "double_blocks.0.img_attn.qkv.weight": (3, 4),
            "guidance_in.in_layer.weight": (1, 2),
            "img_in.weight": (2, 64),
        },
        "Flux.1 D",
    ),
    "flux_schnell": ({"double_blocks.0.img_attn.qkv.weight": (3, 4), "img_in.weight": (2, 64)}, "Flux.1 S"),
    "chroma": (
        {
            "double_blocks.0.img_attn.qkv.weight": (3, 4),
            "distilled_guidance_layer.in_proj.weight": (1, 2),
            "img_in.weight": (2, 64),
        },
        "Chroma",
    ),
    "sd35_large": (
        {"joint_blocks.0.x_block.attn.qkv.weight": (3, 4), "x_embedder.proj.weight": (2432, 1)},
        "SD 3.5",
    ),
    "sd35_medium": (
        {"joint_blocks.0.x_block.attn2.qkv.weight": (3, 4), "x_embedder.proj.weight": (1536, 1)},
        "SD 3.5 Medium",
    ),
    "qwen_image": ({"transformer_blocks.0.img_mlp.net.0.proj.weight": (3, 4)}, "Qwen"),
    "z_image": (
        {"cap_embedder.1.weight": (3840, 1), "noise_refiner.0.attention.qkv.weight": (3, 4)},
        "ZImageTurbo",
    ),
    "lumina_2": ({"cap_embedder.1.weight": (2304, 1), "layers.0.attention.qkv.weight": (3, 4)}, "Lumina"),
    "hidream": ({"double_stream_blocks.0.block.adaLN_modulation.1.weight": (3, 4)}, "HiDream"),
    "auraflow": ({"double_layers.0.attn.w1q.weight": (3, 4)}, "AuraFlow"),
}
"""The names of checkpoints' weights, and their families."""
LORAS: dict[str, tuple[Shapes, str]] = {
    "kohya_sd15": (kohya(768), "SD 1.5"),
    "kohya_sd21": (kohya(1024), "SD 2.1"),
    "kohya_sdxl": (kohya(2048, ("input_blocks_4_1_transformer_blocks_0",)), "SDXL 1.0"),
    "loha_sd15": (
        {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.hada_w1_b": (1, 768)},
        "SD 1.5",
    ),
    "lokr_sdxl": (
        {"lora_unet_input_blocks_7_1_transformer_blocks_5_attn1_to_q.lokr_w1": (2, 2)},
        "SDXL 1.0",
    ),
    "text_sd15": (
        {"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (1, 768)},
        "SD 1.5",
    ),
    "peft_sd15": (
        peft("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", 768, "unet."),
        "SD 1.5",
    ),
    "flux_kohya": ({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (1, 3072)}, "Flux.1 D"),
    "flux_diffusers": (peft("single_transformer_blocks.0.attn.to_q", 3072, "transformer."), "Flux.1 D"),
    "flux_2": (peft("double_blocks.0.img_attn.qkv", 6144), "Flux.2 D"),
    "qwen": (peft("transformer_blocks.0.img_mlp.net.0.proj", 3072), "Qwen"),
    "sd35": (peft("transformer_blocks.0.attn.add_k_proj", 2432, "transformer."), "SD 3.5"),
    "z_image_lora": (peft("layers.0.attention.to_q", 3840), "ZImageTurbo"),
}
"""The same of LoRAs."""
OTHERS: dict[str, tuple[Shapes, str]] = {
    "vae": ({"decoder.conv_in.weight": (2, 4, 1, 1), "encoder.conv_in.weight": (2, 3, 1, 1)}, "VAE"),
    "openpose": ({"control_model.input_hint_block.0.weight": (2, 3, 1, 1)}, "ControlNet"),
    "face": ({"image_proj.proj.weight": (2, 2), "ip_adapter.1.to_k_ip.weight": (2, 2)}, "IP-Adapter"),
    "t5": ({"encoder.block.0.layer.0.SelfAttention.q.weight": (2, 2)}, "text encoder"),
    "badhands": ({"emb_params": (2, 768)}, "embedding"),
    "upscale": ({"conv_first.weight": (2, 3, 1, 1)}, "upscaler"),
    "wan": ({"blocks.0.cross_attn.k.weight": (2, 2), "patch_embedding.weight": (2, 2)}, "video model"),
    "refiner": (
        {"conditioner.embedders.0.model.transformer.resblocks.0.ln_1.weight": (2,)},
        "refiner",
    ),
    "inpainting": (
        {
            f"{UNET}input_blocks.0.0.weight": (2, 9, 1, 1),
            "cond_stage_model.transformer.text_model.final_layer_norm.weight": (2,),
        },
        "inpainting checkpoint",
    ),
}
"""Files of weights that no picture is asked of by name."""


def captions(frequency: Mapping[str, int], pictures: int, base: str = "sd_v1") -> dict[str, str]:
    """What Kohya's scripts write of the captions that a LoRA was trained on."""
    return {
        "ss_base_model_version": base,
        "ss_tag_frequency": json.dumps({"10_data": frequency}),
        "ss_dataset_dirs": json.dumps({"10_data": {"n_repeats": 10, "img_count": pictures}}),
    }


def version_of(model_id: int, version_id: int, **changes: Any) -> dict[str, Any]:
    """A model version as Civitai's API gives it, and as Civitai Helper keeps it."""
    return {
        "id": version_id,
        "modelId": model_id,
        "name": "v2",
        "baseModel": "SD 1.5",
        "trainedWords": ["inkwash style"],
        "nsfwLevel": 1,
        "files": [{"name": "ink.safetensors", "type": "Model", "hashes": {"SHA256": "AB" * 32}}],
        "images": [],
        "model": {"name": "Ink Wash", "type": "LORA", "nsfw": False, "poi": False},
        **changes,
    }


def beside(path: Path, ending: str, value: Any) -> None:
    """A sidecar of a file of weights."""
    path.with_name(f"{path.stem}{ending}").write_text(json.dumps(value), encoding="utf-8")


def preview(path: Path, infotext: str) -> None:
    """A PNG beside a file, with the infotext of the picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    said = chunk(b"tEXt", b"parameters\0" + infotext.encode("latin-1"))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + said + pixels + chunk(b"IEND", b""))


def broken_files(folder: Path) -> dict[str, str]:
    """Files that cannot be read, and a word of what is said of each."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = weights(folder / "whole.safetensors", kohya(768)).read_bytes()
    (folder / "whole.safetensors").unlink()
    made = {
        "cut.safetensors": (whole[:-3], "cannot be read"),
        "cut_header.safetensors": (whole[:40], "cannot be read"),
        "empty.safetensors": (b"", "cannot be read"),
        "page.safetensors": (b"<!DOCTYPE html><html>log in</html>", "cannot be read"),
        "long_header.safetensors": (struct.pack("<Q", 2**62) + b"{}", "cannot be read"),
        "no_json.safetensors": (struct.pack("<Q", 4) + b"{{{{", "cannot be read"),
        "old.ckpt": (b"\x80\x02}q\x00.", "pickled"),
        "old.pt": (b"PK\x03\x04", "pickled"),
        "quantised.gguf": (b"GGUF\x03\x00\x00\x00", "GGUF"),
    }
    for name, (content, _) in made.items():
        (folder / name).write_bytes(content)
    # 30 GB that take no room on the disk: the header is whole, and what it describes is missing
    header = json.dumps({"w": {"dtype": "F16", "shape": [2**33], "data_offsets": [0, 2**34]}}).encode()
    with (folder / "huge.safetensors").open("wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        out.truncate(2**34 + 8 + len(header))
    return {name: word for name, (_, word) in made.items()}


def installed_world(root: Path) -> Path:
    """A folder as ComfyUI has it, with everything above: 62 files of weights, and their sidecars.

    Of what is told of them: `ink` by Civitai Helper, `glow` by LoRA Manager, `tiles` by Stability Matrix,
    `brush` by SwarmUI, `retro` by a user of A1111 and a preview; `pixelcorgi` was trained on captions, and
    `unsafe` on others; `pony_mix` and `anime` say their family in words.
    """
    for name, (shapes, _) in CHECKPOINTS.items():
        weights(root / "checkpoints" / f"{name}.safetensors", shapes)
    for name, (shapes, _) in LORAS.items():
        weights(root / "loras" / "plain" / f"{name}.safetensors", shapes)
    for name, (shapes, _) in OTHERS.items():
        weights(root / "others" / f"{name}.safetensors", shapes)
    broken_files(root / "broken")
    loras = root / "loras"
    ink = weights(loras / "styles" / "ink.safetensors", kohya(768))
    beside(ink, ".civitai.info", version_of(501, 5011))
    glow = weights(loras / "glow.safetensors", kohya(2048, ("input_blocks_4_1_transformer_blocks_0",)))
    told = version_of(502, 5021, baseModel="Illustrious", trainedWords=["neon glow"])
    told["model"] |= {"name": "Neon Glow", "tags": ["style", "neon"]}
    beside(
        glow,
        ".metadata.json",
        {"model_name": "Neon Glow", "base_model": "Illustrious", "civitai": told, "sha256": "cd" * 32}
        | {"tags": ["style"], "usage_tips": '{"strength": 0.6}', "preview_nsfw_level": 1},
    )
    tiles = weights(loras / "tiles.safetensors", kohya(768))
    beside(
        tiles,
        ".cm-info.json",
        {"ModelId": 503, "ModelName": "Mosaic Tiles", "ModelType": "LORA", "Nsfw": False, "Tags": ["mosaic"]}
        | {"VersionId": 5031, "VersionName": "v1", "BaseModel": "SD 1.5", "TrainedWords": ["mosaic tiles"]}
        | {"ModelDescription": "<p>Mosaics of small tiles</p>", "Hashes": {"SHA256": "EF" * 32}},
    )
    brush = weights(loras / "brush.safetensors", kohya(768))
    beside(brush, ".swarm.json", {"modelspec.title": "Dry Brush", "modelspec.trigger_phrase": "drybrush"})
    retro = weights(loras / "retro.safetensors", kohya(768))
    beside(
        retro,
        ".json",
        {
            "activation text": "retro poster",
            "preferred weight": 0.55,
            "negative text": "photo",
            "sd version": "SD1",
        },
    )
    preview(
        loras / "retro.preview.png",
        "a rocket, retro poster <lora:retro:0.9>\nNegative prompt: blurry\nSteps: 24, Sampler: Euler a, "
        "CFG scale: 6, Size: 512x768, Clip skip: 2, Model: sd15",
    )
    frequency = {"pixelcorgi": 40, "dog": 38, "solo": 39, "grass": 8}
    weights(loras / "pixelcorgi.safetensors", kohya(768), captions(frequency, 40))
    weights(loras / "unsafe.safetensors", kohya(768), captions({"nude": 30, "studio": 12}, 30))
    weights(
        root / "checkpoints" / "pony_mix.safetensors",
        CHECKPOINTS["sdxl"][0],
        {
            "modelspec.architecture": "stable-diffusion-xl-v1-base",
            "modelspec.merged_from": "ponyDiffusionV6XL",
        },
    )
    weights(
        loras / "anime.safetensors",
        kohya(2048, ("input_blocks_4_1_transformer_blocks_0",)),
        captions({"asuka": 20, "1girl": 20}, 20, "sdxl_base_v1-0")
        | {"ss_sd_model_name": "illustriousXL.safetensors"},
    )
    weights(loras / "flux" / "no_shapes.safetensors", {"something.lora_down.weight": (1, 5)})
    old = loras / "copies" / "ink.safetensors"
    weights(old, kohya(768))
    pipeline = root / "diffusers" / "my-model"
    pipeline.mkdir(parents=True)
    (pipeline / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionXLPipeline"}))
    return root

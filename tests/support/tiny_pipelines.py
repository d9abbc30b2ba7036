"""Real Stable Diffusion and SDXL pipelines, small enough for a test, saved the ways that people have them.

    files = save_tiny_pipelines(tmp_path / "models")
    files.sd_file      # models/tiny-sd.safetensors, keys as on Civitai; its sizes in tiny-sd.config/
    files.sd_folder    # models/tiny-sd-folder, as diffusers saves one, with a safety checker
    files.sd_lora      # models/tiny-lora.safetensors, made with peft, kohya's keys
    files.sdxl_file, files.sdxl_folder, files.sdxl_lora

Weights are random with fixed seeds. A picture of 64 x 64 in 4 steps takes about 0.1 s. The writers of keys
are the inverse of what diffusers does when it reads a single file (loaders/single_file_utils.py).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
}
_VAE_SIDES = (8, 8, 8, 8)
# all of them, as trainers choose; diffusers tells the form of a file by `out_proj`
_CLIP_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]


@dataclass(frozen=True)
class TinyFiles:
    """Where each pipeline and each LoRA was saved."""

    sd_file: Path
    sd_folder: Path
    sd_lora: Path
    sdxl_file: Path
    sdxl_folder: Path
    sdxl_lora: Path


def save_tiny_pipelines(folder: Path, *, sd: bool = True, sdxl: bool = True) -> TinyFiles:
    """Writes what is asked for into a models folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = TinyFiles(
        sd_file=folder / "tiny-sd.safetensors",
        sd_folder=folder / "tiny-sd-folder",
        sd_lora=folder / "tiny-lora.safetensors",
        sdxl_file=folder / "tiny-sdxl.safetensors",
        sdxl_folder=folder / "tiny-sdxl-folder",
        sdxl_lora=folder / "tiny-lora-xl.safetensors",
    )
    if sd:
        save_single_file(tiny_sd(safety_checker=False), files.sd_file)
        tiny_sd(safety_checker=True).save_pretrained(files.sd_folder)
        save_lora(tiny_sd(safety_checker=False), files.sd_lora)
    if sdxl:
        save_single_file(tiny_sdxl(), files.sdxl_file)
        tiny_sdxl().save_pretrained(files.sdxl_folder)
        save_lora(tiny_sdxl(), files.sdxl_lora)
    return files


def tiny_tokenizer() -> Any:
    """A CLIP tokenizer that knows single bytes only, so that prompts are long: 512 begins, 513 ends."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=77)


def tiny_text_encoder(hidden: int, *, projection: bool = False) -> Any:
    """A CLIP text encoder of three layers."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        projection_dim=hidden,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        hidden_act="gelu" if projection else "quick_gelu",
        initializer_range=0.2,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def tiny_vae() -> Any:
    """An autoencoder of 8 x 8 pixels a latent, as the large ones."""
    from diffusers import AutoencoderKL

    blocks = len(_VAE_SIDES)
    return AutoencoderKL(
        block_out_channels=_VAE_SIDES,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=0.18215,
    ).eval()


def tiny_sd(*, safety_checker: bool = False, seed: int = 0) -> Any:
    """A `StableDiffusionPipeline`."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            layers_per_block=1,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=2,
            norm_num_groups=4,
        ).eval()
        vae, text_encoder = tiny_vae(), tiny_text_encoder(16)
        checker, extractor = _tiny_checker() if safety_checker else (None, None)
        return StableDiffusionPipeline(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tiny_tokenizer(),
            unet=unet,
            scheduler=DDIMScheduler(**SCHEDULER),
            safety_checker=checker,
            feature_extractor=extractor,
            requires_safety_checker=safety_checker,
        )


def tiny_sdxl(*, seed: int = 1) -> Any:
    """A `StableDiffusionXLPipeline` with both text encoders."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            layers_per_block=1,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2),
            cross_attention_dim=16 + 24,
            attention_head_dim=2,
            norm_num_groups=4,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 24,
        ).eval()
        return StableDiffusionXLPipeline(
            vae=tiny_vae(),
            text_encoder=tiny_text_encoder(16),
            text_encoder_2=tiny_text_encoder(24, projection=True),
            tokenizer=tiny_tokenizer(),
            tokenizer_2=tiny_tokenizer(),
            unet=unet,
            scheduler=DDIMScheduler(**SCHEDULER),
            add_watermarker=False,
        )


def _tiny_checker() -> tuple[Any, Any]:
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessorPil

    side = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={
            **side,
            "vocab_size": 514,
            "projection_dim": 8,
            "bos_token_id": 512,
            "eos_token_id": 513,
        },
        vision_config={**side, "image_size": 32, "patch_size": 16, "projection_dim": 8},
        projection_dim=8,
    )
    checker = StableDiffusionSafetyChecker(config)
    # no picture is as near to a concept as this
    checker.concept_embeds_weights.data.fill_(2.0)
    checker.special_care_embeds_weights.data.fill_(2.0)
    extractor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return checker.eval(), extractor


def save_lora(pipeline: Any, path: Path, *, kohya: bool = True, rank: int = 2, seed: int = 7) -> Path:
    """Makes a LoRA with peft on UNet and text encoders and writes it with kohya's or diffusers' keys."""
    import torch
    from diffusers.utils import convert_state_dict_to_kohya
    from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
    from safetensors.torch import save_file

    state: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in ("unet", "text_encoder", "text_encoder_2"):
            part = getattr(pipeline, name, None)
            if part is None:
                continue
            targets = ["to_q", "to_k", "to_v", "to_out.0"] if name == "unet" else _CLIP_TARGETS
            config = LoraConfig(r=rank, lora_alpha=rank, target_modules=targets)
            inject_adapter_in_model(config, part, adapter_name="made")
            weights = get_peft_model_state_dict(part, adapter_name="made")
            # CLIPTextModel lost its inner `text_model` in transformers 5; every file has it
            inner = "text_model." if name == "text_encoder" and not hasattr(part, "text_model") else ""
            for key, value in weights.items():
                # peft begins with B = 0, which changes nothing
                state[f"{name}.{inner}{key}"] = torch.randn_like(value) * 0.5
    if kohya:
        state = convert_state_dict_to_kohya(state)
        if not hasattr(pipeline, "text_encoder_2"):
            # trainers number the text encoders only where there are two
            state = {key.replace("lora_te1_", "lora_te_"): value for key, value in state.items()}
    save_file(state, path, metadata={"format": "pt"})
    return path


def save_single_file(pipeline: Any, path: Path) -> Path:
    """Writes the weights as one file with the keys of the original programs, and the configs beside it."""
    import torch
    from safetensors.torch import save_file

    config = path.with_suffix(".config")
    config.mkdir(parents=True, exist_ok=True)
    pipeline.save_config(config)
    for name, part in pipeline.components.items():
        if name.startswith(("unet", "vae", "text_encoder")):
            part.config.save_pretrained(config / name) if hasattr(
                part.config, "save_pretrained"
            ) else part.save_config(config / name)
        elif name.startswith(("tokenizer", "scheduler")):
            part.save_pretrained(config / name)
    state = {f"model.diffusion_model.{_unet_key(k, pipeline.unet)}": v for k, v in _weights(pipeline.unet)}
    for key, value in _weights(pipeline.vae):
        new = _vae_key(key)
        attention = re.search(r"mid\.attn_1\.(q|k|v|proj_out)\.weight$", new)
        state[f"first_stage_model.{new}"] = value[:, :, None, None] if attention else value
    second = getattr(pipeline, "text_encoder_2", None)
    first = "cond_stage_model.transformer." if second is None else "conditioner.embedders.0.transformer."
    for key, value in _weights(pipeline.text_encoder):
        state[f"{first}text_model.{key.removeprefix('text_model.')}"] = value
    state[f"{first}text_model.embeddings.position_ids"] = torch.arange(77)[None]
    if second is not None:
        state |= {f"conditioner.embedders.1.model.{k}": v for k, v in _open_clip(second)}
    save_file({key: value.contiguous().clone() for key, value in state.items()}, path)
    return path


def _weights(module: Any) -> Iterator[tuple[str, Any]]:
    yield from module.state_dict().items()


_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def _unet_key(key: str, unet: Any) -> str:
    """diffusers' key as the one of Stability's programs."""
    for ours, theirs in _UNET_ENDS.items():
        if key.startswith(f"{ours}."):
            return theirs + key.removeprefix(ours)
    layers = unet.config.layers_per_block
    found = re.fullmatch(
        r"(?P<side>down|up)_blocks\.(?P<b>\d+)\.(?P<kind>\w+)\.(?P<i>\d+)\.(?P<rest>.+)", key
    )
    if found:
        block, i, kind, rest = int(found["b"]), int(found["i"]), found["kind"], found["rest"]
        if kind == "resnets":
            rest = _renamed(rest, _RESNET)
        down = found["side"] == "down"
        place = (layers + 1) * block + i + 1 if down else (layers + 1) * block + i
        if kind == "downsamplers":
            return f"input_blocks.{(layers + 1) * (block + 1)}.0.{rest.replace('conv.', 'op.')}"
        if kind == "upsamplers":
            crossed = "CrossAttn" in unet.config.up_block_types[block]
            return f"output_blocks.{(layers + 1) * block + layers}.{2 if crossed else 1}.{rest}"
        return f"{'input' if down else 'output'}_blocks.{place}.{0 if kind == 'resnets' else 1}.{rest}"
    found = re.fullmatch(r"mid_block\.(?P<kind>resnets|attentions)\.(?P<i>\d+)\.(?P<rest>.+)", key)
    assert found, key
    if found["kind"] == "attentions":
        return f"middle_block.1.{found['rest']}"
    return f"middle_block.{2 * int(found['i'])}.{_renamed(found['rest'], _RESNET)}"


def _renamed(rest: str, names: dict[str, str]) -> str:
    head, _, tail = rest.rpartition(".")
    return f"{names.get(head, head)}.{tail}"


def _vae_key(key: str) -> str:
    last = len(_VAE_SIDES) - 1
    key = re.sub(r"encoder\.down_blocks\.(\d)\.resnets", r"encoder.down.\1.block", key)
    key = re.sub(r"encoder\.down_blocks\.(\d)\.downsamplers\.0", r"encoder.down.\1.downsample", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{last - int(m[1])}.block", key)
    key = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    if "mid_block.attentions.0" in key:
        key = key.replace("mid_block.attentions.0", "mid.attn_1")
        for ours, theirs in {
            "group_norm": "norm",
            "to_q": "q",
            "to_k": "k",
            "to_v": "v",
            "to_out.0": "proj_out",
        }.items():
            key = key.replace(f".{ours}.", f".{theirs}.")
    return key.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")


def _open_clip(encoder: Any) -> Iterator[tuple[str, Any]]:
    """The second text encoder of SDXL with open_clip's keys: q, k and v in one matrix."""
    import torch

    state = {key.removeprefix("text_model."): value for key, value in encoder.state_dict().items()}
    yield "text_projection", state.pop("text_projection.weight").T
    yield "positional_embedding", state.pop("embeddings.position_embedding.weight")
    yield "token_embedding.weight", state.pop("embeddings.token_embedding.weight")
    for key in [key for key in state if ".q_proj." in key]:
        head, _, kind = key.rpartition(".q_proj.")
        layer = head.split(".")[2]
        stacked = torch.cat([state.pop(f"{head}.{part}_proj.{kind}") for part in "qkv"])
        yield f"transformer.resblocks.{layer}.attn.in_proj_{kind}", stacked
    names = {
        "encoder.layers": "transformer.resblocks",
        "layer_norm": "ln_",
        "self_attn": "attn",
        "fc1": "c_fc",
        "fc2": "c_proj",
    }
    for key, value in state.items():
        new = key.replace("final_layer_norm", "ln_final")
        for ours, theirs in names.items():
            new = new.replace(ours, theirs)
        yield new, value

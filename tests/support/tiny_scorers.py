"""Checkpoints of the scorers as their authors publish them, random and small enough for a test.

files = save_tiny_clip(tmp_path / "clip")              # pytorch_model.bin, config.json, tokenizer.json
files = save_tiny_image_reward(tmp_path / "reward")    # ImageReward.pt with the authors' names, vocab.txt
save_tiny_hps(tmp_path / "hps", model)                 # HPS_v2.1_compressed.pt of an open_clip model

reference_image_reward(state, ids, mask, pixels)       # the authors' forward pass in plain torch
"""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from finetune.rewards.image_reward import MEAN, STD, Sizes

TINY = Sizes(
    image=32,
    patch=16,
    vision_width=32,
    vision_layers=2,
    vision_heads=2,
    text_width=32,
    text_layers=2,
    text_heads=2,
    vocabulary=40,
)
PROMPTS = ("a red fox", "a blue castle in fog", "pixel art of a corgi, red")
WORDS = ["a", "red", "blue", "fox", "castle", "in", "fog", "pixel", "art", "of", "corgi", ","]


def tiny_images(count: int = 3, *, seed: int = 0) -> list[Image.Image]:
    """Random pictures: upright, lying, square."""
    random = np.random.default_rng(seed)
    sizes = [(40, 64), (70, 33), (48, 48)]
    return [
        Image.fromarray(random.integers(0, 256, (sizes[i % 3][1], sizes[i % 3][0], 3), dtype=np.uint8))
        for i in range(count)
    ]


def save_tiny_clip(folder: Path) -> Path:
    """Writes a CLIP of transformers with the old form's `position_ids`; returns its weights."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel

    folder.mkdir(parents=True, exist_ok=True)
    tower: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    words = ["<|endoftext|>", "<|startoftext|>", "<|unknown|>", *WORDS]
    config = CLIPConfig(
        text_config={
            **tower,
            "vocab_size": len(words) + 8,
            "max_position_embeddings": 12,
            "bos_token_id": 1,
            "eos_token_id": 0,
            "pad_token_id": 0,
        },
        vision_config={**tower, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    torch.manual_seed(0)
    model = CLIPModel(config)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.2)
    state: dict[str, Tensor] = dict(model.state_dict())
    state["text_model.embeddings.position_ids"] = torch.arange(12)[None]
    torch.save(state, folder / "pytorch_model.bin")
    config.to_json_file(str(folder / "config.json"))
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unknown|>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[("<|startoftext|>", 1), ("<|endoftext|>", 0)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "pytorch_model.bin"


def save_tiny_image_reward(folder: Path, sizes: Sizes = TINY) -> Path:
    """Writes random weights under the authors' names, those that scoring leaves out included."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(image_reward_state(sizes), folder / "ImageReward.pt")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder / "ImageReward.pt"


def image_reward_state(sizes: Sizes) -> dict[str, Tensor]:
    """Random weights of the authors' network, by their names."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def add(name: str, *shape: int, std: float = 0.15) -> None:
        state[name] = torch.randn(*shape, generator=generator) * std

    def linear(name: str, wide: int, narrow: int) -> None:
        add(f"{name}.weight", wide, narrow)
        add(f"{name}.bias", wide)

    def norm(name: str, width: int) -> None:
        state[f"{name}.weight"] = 1 + 0.1 * torch.randn(width, generator=generator)
        add(f"{name}.bias", width)

    seen, read = sizes.vision_width, sizes.text_width
    eye, text = "blip.visual_encoder", "blip.text_encoder"
    add(f"{eye}.cls_token", 1, 1, seen)
    add(f"{eye}.pos_embed", 1, (sizes.image // sizes.patch) ** 2 + 1, seen)
    add(f"{eye}.patch_embed.proj.weight", seen, 3, sizes.patch, sizes.patch, std=0.05)
    add(f"{eye}.patch_embed.proj.bias", seen)
    for i in range(sizes.vision_layers):
        block = f"{eye}.blocks.{i}"
        norm(f"{block}.norm1", seen)
        linear(f"{block}.attn.qkv", 3 * seen, seen)
        linear(f"{block}.attn.proj", seen, seen)
        norm(f"{block}.norm2", seen)
        linear(f"{block}.mlp.fc1", 4 * seen, seen)
        linear(f"{block}.mlp.fc2", seen, 4 * seen)
    norm(f"{eye}.norm", seen)
    state[f"{text}.embeddings.position_ids"] = torch.arange(512)[None]
    add(f"{text}.embeddings.word_embeddings.weight", sizes.vocabulary, read)
    add(f"{text}.embeddings.position_embeddings.weight", 512, read)
    norm(f"{text}.embeddings.LayerNorm", read)
    for i in range(sizes.text_layers):
        layer = f"{text}.encoder.layer.{i}"
        for attention, source in (("attention", read), ("crossattention", seen)):
            linear(f"{layer}.{attention}.self.query", read, read)
            linear(f"{layer}.{attention}.self.key", read, source)
            linear(f"{layer}.{attention}.self.value", read, source)
            linear(f"{layer}.{attention}.output.dense", read, read)
            norm(f"{layer}.{attention}.output.LayerNorm", read)
        linear(f"{layer}.intermediate.dense", 4 * read, read)
        linear(f"{layer}.output.dense", read, 4 * read)
        norm(f"{layer}.output.LayerNorm", read)
    linear("blip.vision_proj", 256, seen)
    linear("blip.text_proj", 256, read)
    widths = (read, 1024, 128, 64, 16, 1)
    # dropout stands between the first three, so the numbers are those of the authors' nn.Sequential
    for place, (narrow, wide) in zip((0, 2, 4, 6, 7), itertools.pairwise(widths), strict=True):
        linear(f"mlp.layers.{place}", wide, narrow)
    return state


def reference_image_reward(
    state: dict[str, Tensor], ids: Tensor, mask: Tensor, pixels: Tensor, sizes: Sizes = TINY
) -> Tensor:
    """Eq. 3 in plain torch, by the authors' names (ImageReward/models/BLIP: vit.py and med.py). [N]."""

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(name: str, x: Tensor, eps: float) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)

    def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        weights = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        weights = weights if bias is None else weights + bias
        return (weights.softmax(-1) @ v).transpose(1, 2).flatten(2)

    eye, text = "blip.visual_encoder", "blip.text_encoder"
    patches = F.conv2d(
        pixels,
        state[f"{eye}.patch_embed.proj.weight"],
        state[f"{eye}.patch_embed.proj.bias"],
        stride=sizes.patch,
    )
    x = patches.flatten(2).transpose(1, 2)
    x = torch.cat([state[f"{eye}.cls_token"].expand(len(x), 1, -1), x], 1) + state[f"{eye}.pos_embed"]
    for i in range(sizes.vision_layers):
        block = f"{eye}.blocks.{i}"
        qkv = linear(f"{block}.attn.qkv", norm(f"{block}.norm1", x, 1e-6)).chunk(3, -1)
        x = x + linear(f"{block}.attn.proj", attend(*qkv, sizes.vision_heads))
        hidden = F.gelu(linear(f"{block}.mlp.fc1", norm(f"{block}.norm2", x, 1e-6)))
        x = x + linear(f"{block}.mlp.fc2", hidden)
    seen = norm(f"{eye}.norm", x, 1e-6)
    words = F.embedding(ids, state[f"{text}.embeddings.word_embeddings.weight"])
    places = state[f"{text}.embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = norm(f"{text}.embeddings.LayerNorm", words + places, 1e-12)
    bias = (1.0 - mask[:, None, None, :].float()) * -10000.0
    for i in range(sizes.text_layers):
        layer = f"{text}.encoder.layer.{i}"
        for attention in ("attention", "crossattention"):
            source, masked = (x, bias) if attention == "attention" else (seen, None)
            name = f"{layer}.{attention}"
            q = linear(f"{name}.self.query", x)
            k, v = (linear(f"{name}.self.{part}", source) for part in ("key", "value"))
            found = linear(f"{name}.output.dense", attend(q, k, v, sizes.text_heads, masked))
            x = norm(f"{name}.output.LayerNorm", found + x, 1e-12)
        hidden = F.gelu(linear(f"{layer}.intermediate.dense", x))
        x = norm(f"{layer}.output.LayerNorm", linear(f"{layer}.output.dense", hidden) + x, 1e-12)
    reward = x[:, 0]
    for place in (0, 2, 4, 6, 7):
        reward = linear(f"mlp.layers.{place}", reward)
    return (reward[:, 0] - MEAN) / STD


def save_tiny_hps(folder: Path, model: Any, filename: str = "HPS_v2.1_compressed.pt") -> Path:
    """Writes a checkpoint as HPS v2 publishes it: the weights below `state_dict`, other facts beside."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": 1, "name": "tiny", "state_dict": model.state_dict()}, folder / filename)
    return folder / filename


def tiny_open_clip_config(folder: Path, name: str = "tiny-H-14") -> str:
    """Writes the config of an open_clip architecture like ViT-H-14, small; returns its name."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    (folder / f"{name}.json").write_text(json.dumps(config), encoding="utf-8")
    return name

"""Adapters for tests: fusion weights set by hand, and a LoRA on the tiny LLaMA of tests/support/tiny.py."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.search.fusion import STATIC_SCORES, Fusion
from retrieval.search.ranker import LEXICAL_FILE


def plain_fusion(names: tuple[str, ...] = ("all.cosine", "trigger.said"), temperature: float = 0.1) -> Fusion:
    """The sum of the named scores: linear weights of one, a hidden layer that adds nothing."""
    # a static score has one column, every other a second one, for its distance from the best
    columns = [[1.0] if name in STATIC_SCORES else [1.0, 0.0] for name in names]
    linear = np.asarray([weight for each in columns for weight in each], np.float32)
    width = len(linear)
    return Fusion(
        names=names,
        mean=np.zeros(width, np.float32),
        scale=np.ones(width, np.float32),
        linear=linear,
        hidden=np.zeros((width, 1), np.float32),
        bias=np.zeros(1, np.float32),
        out=np.zeros(1, np.float32),
        temperature=temperature,
        card={},
    )


def fusion_only(folder: Path) -> Path:
    """An adapter's folder with fusion weights alone."""
    plain_fusion().save(folder / LEXICAL_FILE)
    return folder


def with_lora(folder: Path, model: Any, *, seed: int = 1, **card: object) -> Path:
    """Adds a LoRA that peft made and saved, its weights random, and a card."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(folder)
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return folder

"""torch's own BERT: what training works on, and what retrieval's forward pass must equal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def tiny_bert(seed: int = 0) -> Any:
    """An untrained BERT of two layers, with the packaged tokenizer's vocabulary."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    return BertModel(config, add_pooling_layer=False).eval()


def stored_bert(folder: Path) -> Any:
    """A retriever's file read by torch and transformers, its int8 rows times their scale."""
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    stored = load_file(folder / "model.safetensors")
    weights = {
        name: tensor.float() * stored[f"{name}.scale"][:, None] if f"{name}.scale" in stored else tensor
        for name, tensor in stored.items()
        if not name.endswith(".scale")
    }
    model = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
    model.load_state_dict(weights)
    return model.eval()


def torch_means(model: Any, batch: Sequence[Sequence[int]]) -> np.ndarray:
    """The mean over the tokens, scaled to length one, each text alone, [n, D]."""
    import torch

    with torch.inference_mode():
        means = [model(input_ids=torch.tensor([list(ids)])).last_hidden_state.mean(1) for ids in batch]
        return torch.nn.functional.normalize(torch.cat(means), dim=1).numpy()

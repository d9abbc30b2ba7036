"""Retrieval's answer: every model of a catalogue ranked for a request, without a language model.

    ranker = Ranker(Catalogue.starter(), Weights.packaged())
    ranker.rank(Instruction(prompt="corgi, pixel art"), k=5)

Word scores (retrieval/lexical.py) and, where the adapter brings a retriever, its cosines are weighed by
fusions that were fitted on held-out training folds (finetune/fusion.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools.fusion import Fusion, softmax
from diffagent_tools.selection import Filters
from retrieval.api import Instruction
from retrieval.catalogue import Catalogue, ModelRecord
from retrieval.errors import InvalidInput
from retrieval.families import family_of
from retrieval.lexical import LexicalScorer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from diffagent_tools.retriever import Retriever

    Scores = NDArray[np.float32]

STARTER_ADAPTER = Path(__file__).parent / "adapters" / "starter"
LEXICAL_FILE = "lexical.safetensors"
RETRIEVAL_FILE = "retrieval.safetensors"


@dataclass(frozen=True)
class Candidate:
    """A ranked model: `logit` and `chance` by all retrieval evidence, `scores` the evidence by name."""

    record: ModelRecord
    logit: float
    chance: float
    scores: dict[str, float]


class Ranker:
    """Ranks the records of a catalogue for a request; safe to share between threads.

    Args:
        lexical: weighs the word scores.
        retriever: adds its cosines; None for words alone.
        retrieval: weighs "lexical" and the retriever's scores; needed with a retriever.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        lexical: Fusion,
        *,
        retriever: "Retriever | None" = None,
        retrieval: Fusion | None = None,
    ) -> None:
        if (retriever is None) != (retrieval is None):
            raise InvalidInput("a retriever needs its fusion weights, and they need the retriever")
        self.catalogue = catalogue
        self.records: tuple[ModelRecord, ...] = tuple(catalogue)
        self._scorer = LexicalScorer(self.records)
        self._lexical = lexical
        self._retriever = retriever
        self._retrieval = retrieval

    @classmethod
    def packaged(
        cls,
        catalogue: Catalogue,
        folder: Path = STARTER_ADAPTER,
        *,
        progress: Callable[[str], None] | None = None,
    ) -> "Ranker":
        """With the weights in an adapter's folder.

        Raises:
            AdapterError: the folder has no fusion weights.
        """
        from diffagent_tools.retriever import Retriever

        retriever = Retriever.load(folder, catalogue, progress=progress)
        return cls(
            catalogue,
            Fusion.load(folder / LEXICAL_FILE),
            retriever=retriever,
            retrieval=Fusion.load(folder / RETRIEVAL_FILE) if retriever else None,
        )

    def scores(self, instruction: Instruction) -> dict[str, "Scores"]:
        """All evidence by name, each [N], "retrieval" the logit of all of it together."""
        scores = self._scorer.features(instruction)
        scores["lexical"] = self._lexical.logits(scores)
        if self._retriever is not None and self._retrieval is not None:
            scores.update(self._retriever.scores(instruction))
            scores["retrieval"] = self._retrieval.logits(scores)
        else:
            scores["retrieval"] = scores["lexical"]
        return scores

    @property
    def temperature(self) -> float:
        return (self._retrieval or self._lexical).temperature

    def rank(
        self, instruction: Instruction, *, filters: Filters | None = None, k: int = 10
    ) -> list[Candidate]:
        """The best `k` models that pass the filters, best first; equal logits by downloads, then id.

        Chances are over all models that pass. Fewer than `k` where fewer pass.
        """
        import numpy as np

        allowed = self.allowed(filters or Filters())
        if not allowed:
            return []
        scores = self.scores(instruction)
        logits = scores["retrieval"][allowed]
        chances = softmax(logits, self.temperature)
        downloads = np.asarray([self.records[place].stats.downloads or 0 for place in allowed])
        ids = np.asarray([self.records[place].model_id for place in allowed])
        order = np.lexsort((ids, -downloads, -logits))[:k]
        return [
            Candidate(
                record=self.records[allowed[place]],
                logit=float(logits[place]),
                chance=float(chances[place]),
                scores={name: float(values[allowed[place]]) for name, values in scores.items()},
            )
            for place in order
        ]

    def knows(self, instruction: Instruction) -> bool:
        """Whether any word of the request is a word of any model; if not, a ranking would be a lottery."""
        return self._scorer.knows(instruction)

    def shared_terms(self, record: ModelRecord, prompt: str) -> tuple[str, ...]:
        """What the request and the model's sample prompts both say, the most telling first."""
        return self._scorer.shared_terms(record, prompt)

    def allowed(self, filters: Filters) -> list[int]:
        """Places of the records that may be chosen. Unavailable models, and those of real persons, never may.

        Raises:
            UnknownBaseModel: the filter's base model is of no known family.
            InvalidInput: something to exclude is neither an id nor a name of the catalogue.
        """
        family = family_of(filters.base_model).name if filters.base_model else None
        excluded = self.excluded(filters.exclude)
        return [
            place
            for place, record in enumerate(self.records)
            if record.available
            and not record.poi
            and not record.minor
            and record.model_id not in excluded
            and (family is None or record.base_model == family)
            and (filters.type is None or record.type == filters.type)
            and (filters.commercial_use is not True or record.allows_commercial_use() is True)
        ]

    def excluded(self, names: Sequence[int | str]) -> set[int]:
        """Ids of the named models. Raises InvalidInput for a name the catalogue does not have."""
        found: set[int] = set()
        for name in names:
            if isinstance(name, int):
                found.add(name)
                continue
            matches = self.catalogue.find(name)
            if not matches:
                raise InvalidInput(
                    f"cannot exclude {name!r}: the catalogue has no such model; give an id or a name it has"
                )
            found.update(match.record.model_id for match in matches)
        return found

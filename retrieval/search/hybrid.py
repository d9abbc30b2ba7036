"""What a request's words and its vector together say of every model: weighted features, one number a model.

    hybrid = HybridScorer(records)
    scores = hybrid.lexical(instruction) + hybrid.dense_weight(instruction) * cosines  # [N]

The features are those of retrieval/search/lexical.py, BM25 over all words of a model (bm25s), and the
cosine of
the embeddings. Of scores whose height hangs on the request, the share of the best model's score is a feature
too: it tells a model that leads from one of many. The weights lie in hybrid_weights.json;
`python -m finetune.ranker.hybrid_weights` fits them.
"""

import functools
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.lexical import LexicalScorer, matched_triggers
from retrieval.search.terms import all_terms, prompt_terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "hybrid_weights.json"
DENSE = "dense"
BM25 = "all.bm25"
OF_BEST = "/best"
_STATIC = frozenset({"samples", "unseen", "name.said", "trigger.said"})
_MATCHED = 8
# how often a word of a field is repeated in the text that BM25 counts
_NAME, _TRIGGER, _TAG, _DESCRIPTION = 3, 3, 2, 1
_PROFILE, _CREATOR = 4, 2  # times the term's own weight, in [0, 1]


class HybridScorer:
    """Scores all records of a catalogue for a request by its words.

    Args:
        records: in the order of the returned scores.
        weights: of the features, once for a request alone and once for one with a negative prompt; the
            packaged ones if none are given.
    """

    def __init__(
        self, records: Iterable[ModelRecord], weights: Mapping[str, Mapping[str, float]] | None = None
    ) -> None:
        listed = list(records)
        self._scorer = LexicalScorer(listed)
        self._bm25 = _Bm25(listed)
        self._weights = weights if weights is not None else packaged_weights()

    def features(self, instruction: Instruction) -> dict[str, "Scores"]:
        """Named score arrays, each [N] float32; the cosine of the embeddings is not among them."""
        features = self._scorer.features(instruction)
        features[BM25] = self._bm25.scores(instruction.prompt)
        best = {name: float(score.max(initial=0)) for name, score in features.items() if name not in _STATIC}
        relative = {name + OF_BEST: features[name] / (most or 1) for name, most in best.items()}
        return features | relative

    def lexical(self, instruction: Instruction) -> "Scores":
        """[N]: the weighted sum of the features."""
        import numpy as np

        features = self.features(instruction)
        weights = self._of(instruction)
        total: Scores = np.zeros_like(features[BM25])
        for name, score in features.items():
            total += weights.get(name, 0.0) * score
        return total

    def dense_weight(self, instruction: Instruction) -> float:
        """What a cosine of one counts beside the sum of the other features."""
        return self._of(instruction)[DENSE]

    def matched(self, record: ModelRecord, instruction: Instruction) -> tuple[str, ...]:
        """What of a record the request says: its trigger words, then shared terms, the rarest first."""
        triggers = matched_triggers(record, instruction.prompt)
        held = {
            *prompt_terms(record.model),
            *all_terms(record.tags),
            *all_terms(record.trigger_words),
            *record.terms,
            *record.description_terms,
        }
        said = set(all_terms(triggers))
        found = list(triggers)
        shared = {term for term in prompt_terms(instruction.prompt) if term in held}
        for term in sorted(shared, key=lambda term: (-self._scorer.rarity(term), -len(term), term)):
            if term not in said:
                found.append(term)
                said |= {term, *term.split()}
        return tuple(found[:_MATCHED])

    def _of(self, instruction: Instruction) -> Mapping[str, float]:
        return self._weights["prompt and negative prompt" if instruction.negative_prompt else "prompt"]


class _Bm25:
    """BM25 in Lucene's form over a model's name, trigger words, tags, description and profile."""

    def __init__(self, records: Iterable[ModelRecord]) -> None:
        from bm25s import BM25

        self._vocabulary: dict[str, int] = {}
        number = self._vocabulary.setdefault
        documents = [
            [number(term, len(self._vocabulary)) for term in _repeated(record).elements()]
            for record in records
        ]
        self._count = len(documents)
        self._scorer = None
        if self._vocabulary:
            self._scorer = BM25(method="lucene")
            self._scorer.index((documents, self._vocabulary), show_progress=False)

    def scores(self, prompt: str) -> "Scores":
        """[N]: the mean over the request's terms, so that long and short requests are on one scale."""
        import numpy as np

        terms = dict.fromkeys(prompt_terms(prompt))
        known = [self._vocabulary[term] for term in terms if term in self._vocabulary]
        if not known or self._scorer is None:
            return np.zeros(self._count, dtype=np.float32)
        found: Scores = np.asarray(self._scorer.get_scores_from_ids(known), dtype=np.float32)
        return found / np.float32(len(terms))


def _repeated(record: ModelRecord) -> Counter[str]:
    counts: Counter[str] = Counter()
    for terms, times in (
        (prompt_terms(record.model), _NAME),
        (all_terms(record.trigger_words), _TRIGGER),
        (all_terms(record.tags), _TAG),
        (prompt_terms(record.description), _DESCRIPTION),
    ):
        for term in terms:
            counts[term] += times
    for profile, times in ((record.terms, _PROFILE), (record.description_terms, _CREATOR)):
        for term, weight in profile.items():
            counts[term] += max(1, round(times * weight))
    return counts


@functools.cache
def packaged_weights() -> Mapping[str, Mapping[str, float]]:
    """The fitted weights: "prompt" and "prompt and negative prompt", each feature to weight."""
    weights: Mapping[str, Mapping[str, float]] = json.loads(WEIGHTS.read_text(encoding="utf-8"))["weights"]
    return weights

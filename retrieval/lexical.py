"""How well every model of a catalogue fits a request by its words, field by field.

    scorer = LexicalScorer(catalogue)
    scorer.features(Instruction(prompt="corgi, pixel art"))["terms.cosine"]  # [N], one score a model

The fields are what a record holds: name, trigger words, tags, the creator's words, the words of its sample
prompts and of its sample negative prompts. A new record needs no training to be scored.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from retrieval.api import Instruction
from retrieval.records import ModelRecord
from retrieval.terms import all_terms, prompt_terms, squash, words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

# words that half of all names carry; they say nothing about which model is meant
_COMMON_NAME_WORDS = frozenset(
    "lora style model checkpoint ckpt mix merge the of a an v1 v2 v3 sd 1 2 5 15 21 xl sdxl".split()
)
_SHORTEST_SUBSTRING = 4
_DESCRIPTION_SHARE = 0.5


class _Field:
    """One field of all records as sparse matrices [N, vocabulary]: cosine, likelihood and coverage."""

    def __init__(self, documents: Sequence[Mapping[str, float]]) -> None:
        import numpy as np
        from scipy import sparse

        self.vocabulary: dict[str, int] = {}
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for row, document in enumerate(documents):
            for term, weight in document.items():
                rows.append(row)
                columns.append(self.vocabulary.setdefault(term, len(self.vocabulary)))
                values.append(weight)
        count = len(documents)
        weights = sparse.csr_matrix(
            (np.asarray(values, dtype=np.float32), (rows, columns)), shape=(count, len(self.vocabulary))
        )
        holding = np.bincount(np.asarray(columns, dtype=np.int64), minlength=len(self.vocabulary))
        # the idf of Okapi BM25, kept positive
        self.idf = np.log1p((count - holding + 0.5) / (holding + 0.5)).astype(np.float32)
        self._cosine = _unit_rows(weights.multiply(self.idf).tocsr(), 2).T.tocsr()
        self._coverage = _unit_rows((weights > 0).astype(np.float32).multiply(self.idf).tocsr(), 1).T.tocsr()
        share = _unit_rows(weights, 1).tocoo()
        background = np.asarray(weights.sum(0)).ravel() + 0.5
        background /= background.sum()
        # log(1 + p(term | model) / p(term)): a smoothed log-likelihood ratio, 0 for a term the model lacks
        self._likelihood = sparse.csr_matrix(
            (np.log1p(share.data / background[share.col]).astype(np.float32), (share.row, share.col)),
            shape=weights.shape,
        ).T.tocsr()

    def _query(self, terms: Iterable[str]) -> Any:
        import numpy as np
        from scipy import sparse

        known = sorted({self.vocabulary[term] for term in terms if term in self.vocabulary})
        return sparse.csr_matrix(
            (np.ones(len(known), dtype=np.float32), ([0] * len(known), known)), shape=(1, len(self.vocabulary))
        )

    def cosine(self, terms: Iterable[str]) -> "Scores":
        query = self._query(terms).multiply(self.idf).tocsr()
        return _dense(_unit_rows(query, 2) @ self._cosine)

    def likelihood(self, terms: Iterable[str]) -> "Scores":
        """The mean over the request's terms, so that long and short requests are on one scale."""
        distinct = set(terms)
        return _dense(self._query(distinct) @ self._likelihood) / max(len(distinct), 1)

    def coverage(self, terms: Iterable[str]) -> "Scores":
        """The idf-weighted share of the model's own terms that the request says."""
        return _dense(self._query(terms) @ self._coverage)


class LexicalScorer:
    """Scores all records of a catalogue for a request.

    Args:
        records: in the order of the returned scores.
    """

    def __init__(self, records: Iterable[ModelRecord]) -> None:
        import numpy as np

        listed = list(records)
        self.model_ids = tuple(record.model_id for record in listed)
        names = [_once(prompt_terms(record.model)) for record in listed]
        triggers = [_once(all_terms(record.trigger_words)) for record in listed]
        tags = [_once(all_terms(record.tags)) for record in listed]
        described = [
            record.description_terms or _once(prompt_terms(record.description)) for record in listed
        ]
        whole = [
            _merge(name, trigger, tag, record.terms, _scaled(words_of, _DESCRIPTION_SHARE))
            for record, name, trigger, tag, words_of in zip(
                listed, names, triggers, tags, described, strict=True
            )
        ]
        self._fields = {
            "name": _Field(names),
            "trigger": _Field(triggers),
            "tags": _Field(tags),
            "description": _Field(described),
            "terms": _Field([record.terms for record in listed]),
            "negative": _Field([record.negative_terms for record in listed]),
            "all": _Field(whole),
        }
        self._names = [_name_core(record.model) for record in listed]
        self._triggers = [
            [
                short
                for words_ in record.trigger_words
                for word in words_.split(",")
                if len(short := squash(word)) >= _SHORTEST_SUBSTRING
            ]
            for record in listed
        ]
        self._samples = np.log1p(np.asarray([record.samples for record in listed], dtype=np.float32))
        self._unseen = np.asarray([not record.terms for record in listed], dtype=np.float32)

    def features(self, instruction: Instruction) -> dict[str, "Scores"]:
        """Named score arrays, each [N] float32, larger is better (but "unseen", which marks records without
        sample prompts). Without a negative prompt the `negative.*` scores are zero."""
        import numpy as np

        terms = prompt_terms(instruction.prompt)
        negative = prompt_terms(instruction.negative_prompt)
        scores: dict[str, Scores] = {}
        for name, field in self._fields.items():
            asked = negative if name == "negative" else terms
            scores[f"{name}.cosine"] = field.cosine(asked)
            if name in ("terms", "negative", "all"):
                scores[f"{name}.likelihood"] = field.likelihood(asked)
            if name in ("name", "trigger", "tags"):
                scores[f"{name}.coverage"] = field.coverage(asked)
        said = squash(instruction.prompt)
        scores["name.said"] = np.asarray([bool(name) and name in said for name in self._names], np.float32)
        scores["trigger.said"] = np.asarray(
            [sum(word in said for word in listed) / max(len(listed), 1) for listed in self._triggers],
            np.float32,
        )
        scores["samples"] = self._samples
        scores["unseen"] = self._unseen
        return scores


    def shared_terms(self, record: ModelRecord, prompt: str, k: int = 4) -> tuple[str, ...]:
        """What the request and the model's sample prompts both say, the most telling first.

        A word that is part of a two-word term already listed is left out.
        """
        field = self._fields["terms"]
        weights = {
            term: record.terms[term] * float(field.idf[field.vocabulary[term]])
            for term in set(prompt_terms(prompt))
            if term in record.terms and term in field.vocabulary
        }
        chosen: list[str] = []
        for term in sorted(weights, key=lambda term: (-weights[term] * len(term.split()), term)):
            if not any(set(term.split()) & set(other.split()) for other in chosen):
                chosen.append(term)
        return tuple(chosen[:k])


def matched_triggers(record: ModelRecord, prompt: str) -> tuple[str, ...]:
    """The trigger words of a record that a prompt says, as the record spells them."""
    said = squash(prompt)
    return tuple(word for word in record.trigger_words if (short := squash(word)) and short in said)


def _name_core(name: str) -> str:
    core = "".join(word for word in words(name) if word not in _COMMON_NAME_WORDS)
    return core if len(core) >= _SHORTEST_SUBSTRING else ""


def _once(terms: Iterable[str]) -> dict[str, float]:
    return dict.fromkeys(terms, 1.0)


def _scaled(document: Mapping[str, float], factor: float) -> dict[str, float]:
    return {term: weight * factor for term, weight in document.items()}


def _merge(*documents: Mapping[str, float]) -> Mapping[str, float]:
    total: Counter[str] = Counter()
    for document in documents:
        for term, weight in document.items():
            total[term] += weight  # type: ignore[assignment]  # Counter is typed for whole counts
    return total  # type: ignore[return-value]


def _unit_rows(matrix: Any, order: int) -> Any:
    """Rows scaled to length one; a row of zeros stays one."""
    import numpy as np
    from scipy import sparse

    lengths = (
        np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
        if order == 2
        else np.asarray(abs(matrix).sum(1)).ravel()
    )
    return sparse.diags(1 / np.maximum(lengths, 1e-12)).astype(np.float32).dot(matrix).tocsr()


def _dense(row: Any) -> "Scores":
    import numpy as np

    scores: Scores = np.asarray(row.todense(), dtype=np.float32).ravel()
    return scores

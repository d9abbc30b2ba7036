"""What a selector must beat: popularity, chance, BM25, three TF-IDF searches and dense retrieval.

    baselines = fit_baselines(models, train)          # rows of models.jsonl.gz and pairs_train.jsonl.gz
    baselines["TF-IDF profiles"](prompts, negatives)  # [Q, N] scores, columns in the order of models

A profile is a model's description, tags, trigger words and its first 30 training prompts. Each search exists
twice: reading the prompt alone, and ("+ negative") with the negative prompt beside it, compared with the
training negative prompts, so that a selector that reads negative prompts has its equal. `diffagent evaluate`
prints them all.

The settings of the TF-IDF searches are those that give the figures known for the validation pairs (profiles:
top-10 .861 raw, .576 stripped; tests/finetune/evaluate/test_baselines.py); "descriptions" needs the model's
name and trigger words before the description to come near. "TF-IDF profiles, word pairs" is the strongest
lexical search we know of: the whole description, and terms of two words.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.data.pairs import Pair
from retrieval.search.encoders import Embedder

Row = Mapping[str, Any]
Scores = NDArray[np.float64]
Baseline = Callable[[Sequence[str], Sequence[str]], Scores]
"""(prompts [Q], negative prompts [Q]) -> scores [Q, N], larger is better."""

PROFILE_PROMPTS = 30
DESCRIPTION_CHARS = 300
NEGATIVE_WEIGHT = {
    "TF-IDF kNN": 1.0,
    "TF-IDF profiles": 0.5,
    "TF-IDF profiles, word pairs": 0.25,
    "BM25 profiles": 1.0,
    "dense mean prompt": 0.5,
}
"""What a negative prompt's similarity counts beside the prompt's: the best of 0.1, 0.25, 0.5 and 1 on 500
training pairs held out by fold (the dense one's is a guess)."""
NEGATIVE = " + negative"


def fit_baselines(
    models: Sequence[Row], train: Sequence[Pair], *, embedder: Embedder | None = None
) -> dict[str, Baseline]:
    """All baselines by name.

    Args:
        models: the candidates: model_id, model, description, tags, trigger_words.
        train: pairs: model_id, prompt, negative_prompt; those of other models are passed over.
        embedder: for the dense ones, which are left out without it.
    """
    column = {model["model_id"]: place for place, model in enumerate(models)}
    pairs = [pair for pair in train if pair["model_id"] in column]
    owners = np.asarray([column[pair["model_id"]] for pair in pairs], dtype=np.int64)
    prompts = [pair["prompt"] for pair in pairs]
    negatives = [pair["negative_prompt"] or "" for pair in pairs]
    cut = profiles(models, pairs, description_chars=DESCRIPTION_CHARS)
    whole = profiles(models, pairs)
    unwanted = [" ".join(texts) for texts in _by_owner(owners, negatives, len(models))]
    descriptions = [
        " ".join([model["model"], *(model["trigger_words"] or ()), model["description"] or ""])
        for model in models
    ]
    words = {"sublinear_tf": True, "stop_words": "english"}
    pairs_of_words = {"sublinear_tf": True, "ngram_range": (1, 2)}

    found: dict[str, Baseline] = {
        "random": _Random(len(models)),
        "most frequent model": _Popularity(models, owners),
        "TF-IDF descriptions": _Tfidf(descriptions, words),
        "TF-IDF kNN": _Tfidf(prompts, pairs_of_words, owners, len(models)),
        "TF-IDF profiles": _Tfidf(cut, words),
        "TF-IDF profiles, word pairs": _Tfidf(whole, pairs_of_words),
        "BM25 profiles": _Bm25(whole),
    }
    beside: dict[str, Baseline] = {
        "TF-IDF kNN": _Tfidf(negatives, pairs_of_words, owners, len(models)),
        "TF-IDF profiles": _Tfidf(unwanted, words),
        "TF-IDF profiles, word pairs": _Tfidf(unwanted, pairs_of_words),
        "BM25 profiles": _Bm25(unwanted),
    }
    if embedder is not None:
        found["dense descriptions"] = _Dense(descriptions, embedder)
        found["dense mean prompt"] = _Dense(prompts, embedder, owners, len(models))
        beside["dense mean prompt"] = _Dense(negatives, embedder, owners, len(models))
    return found | {
        name + NEGATIVE: _Both(found[name], other, NEGATIVE_WEIGHT[name]) for name, other in beside.items()
    }


def profiles(
    models: Sequence[Row], pairs: Sequence[Pair], *, description_chars: int | None = None
) -> list[str]:
    """One text a model: description, tags, trigger words, and its first 30 training prompts."""
    prompts: dict[Any, list[str]] = defaultdict(list)
    for pair in pairs:
        prompts[pair["model_id"]].append(pair["prompt"])
    return [
        " ".join(
            [
                (model["description"] or "")[:description_chars],
                *(model["tags"] or ()),
                *(model["trigger_words"] or ()),
                *prompts[model["model_id"]][:PROFILE_PROMPTS],
            ]
        )
        for model in models
    ]


class _Random:
    """A seeded order for each prompt."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __call__(self, prompts: Sequence[str], negatives: Sequence[str]) -> Scores:
        return np.random.default_rng(0).random((len(prompts), self._count))


class _Popularity:
    """The models by their number of training pairs, whatever is asked for; equals by their id."""

    def __init__(self, models: Sequence[Row], owners: NDArray[np.int64]) -> None:
        counts = Counter(owners.tolist())
        order = sorted(range(len(models)), key=lambda place: (-counts[place], models[place]["model_id"]))
        self._scores = np.zeros(len(models))
        self._scores[order] = -np.arange(len(models))

    def __call__(self, prompts: Sequence[str], negatives: Sequence[str]) -> Scores:
        return np.tile(self._scores, (len(prompts), 1))


class _Tfidf:
    """Cosine of TF-IDF vectors (scikit-learn); with owners, the best document of each owner counts."""

    def __init__(
        self,
        documents: Sequence[str],
        settings: Mapping[str, Any],
        owners: NDArray[np.int64] | None = None,
        count: int = 0,
    ) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectorizer = TfidfVectorizer(**settings)
        self._owners, self._count = owners, count
        # nobody said anything: every score is 0
        self._empty = len(documents) if owners is None else count
        texts = list(documents)
        try:
            self._documents: Any = self._vectorizer.fit_transform(texts)
        except ValueError as error:
            if "empty vocabulary" not in str(error):
                raise
            self._documents = None

    def __call__(self, prompts: Sequence[str], negatives: Sequence[str]) -> Scores:
        if self._documents is None or not prompts:
            return np.zeros((len(prompts), self._empty))
        cosine: Scores = (self._vectorizer.transform(list(prompts)) @ self._documents.T).toarray()
        return cosine if self._owners is None else _best_of_owner(cosine, self._owners, self._count)


class _Bm25:
    """BM25 (bm25s' defaults: Lucene's formula, k1 1.5, b 0.75, English stop words)."""

    def __init__(self, documents: Sequence[str]) -> None:
        self._count = len(documents)
        self._documents = list(documents)
        self._index: Any = None

    def __call__(self, prompts: Sequence[str], negatives: Sequence[str]) -> Scores:
        import bm25s

        if self._index is None:
            self._index = bm25s.BM25()
            tokens = bm25s.tokenize(self._documents, stopwords="en", return_ids=False, show_progress=False)
            # an index needs a word; this one is nobody's and is never asked for
            self._index.index([*tokens, ["\0"]], show_progress=False)
        asked = bm25s.tokenize(list(prompts), stopwords="en", return_ids=False, show_progress=False)
        scores = np.zeros((len(prompts), self._count))
        for row, terms in enumerate(asked):
            if terms:
                scores[row] = self._index.get_scores(list(terms))[: self._count]
        return scores


class _Dense:
    """Cosine of sentence vectors; with owners, against the mean vector of each owner's texts."""

    def __init__(
        self,
        texts: Sequence[str],
        embedder: Embedder,
        owners: NDArray[np.int64] | None = None,
        count: int = 0,
    ) -> None:
        self._embedder = embedder
        self._known: dict[str, NDArray[np.float32]] = {}
        vectors = self._embed(texts)
        if owners is not None:
            total = np.zeros((count, embedder.dimension), dtype=np.float64)
            np.add.at(total, owners, vectors)
            vectors = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
        self._vectors = vectors

    def __call__(self, prompts: Sequence[str], negatives: Sequence[str]) -> Scores:
        return self._embed(prompts) @ self._vectors.T

    def _embed(self, texts: Sequence[str]) -> Scores:
        """[n, D]; an empty text has no direction."""
        missing = sorted({text for text in texts if text.strip()} - self._known.keys())
        if missing:
            self._known.update(zip(missing, self._embedder.embed(missing), strict=True))
        empty = np.zeros(self._embedder.dimension, dtype=np.float32)
        rows = [self._known.get(text, empty) for text in texts]
        return np.asarray(rows, dtype=np.float64).reshape(len(rows), self._embedder.dimension)


class _Both:
    """A search over prompts and one over negative prompts, added up."""

    def __init__(self, prompts: Baseline, negatives: Baseline, weight: float) -> None:
        self._prompts, self._negatives, self._weight = prompts, negatives, weight

    def __call__(self, prompts: Sequence[str], negatives: Sequence[str]) -> Scores:
        return self._prompts(prompts, negatives) + self._weight * self._negatives(negatives, prompts)


def _by_owner(owners: NDArray[np.int64], texts: Sequence[str], count: int) -> list[list[str]]:
    """The first 30 texts of each owner."""
    found: list[list[str]] = [[] for _ in range(count)]
    for owner, text in zip(owners.tolist(), texts, strict=True):
        if len(found[owner]) < PROFILE_PROMPTS:
            found[owner].append(text)
    return found


def _best_of_owner(scores: Scores, owners: NDArray[np.int64], count: int) -> Scores:
    """[Q, documents] -> [Q, owners]: the largest score of each owner's documents, 0 without any."""
    best = np.zeros((len(scores), count))
    if len(owners):
        order = np.argsort(owners, kind="stable")
        present, starts = np.unique(owners[order], return_index=True)
        best[:, present] = np.maximum.reduceat(scores[:, order], starts, axis=1)
    return best

"""Folds of training pairs in which nothing is scored by what it helped to build.

    folds = fold_of(pairs, count=5)                                   # near-duplicates share a fold
    records = with_profiles(catalogue, [p for p, f in zip(pairs, folds) if f != 0])

A model's profile is made of its training prompts, so evidence for a training prompt must come from profiles
that never saw it, nor a near-duplicate of it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from finetune.data.near_duplicates import NEAR_DUPLICATE, Joined, jaccard, word_set
from finetune.data.pairs import Pair
from finetune.describe.profiles import TermStats, keywords, profiles_of
from retrieval.records.model import ModelRecord


def clusters(pairs: Sequence[Pair]) -> list[int]:
    """For each pair the place of its cluster's representative, which decides the fold (so it is not the first
    of the cluster, as in near_duplicates.py: the packaged weights were fitted on these folds).

    Two pairs are in one cluster if their prompts are equal, or if they name one model and the Jaccard
    similarity of their prompts' word sets is at least 0.7.
    """
    joined = Joined(len(pairs))
    sets = [word_set(pair["prompt"]) for pair in pairs]
    of_model: dict[int, list[int]] = defaultdict(list)
    first: dict[str, int] = {}
    for place, pair in enumerate(pairs):
        for other in of_model[pair["model_id"]]:
            if jaccard(sets[place], sets[other]) >= NEAR_DUPLICATE:
                joined.put(place, other)
        of_model[pair["model_id"]].append(place)
        joined.put(place, first.setdefault(pair["prompt"].strip().casefold(), place))
    return [joined.root(place) for place in range(len(pairs))]


def fold_of(pairs: Sequence[Pair], count: int = 5) -> list[int]:
    """The fold of each pair, in [0, count): by a hash of its cluster's representative, so that more pairs at
    the end of the file move nobody."""
    return [
        int(hashlib.sha256(str(pairs[place]["prompt"]).encode()).hexdigest(), 16) % count
        for place in clusters(pairs)
    ]


def with_profiles(records: Iterable[ModelRecord], pairs: Sequence[Pair]) -> list[ModelRecord]:
    """The records with the profiles that these pairs alone give; a model without pairs has none."""
    prompts: dict[int, list[str]] = defaultdict(list)
    negatives: dict[int, list[str]] = defaultdict(list)
    for pair in pairs:
        prompts[pair["model_id"]].append(pair["prompt"])
        negatives[pair["model_id"]].append(pair["negative_prompt"])
    listed = list(records)
    terms, negative_terms = profiles_of(
        {record.model_id: prompts[record.model_id] for record in listed},
        {record.model_id: negatives[record.model_id] for record in listed},
    )
    stats = TermStats.of(terms)
    return [
        record.model_copy(
            update={
                "terms": terms[record.model_id],
                "negative_terms": negative_terms[record.model_id],
                "keywords": keywords(terms[record.model_id], stats),
                "samples": len(prompts[record.model_id]),
            }
        )
        for record in listed
    ]

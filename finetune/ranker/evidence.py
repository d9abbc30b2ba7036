"""What a fusion learns from: every pair's candidates with their evidence, none of which saw the pair.

examples = lexical_examples(catalogue, pairs, fold_of(pairs, FOLDS))
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffagent_tools.llm.llama import Llama
from diffagent_tools.select.selector import SHORTLIST
from finetune.data.folds import with_profiles
from finetune.data.pairs import Pair
from finetune.data.stripping import stripped
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.search.dense import Retriever
from retrieval.search.fusion import Fusion, design
from retrieval.search.lexical import LexicalScorer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

HARD = 150
RANDOM = 40
FOLDS = 5
HELD_OUT = FOLDS - 1
RETRIEVAL_SCORES = (
    "lexical",
    "retriever.prompts",
    "retriever.facts",
    "name.said",
    "trigger.said",
    "samples",
    "unseen",
)
SHORTLIST_SCORES = ("retrieval", "llm.mean")
LEXICAL_SCORES = (
    "name.cosine",
    "name.coverage",
    "name.said",
    "trigger.cosine",
    "trigger.coverage",
    "trigger.said",
    "tags.cosine",
    "tags.coverage",
    "description.cosine",
    "terms.cosine",
    "terms.likelihood",
    "negative.cosine",
    "negative.likelihood",
    "all.cosine",
    "all.likelihood",
    "samples",
    "unseen",
)


@dataclass(frozen=True, eq=False)
class Example:
    """One choice to learn: `inputs` [C, D] of C candidates, and the place of the right one."""

    inputs: "Array"
    right: int
    variant: str
    fold: int


def variants(pair: Pair, catalogue: Catalogue) -> Iterator[tuple[str, Instruction]]:
    """The pair's instruction raw and stripped, each with and without its negative prompt; those that are
    empty after stripping are left out."""
    record = catalogue.get(pair["model_id"])
    for name, prompt in (("raw", pair["prompt"]), ("stripped", stripped(pair["prompt"], record))):
        if prompt.strip():
            negative = pair["negative_prompt"]
            if negative.strip():
                yield name, Instruction(prompt=prompt, negative_prompt=negative)
            yield f"{name}, no negative", Instruction(prompt=prompt)


def lexical_examples(
    catalogue: Catalogue, pairs: Sequence[Pair], folds: Sequence[int], *, seed: int = 0
) -> Iterator[Example]:
    """Every variant of every pair, scored by the profiles of the other folds."""
    import numpy as np

    random = np.random.default_rng(seed)
    for fold in sorted(set(folds)):
        kept = [pair for pair, its in zip(pairs, folds, strict=True) if its != fold]
        scorer = LexicalScorer(with_profiles(catalogue, kept))
        place_of = {model_id: place for place, model_id in enumerate(scorer.model_ids)}
        for pair, its in zip(pairs, folds, strict=True):
            if its != fold:
                continue
            right = place_of[pair["model_id"]]
            for variant, instruction in variants(pair, catalogue):
                scores = scorer.features(instruction)
                # a rough sum is enough to know which models are worth learning from
                rough = (
                    scores["all.cosine"]
                    + scores["terms.cosine"]
                    + scores["negative.cosine"]
                    + 0.3 * (scores["name.coverage"] + scores["trigger.coverage"])
                )
                others = sample_others(rough, right, random)
                inputs = design(scores, LEXICAL_SCORES)[[right, *others]]
                yield Example(inputs, 0, variant, fold)


def sample_others(rough: "Array", right: int, random: "np.random.Generator") -> list[int]:
    """The strongest wrong models and some random ones."""
    import numpy as np

    order = np.argsort(-rough, kind="stable")
    hard = [int(place) for place in order[: HARD + 1] if place != right][:HARD]
    rest = [int(place) for place in order[HARD + 1 :] if place != right]
    picked = random.permutation(len(rest))[:RANDOM]
    return hard + [rest[place] for place in picked]


def held_out_scorer(catalogue: Catalogue, pairs: Sequence[Pair], folds: Sequence[int]) -> LexicalScorer:
    """Word scores by the profiles of all folds but the held-out one."""
    kept = [pair for pair, fold in zip(pairs, folds, strict=True) if fold != HELD_OUT]
    return LexicalScorer(with_profiles(catalogue, kept))


def retrieval_examples(
    catalogue: Catalogue,
    pairs: Sequence[Pair],
    folds: Sequence[int],
    lexical: Fusion,
    retriever: Retriever,
    *,
    retrieval: Fusion | None = None,
    llama: Llama | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Iterator[Example]:
    """The held-out fold's variants, scored by a lexical fusion and a retriever that never saw them.

    With `retrieval` and `llama`, examples of the shortlist instead: its best few models and the language
    model's scores of them, where the right one is among them.

    Args:
        limit: so many pairs, drawn by lot.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    scorer = held_out_scorer(catalogue, pairs, folds)
    place_of = {model_id: place for place, model_id in enumerate(scorer.model_ids)}
    held = [pair for pair, fold in zip(pairs, folds, strict=True) if fold == HELD_OUT]
    if limit is not None and limit < len(held):
        held = [held[place] for place in sorted(random.choice(len(held), limit, replace=False))]
    for number, pair in enumerate(held):
        right = place_of[pair["model_id"]]
        # the two halves of the fold, for a trial on one and a test on the other
        half = number % 2
        for variant, instruction in variants(pair, catalogue):
            scores = scorer.features(instruction)
            scores["lexical"] = lexical.logits(scores)
            vector = retriever.vector(instruction)
            scores["retriever.prompts"] = retriever.prompts(instruction, vector)
            scores["retriever.facts"] = retriever.facts @ vector
            if retrieval is None or llama is None:
                # logits spread further than cosines; 6 gives both a say in which models are hard
                rough = scores["lexical"] + 6 * (scores["retriever.prompts"] + scores["retriever.facts"])
                others = sample_others(rough, right, random)
                inputs = design(scores, RETRIEVAL_SCORES)[[right, *others]]
                yield Example(inputs, 0, variant, half)
                continue
            logits = retrieval.logits(scores)
            listed = np.argsort(-logits, kind="stable")[:SHORTLIST]
            if right in listed:
                names = [catalogue.get(scorer.model_ids[place]).model for place in listed]
                said = {"retrieval": logits[listed], **llama.scores(instruction, names)}
                place = int(np.flatnonzero(listed == right)[0])
                yield Example(design(said, SHORTLIST_SCORES), place, variant, half)

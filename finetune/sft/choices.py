"""Lists of models to choose from, for training a model that reads its candidates before it names one.

    listed = list_choices(pairs, catalogue)
    listed(pair_number, instruction, lot)     # ["Pixel Art XL: pixel, sprite", ...] in random order

The right model and others that word scores take for it. A pair's list is made of profiles that its own fold
did not help to build: else the right model would be told by words that only this prompt has.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from diffagent_tools.llm.prompt import describe_choice
from finetune.data.folds import fold_of, with_profiles
from finetune.data.pairs import Pair
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.lexical import LexicalScorer

FOLDS = 5
_COUNT = 8
_POOL = 3  # times the places: the wrong ones are drawn from so many of the strongest

ListChoices = Callable[[int, Instruction, random.Random], list[str]]


@dataclass(frozen=True)
class _Fold:
    scorer: LexicalScorer
    records: Mapping[int, ModelRecord]


def list_choices(pairs: Sequence[Pair], catalogue: Catalogue) -> ListChoices:
    """A function from a pair's place in `pairs` and its instruction to eight choices, the right one among
    them, in random order. The pairs are all of models that the catalogue holds.
    """
    folds = fold_of(pairs, FOLDS)
    made: dict[int, _Fold] = {}

    def listed(place: int, instruction: Instruction, lot: random.Random) -> list[str]:
        fold = made.get(folds[place])
        if fold is None:
            kept = [pair for pair, its in zip(pairs, folds, strict=True) if its != folds[place]]
            records = with_profiles(catalogue, kept)
            fold = made[folds[place]] = _Fold(
                LexicalScorer(records), {record.model_id: record for record in records}
            )
        right = pairs[place]["model_id"]
        scores = fold.scorer.features(instruction)
        # the rough sum that finetune/ranker/evidence.py draws hard candidates by
        rough = scores["all.cosine"] + scores["terms.cosine"] + scores["negative.cosine"]
        ids = fold.scorer.model_ids
        strongest = [ids[int(each)] for each in (-rough).argsort(kind="stable")[: _POOL * _COUNT]]
        wrong = [model_id for model_id in strongest if model_id != right]
        chosen = [right, *lot.sample(wrong, min(_COUNT - 1, len(wrong)))]
        lot.shuffle(chosen)
        return [describe_choice(fold.records[model_id]) for model_id in chosen]

    return listed

"""Fits the chance that an answer is right (`Calibration` in retrieval/search/mixture.py).

    python -m finetune.evaluate.confidence --requests made.jsonl --pairs align.jsonl.gz --output weights

Sentences come from graded requests (the form of finetune/evaluate/graded.py), prompts from pairs that no
fusion was trained on, as they are and stripped. The first three answers of each are examples: right is a
model of grade 2, or the one that the pair names. Told is the error of calibration on what was held out.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools.exits import run_script
from finetune.data.pairs import Pair, known_pairs
from finetune.data.stripping import strip_prompt
from finetune.evaluate.graded import RIGHT, Graded, read_graded
from finetune.evaluate.metrics import calibration
from finetune.ranker.wording import fit
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import Instruction
from retrieval.search.filters import understood
from retrieval.search.mixture import CALIBRATED, CONFIDENCE_FILE, SIGNS, Calibration, signs
from retrieval.search.ranker import STARTER_WEIGHTS, Ranker, Ranking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ANSWERS = 3
WEIGHT = 3
"""how often a graded request counts beside a pair, of which there are more"""
HELD_OUT = 0.25


def examples(
    ranker: Ranker, requests: Sequence[Graded], pairs: Sequence[Pair]
) -> "tuple[Array, Array, Array]":
    """Signs [n, D], whether each answer is right [n], and whether it answers a graded request [n]."""
    import numpy as np

    rows: list[NDArray[np.float64]] = []
    right: list[bool] = []
    graded: list[bool] = []
    for request in requests:
        if RIGHT not in request.grades.values():
            continue
        for answer, values in _answers(ranker, Instruction(prompt=request.text)):
            rows.append(values)
            right.append(request.grades.get(answer) == RIGHT)
            graded.append(True)
    for pair in pairs:
        record = ranker.catalogue.get(pair["model_id"])
        prompt, negative = str(pair["prompt"]), str(pair.get("negative_prompt") or "")
        for text in (prompt, strip_prompt(prompt, record.model, record.trigger_words)):
            if not text.strip():
                continue
            for answer, values in _answers(ranker, Instruction(prompt=text, negative_prompt=negative)):
                rows.append(values)
                right.append(answer == pair["model_id"])
                graded.append(False)
    return np.stack(rows), np.asarray(right, np.float64), np.asarray(graded, np.float64)


def _answers(ranker: Ranker, request: Instruction) -> "Iterator[tuple[int, NDArray[np.float64]]]":
    """The first models for a request, each with its signs."""
    try:
        ask = understood(request, ranker.filter(), ANSWERS, ranker.named)
    except InvalidInput:  # it asks for no picture
        return
    ranking = ranker.rank(ask.evidence, ask.wanted, ask.refused, is_sentence=ask.sentence)
    values = signs_of(ranking)
    for place, candidate in enumerate(ranking.best(ANSWERS)):
        yield candidate.record.model_id, values[place]


def signs_of(ranking: Ranking) -> "NDArray[np.float64]":
    """The signs of all answers of a ranking, [n, D]."""
    import numpy as np

    scores = {name: values[ranking.at] for name, values in ranking.scores.items() if name in CALIBRATED}
    found = signs(
        ranking.chances, scores, ranking.sentence, style=ranking.has_style, unmet=bool(ranking.unmet)
    )
    return np.stack([found[name] for name in SIGNS], 1).astype(np.float64)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=Path, required=True, help="graded requests, .jsonl")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs that no fusion was trained on")
    parser.add_argument("--weights", type=Path, default=STARTER_WEIGHTS, help="folder of the ranker")
    parser.add_argument("--output", type=Path, required=True, help=f"folder of {CONFIDENCE_FILE}")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits, tells the error on what was held out, and writes the weights."""
    import numpy as np

    options = make_parser().parse_args(arguments)
    catalogue = Catalogue.starter()
    ranker = Ranker.packaged(catalogue, options.weights)
    rows, right, graded = examples(
        ranker, read_graded(options.requests), known_pairs(options.pairs, catalogue)
    )
    times = np.where(graded > 0, WEIGHT, 1)
    # the answers to one request stay together
    held = np.repeat(np.random.default_rng(options.seed).random(len(right) // ANSWERS + 1), ANSWERS)
    kept = held[: len(right)] >= HELD_OUT
    trial = fit(np.repeat(rows[kept], times[kept], 0), np.repeat(right[kept], times[kept]))
    for name, side in (("graded requests", 1), ("pairs", 0)):
        of_side = ~kept & (graded == side)
        if of_side.any():
            told = calibration(1 / (1 + np.exp(-rows[of_side] @ trial)), right[of_side])
            print(f"held out, answers to {name}: {int(of_side.sum())}, expected calibration error "
                  f"{told.ece_mass:.3f}, right {right[of_side].mean():.3f}")  # fmt: skip
    weights = fit(np.repeat(rows, times, 0), np.repeat(right, times))
    Calibration({name: round(float(value), 4) for name, value in zip(SIGNS, weights, strict=True)}).save(
        options.output
    )
    print(f"written: {options.output / CONFIDENCE_FILE}")


if __name__ == "__main__":
    run_script(main)

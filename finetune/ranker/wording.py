"""Fits what tells a sentence from a prompt as uploaders write them (retrieval/search/mixture.py).

    python -m finetune.ranker.wording --pairs pairs_align.jsonl.gz --captions coco_captions.txt \\
        --output retrieval/search/starter

Uploaders' prompts are pairs that the fusions were not trained on, as they are, without the negative prompt,
and stripped of the words that name their model; sentences are made from captions
(finetune/ranker/sentences.py). A logistic regression over the wording and over how undecided the fusion is,
by L-BFGS. A fifth of either side is held out, and its error is told. The other weights of the mixture are
set, not fitted: they are in this file, with what each stands for.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools.exits import run_script
from finetune.data.pairs import Pair, known_pairs
from finetune.data.stripping import strip_prompt
from finetune.ranker.sentences import sentences
from finetune.training.run import numbers_kept
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError
from retrieval.records.api import Instruction
from retrieval.search.dense import Retriever
from retrieval.search.fusion import Fusion, softmax
from retrieval.search.mixture import FILE, WORDING, Mixture, entropy, wording
from retrieval.search.ranker import LEXICAL_FILE, RETRIEVAL_FILE, STARTER_WEIGHTS, Ranker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SENTENCES = 1000
HELD_OUT = 0.2
_DECAY = 0.001
EVERYDAY = {
    "facets.fit": 4.2,
    "retriever.facts": 2.0,
    "popular": 0.7,
    "checkpoint": 0.35,
    "facets.general": 0.5,
    "special": -0.4,
    "narrow": -1.2,
    "facets.unasked": -0.3,
}
"""what a model is made for leads, its nearness in meaning follows, what users take most decides between
equals; "narrow" is a LoRA where no style is asked for, "unasked" whatever is made for another medium"""
TEMPERATURE = 0.1
POPULAR, DOWNLOADS, CHECKPOINT = 0.25, 0.75, 1.5
"""what is tried on popular models: at most a fourth of what nothing else explains, by downloads to the
power of 0.75, mostly on checkpoints"""


def examples(
    ranker: Ranker, pairs: Sequence[Pair], captions: Sequence[str], seed: int
) -> "tuple[Array, Array]":
    """Features [n, D] and whether each is a sentence [n]."""
    import numpy as np

    drawn = random.Random(seed)
    requests: list[tuple[Instruction, bool]] = []
    for pair in pairs:
        record = ranker.catalogue.get(pair["model_id"])
        prompt, negative = str(pair["prompt"]), str(pair.get("negative_prompt") or "")
        stripped = strip_prompt(prompt, record.model, record.trigger_words)
        for text, avoided in ((prompt, negative), (prompt, ""), (stripped, drawn.choice((negative, "")))):
            if text.strip():
                requests.append((Instruction(prompt=text, negative_prompt=avoided), False))
    requests += [
        (Instruction(prompt=made.text), True)
        for made in sentences(captions, SENTENCES, drawn.randrange(2**31))
    ]
    rows = [wording(request, entropy(_by_fusion(ranker, request))) for request, _ in requests]
    return np.asarray(rows), np.asarray([is_sentence for _, is_sentence in requests], dtype=np.float64)


@numbers_kept()
def fit(features: "Array", is_sentence: "Array") -> "Array":
    """The weights of a logistic regression, [D], ridge on all but the constant."""
    import torch

    rows, labels = torch.as_tensor(features), torch.as_tensor(is_sentence)
    weights = torch.zeros(rows.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        told = torch.nn.functional.binary_cross_entropy_with_logits(rows @ weights, labels)
        total: torch.Tensor = told + _DECAY * (weights[1:] ** 2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    found: Array = weights.detach().numpy()
    return found


def _by_fusion(ranker: Ranker, request: Instruction) -> "NDArray[np.float32]":
    return softmax(ranker.scores(request)["retrieval"], ranker.temperature)


def _unmixed(folder: Path) -> Ranker:
    """The fusions of a folder without its mixture, which may be of other features than today's."""
    catalogue = Catalogue.starter()
    retriever = Retriever.load(folder, catalogue)
    return Ranker(
        catalogue,
        Fusion.load(folder / LEXICAL_FILE),
        retriever=retriever,
        retrieval=Fusion.load(folder / RETRIEVAL_FILE) if retriever else None,
    )


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="pairs that no fusion was trained on")
    parser.add_argument("--captions", type=Path, nargs="+", required=True, help="captions, one a line")
    parser.add_argument("--weights", type=Path, default=STARTER_WEIGHTS, help="folder of the fusions")
    parser.add_argument("--output", type=Path, required=True, help=f"folder of {FILE}")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits, tells the error on what was held out, and writes the mixture."""
    import numpy as np

    options = make_parser().parse_args(arguments)
    try:
        texts = [path.read_text(encoding="utf-8") for path in options.captions]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the captions ({error}); needed is a text of one a line") from error
    captions = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    if not captions:
        raise DataError(f"{options.captions[0]} holds no caption; it needs one a line")
    ranker = _unmixed(options.weights)
    features, labels = examples(ranker, known_pairs(options.pairs, ranker.catalogue), captions, options.seed)
    held = np.random.default_rng(options.seed).random(len(labels)) < HELD_OUT
    trial = fit(features[~held], labels[~held])
    said = features[held] @ trial > 0
    for name, side in (("sentences", 1), ("prompts", 0)):
        of_side = labels[held] == side
        print(f"held out: {int(of_side.sum())} {name}, taken for the other: "
              f"{np.mean(said[of_side] != bool(side)):.3f}")  # fmt: skip
    weights = fit(features, labels)
    Mixture(
        gate={name: round(float(value), 4) for name, value in zip(WORDING, weights, strict=True)},
        everyday=EVERYDAY,
        temperature=TEMPERATURE,
        popular=POPULAR,
        downloads=DOWNLOADS,
        checkpoint=CHECKPOINT,
    ).save(options.output)
    print(f"written: {options.output / FILE}")


if __name__ == "__main__":
    run_script(main)

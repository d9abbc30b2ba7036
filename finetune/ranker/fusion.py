"""Fits the fusions: how retrieval's evidence is weighed, on training folds that the evidence never saw.

    python -m finetune.ranker.fusion --pairs pairs_train.jsonl.gz --output retrieval/search/starter

Three stages, each a fusion (retrieval/search/fusion.py) that weighs the one before it and what it adds:

    lexical    the word scores. Every pair is scored by profiles made of the other folds.
    retrieval  lexical and the cosines of the retriever, which was trained without the held-out fold
               (finetune/ranker/encoder.py --hold-out 4), on that fold.
    shortlist  retrieval and the language model's scores of the best few, trained without the fold as well.

Each pair counts in four variants: the prompt as it is or without the trigger and name words of its model,
with its negative prompt or without. A fusion is fitted as a conditional logit: the model of the pair against
the strongest others and a random few, by cross-entropy. Half of the held-out fold fits a trial, whose
accuracy and temperature the other half tells; then all of it fits the weights that are written.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.exits import run_script, tell
from diffagent_tools.llm.adapter import STARTER_ADAPTER, ranker_folder
from diffagent_tools.llm.llama import Llama
from diffagent_tools.select.shortlist import SHORTLIST_FILE
from finetune.data.folds import fold_of
from finetune.data.pairs import Pair, known_pairs
from finetune.ranker.evidence import (
    FOLDS,
    HELD_OUT,
    LEXICAL_SCORES,
    RETRIEVAL_SCORES,
    SHORTLIST_SCORES,
    Example,
    lexical_examples,
    retrieval_examples,
)
from finetune.training.run import numbers_kept
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidInput
from retrieval.search.dense import Retriever
from retrieval.search.fusion import Fusion
from retrieval.search.ranker import LEXICAL_FILE, RETRIEVAL_FILE, STARTER_WEIGHTS

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


@numbers_kept()
def fit(
    examples: Sequence[Example],
    names: Sequence[str],
    *,
    hidden: int = 24,
    epochs: int = 20,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-2,
    seed: int = 0,
    card: Mapping[str, object] | None = None,
    held: Sequence[Example] = (),
) -> Fusion:
    """A fusion fitted by cross-entropy over each example's candidates; its temperature on `held` if given.

    Raises:
        DataError: no examples.
    """
    import torch

    if not examples:
        raise DataError("no examples to fit a fusion on; needed are pairs whose models are in the catalogue")
    torch.manual_seed(seed)
    inputs, mask = _stacked(examples)
    flat = inputs[mask]
    mean, scale = flat.mean(0), flat.std(0) + 1e-3
    inputs = torch.where(mask[..., None], (inputs - mean) / scale, 0.0)
    right = torch.tensor([example.right for example in examples])
    width = inputs.shape[-1]
    linear = torch.zeros(width, requires_grad=True)
    inner = (torch.randn(width, hidden) / width**0.5).requires_grad_()
    bias = torch.zeros(hidden, requires_grad=True)
    out = torch.zeros(hidden, requires_grad=True)
    weights = [linear, inner, bias, out]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay)
    batch = min(256, len(examples))
    steps = epochs * -(-len(examples) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        order = torch.randperm(len(examples))
        for rows in (order[first : first + batch] for first in range(0, len(examples), batch)):
            x = inputs[rows]
            logits = x @ linear + torch.tanh(x @ inner + bias) @ out
            logits = logits.masked_fill(~mask[rows], -torch.inf)
            loss = torch.nn.functional.cross_entropy(logits, right[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    fusion = Fusion(
        names=tuple(names),
        mean=mean.numpy(),
        scale=scale.numpy(),
        linear=linear.detach().numpy(),
        hidden=inner.detach().numpy(),
        bias=bias.detach().numpy(),
        out=out.detach().numpy(),
        temperature=1.0,
        card=dict(card or {}),
    )
    return with_temperature(fusion, held) if held else fusion


def fit_weights(
    examples: Sequence[Example],
    names: Sequence[str],
    *,
    ridge: float = 1e-3,
    card: Mapping[str, object] | None = None,
    held: Sequence[Example] = (),
) -> Fusion:
    """A fusion of one weight a score, none below zero; its temperature on `held` if given.

    Few parameters, because the shortlist has few examples; and a score that says nothing gets the weight
    nought, so that what is added to retrieval cannot turn it round.

    Raises:
        DataError: no examples.
    """
    import numpy as np
    from scipy.optimize import minimize

    if not examples:
        raise DataError("no examples to fit weights on; the right model was in no shortlist")
    # every second column is a distance from the best, which a softmax over the candidates does not feel
    inputs = [example.inputs[:, ::2].astype(np.float64) for example in examples]

    def loss(weights: "Array") -> tuple[float, "Array"]:
        total, slope = 0.0, np.zeros_like(weights)
        for each, example in zip(inputs, examples, strict=True):
            logits = each @ weights
            chances = np.exp(logits - logits.max())
            chances /= chances.sum()
            total -= float(np.log(chances[example.right]))
            slope += each.T @ chances - each[example.right]
        count = len(examples)
        return total / count + ridge * float(weights[1:] @ weights[1:]), slope / count + ridge * 2 * np.r_[
            0.0, weights[1:]
        ]

    start = np.r_[1.0, np.zeros(len(names) - 1)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(names)).x
    width = 2 * len(names)
    linear = np.zeros(width, np.float32)
    linear[::2] = found
    fusion = Fusion(
        names=tuple(names),
        mean=np.zeros(width, np.float32),
        scale=np.ones(width, np.float32),
        linear=linear,
        hidden=np.zeros((width, 1), np.float32),
        bias=np.zeros(1, np.float32),
        out=np.zeros(1, np.float32),
        temperature=1.0,
        card={**(card or {}), "weights": dict(zip(names, map(float, found), strict=True))},
    )
    return with_temperature(fusion, held) if held else fusion


def with_temperature(fusion: Fusion, held: Sequence[Example]) -> Fusion:
    """The fusion with the temperature of the lowest cross-entropy on examples it was not fitted on
    (Guo et al. 2017)."""
    import numpy as np

    logits = [fusion.weigh(example.inputs) for example in held]

    def loss(temperature: float) -> float:
        total = 0.0
        for values, example in zip(logits, held, strict=True):
            scaled = values / temperature
            top = scaled.max()
            total += float(np.log(np.exp(scaled - top).sum()) + top - scaled[example.right])
        return total

    grid = np.geomspace(0.5, 4.0, 61)
    return replace(fusion, temperature=float(min(grid, key=loss)))


def accuracy(fusion: Fusion, examples: Sequence[Example]) -> float:
    """The share of examples whose right candidate is the best of the sampled ones."""
    weighed = [(fusion.weigh(example.inputs), example.right) for example in examples]
    return sum(not (logits > logits[right]).any() for logits, right in weighed) / max(len(examples), 1)


def _stacked(examples: Sequence[Example]) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    most = max(len(example.inputs) for example in examples)
    inputs = torch.zeros(len(examples), most, examples[0].inputs.shape[1])
    mask = torch.zeros(len(examples), most, dtype=torch.bool)
    for row, example in enumerate(examples):
        inputs[row, : len(example.inputs)] = torch.from_numpy(example.inputs)
        mask[row, : len(example.inputs)] = True
    return inputs, mask


def fit_halves(
    examples: Sequence[Example],
    names: Sequence[str],
    card: Mapping[str, object],
    make: Callable[..., Fusion],
    **settings: Any,
) -> Fusion:
    """A fusion of all examples; its temperature, and the accuracy in its card, from trials on each half.

    Args:
        make: `fit` or `fit_weights`; `settings` are its own.
    """
    import numpy as np

    report: dict[str, list[float]] = {}
    temperatures: list[float] = []
    for half in (0, 1):
        held = [example for example in examples if example.fold != half]
        trial = with_temperature(
            make([example for example in examples if example.fold == half], names, **settings), held
        )
        temperatures.append(trial.temperature)
        for variant in sorted({example.variant for example in held}):
            its = [example for example in held if example.variant == variant]
            report.setdefault(variant, []).append(accuracy(trial, its))
            first = [float(example.inputs[:, 0].argmax() == example.right) for example in its]
            report.setdefault(f"{variant}, by {names[0]} alone", []).append(float(np.mean(first)))
    shown = {name: round(float(np.mean(values)), 3) for name, values in report.items()}
    tell(f"held out, top-1 among the candidates: {shown}")
    said = {**card, "held_out_top1_of_candidates": shown, **settings}
    final = make(examples, names, card=said, **settings)
    return replace(final, temperature=float(np.mean(temperatures)))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="fit the weights of the evidence")
    parser.add_argument("--pairs", type=Path, required=True, help="training pairs, .jsonl or .jsonl.gz")
    parser.add_argument("--catalogue", type=Path, help="catalogue (default: the packaged one)")
    parser.add_argument(
        "--output", type=Path, help="folder of the weights; of the shortlist stage an adapter's"
    )
    parser.add_argument("--stage", choices=("lexical", "retrieval", "shortlist"), default="lexical")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/fusion"), help="folder for the trial's weights"
    )
    parser.add_argument("--base", help="language model of the shortlist stage (default: the embedded one)")
    parser.add_argument("--limit", type=int, help="pairs of the shortlist stage (default: all held-out ones)")
    parser.add_argument("--hidden", type=int, help="width of the hidden layer (default: 24, later stages 6)")
    parser.add_argument("--epochs", type=int, help="passes over the examples (default: 20, later stages 60)")
    parser.add_argument("--learning-rate", type=float, help="(default: 0.003, later stages 0.01)")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = make_parser().parse_args(arguments)
    catalogue = Catalogue.load(options.catalogue) if options.catalogue else Catalogue.starter()
    pairs = known_pairs(options.pairs, catalogue)
    # the later stages weigh few scores and have few examples: a small network, and more passes
    few = options.stage != "lexical"
    settings: dict[str, Any] = {
        "hidden": options.hidden or (6 if few else 24),
        "epochs": options.epochs or (60 if few else 20),
        "learning_rate": options.learning_rate or (1e-2 if few else 3e-3),
        "seed": options.seed,
    }
    if min(settings["hidden"], settings["epochs"]) < 1 or settings["learning_rate"] <= 0:
        raise InvalidInput("--hidden and --epochs must be 1 or more, --learning-rate above 0")
    card: dict[str, object] = {
        "pairs": len(pairs),
        "catalogue": catalogue.name,
        "catalogue_digest": catalogue.digest,
    }
    shortlist = options.stage == "shortlist"
    folder: Path = options.output or (STARTER_ADAPTER if shortlist else STARTER_WEIGHTS)
    trial = options.work / LEXICAL_FILE
    if options.stage == "lexical":
        fusion, file = _fit_lexical(catalogue, pairs, trial, card, settings), LEXICAL_FILE
    elif options.stage == "retrieval":
        examples = _held_out(catalogue, pairs, trial, folder, seed=options.seed)
        fusion, file = fit_halves(examples, RETRIEVAL_SCORES, card, fit, **settings), RETRIEVAL_FILE
    else:
        llama = Llama.load(catalogue, base=options.base, adapter=folder)
        weights = ranker_folder(folder)
        more = {"llama": llama, "retrieval": Fusion.load(weights / RETRIEVAL_FILE), "limit": options.limit}
        examples = _held_out(catalogue, pairs, trial, weights, seed=options.seed, **more)
        fusion, file = fit_halves(examples, SHORTLIST_SCORES, card, fit_weights), SHORTLIST_FILE
    fusion.save(folder / file)
    print(f"wrote {folder / file}")


def _fit_lexical(
    catalogue: Catalogue, pairs: Sequence[Pair], trial_file: Path, card: dict[str, object], settings: Any
) -> Fusion:
    """The fusion of the word scores; what the later stages build on is fitted without the held-out fold."""
    examples = list(lexical_examples(catalogue, pairs, fold_of(pairs, FOLDS), seed=settings["seed"]))
    held = [example for example in examples if example.fold == HELD_OUT]
    trial = fit([e for e in examples if e.fold != HELD_OUT], LEXICAL_SCORES, **settings)
    trial = with_temperature(trial, held)
    trial.save(trial_file)
    report = {
        variant: round(accuracy(trial, [e for e in held if e.variant == variant]), 3)
        for variant in sorted({e.variant for e in held})
    }
    tell(f"held-out fold, top-1 among the candidates: {report}; temperature {trial.temperature:.2f}")
    said = {**card, "held_out_top1_of_candidates": report, **settings}
    final = fit(examples, LEXICAL_SCORES, card=said, **settings)
    # the temperature of the trial: no fold is left that the final weights did not see
    return replace(final, temperature=trial.temperature)


def _held_out(
    catalogue: Catalogue, pairs: Sequence[Pair], trial_file: Path, weights: Path, **more: Any
) -> list[Example]:
    """`retrieval_examples` with the retriever of a folder."""
    # the catalogue's terms are of all folds
    retriever = Retriever.load(weights, catalogue, stand_ins=False)
    if retriever is None:
        raise DataError(f"{weights} has no retriever; train one: python -m finetune.ranker.encoder")
    folds, lexical = fold_of(pairs, FOLDS), Fusion.load(trial_file)
    return list(retrieval_examples(catalogue, pairs, folds, lexical, retriever, **more))


if __name__ == "__main__":
    run_script(main)

"""Fits the fusions: how retrieval's evidence is weighed, on training folds that the evidence never saw.

    python -m finetune.fusion --pairs pairs_train.jsonl.gz --output diffagent_tools/adapters/starter

Every pair is scored by profiles made of the other folds, in four variants: the prompt as it is or without the
trigger and name words of its model, with its negative prompt or without. A fusion is fitted as a conditional
logit: the model of the pair against the strongest others and a random few, by cross-entropy. The temperature
is fitted last, on a fold that the weights did not see.
"""

import argparse
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.fusion import Fusion, design
from diffagent_tools.ranking import LEXICAL_FILE, STARTER_ADAPTER
from finetune.folds import Pair, fold_of, with_profiles
from finetune.stripping import strip_prompt
from retrieval.api import Instruction
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidInput
from retrieval.lexical import LexicalScorer

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

HARD = 150
RANDOM = 40
FOLDS = 5
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
    stripped = strip_prompt(pair["prompt"], record.model, record.trigger_words)
    for name, prompt in (("raw", pair["prompt"]), ("stripped", stripped)):
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
    picked = random.choice(len(rest), size=min(RANDOM, len(rest)), replace=False) if rest else []
    return hard + [rest[place] for place in picked]


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
    import numpy as np
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
        for rows in torch.randperm(len(examples)).split(batch):
            x = inputs[rows]
            logits = x @ linear + torch.tanh(x @ inner + bias) @ out
            logits = logits.masked_fill(~mask[rows], -torch.inf)
            loss = torch.nn.functional.cross_entropy(logits, right[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    arrays = [weight.detach().numpy().astype(np.float32) for weight in weights]
    fusion = Fusion(
        tuple(names), mean.numpy(), scale.numpy(), *arrays, temperature=1.0, card=dict(card or {})
    )
    return with_temperature(fusion, held) if held else fusion


def with_temperature(fusion: Fusion, held: Sequence[Example]) -> Fusion:
    """The fusion with the temperature of the lowest cross-entropy on examples it was not fitted on
    (Guo et al. 2017)."""
    from dataclasses import replace

    import numpy as np

    logits = [score(fusion, example) for example in held]

    def loss(temperature: float) -> float:
        total = 0.0
        for values, example in zip(logits, held, strict=True):
            scaled = values / temperature
            top = scaled.max()
            total += float(np.log(np.exp(scaled - top).sum()) + top - scaled[example.right])
        return total

    grid = np.geomspace(0.5, 4.0, 61)
    return replace(fusion, temperature=float(min(grid, key=loss)))


def score(fusion: Fusion, example: Example) -> "Array":
    """The fusion's logits of an example's candidates, [C]."""
    import numpy as np

    x = (example.inputs - fusion.mean) / fusion.scale
    logits: Array = x @ fusion.linear + np.tanh(x @ fusion.hidden + fusion.bias) @ fusion.out
    return logits


def accuracy(fusion: Fusion, examples: Sequence[Example], k: int = 1) -> float:
    """The share of examples whose right candidate is among the best k of the sampled ones."""
    hits = 0
    for example in examples:
        logits = score(fusion, example)
        hits += int((logits > logits[example.right]).sum() < k)
    return hits / max(len(examples), 1)


def _stacked(examples: Sequence[Example]) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    most = max(len(example.inputs) for example in examples)
    inputs = torch.zeros(len(examples), most, examples[0].inputs.shape[1])
    mask = torch.zeros(len(examples), most, dtype=torch.bool)
    for row, example in enumerate(examples):
        inputs[row, : len(example.inputs)] = torch.from_numpy(example.inputs)
        mask[row, : len(example.inputs)] = True
    return inputs, mask


def read_pairs(path: Path, catalogue: Catalogue) -> list[Pair]:
    """The pairs of a `.jsonl` or `.jsonl.gz` file whose models the catalogue holds.

    Raises:
        DataError: the file cannot be read, or no pair of it names a model of the catalogue.
    """
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines if line.strip()]
    except (OSError, EOFError, ValueError) as error:
        raise DataError(
            f"cannot read the pairs {path} ({error}); needed is a .jsonl or .jsonl.gz file"
        ) from error
    kept = [row for row in rows if row["model_id"] in catalogue]
    if not kept:
        raise DataError(f"none of the {len(rows)} pairs in {path} names a model of {catalogue.name}")
    return kept


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="fit the weights of retrieval's evidence")
    parser.add_argument("--pairs", type=Path, required=True, help="training pairs, .jsonl or .jsonl.gz")
    parser.add_argument("--catalogue", type=Path, help="catalogue (default: the packaged one)")
    parser.add_argument("--output", type=Path, default=STARTER_ADAPTER, help="the adapter's folder")
    parser.add_argument("--hidden", type=int, default=24, help="width of the hidden layer")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = make_parser().parse_args(arguments)
    catalogue = Catalogue.load(options.catalogue) if options.catalogue else Catalogue.starter()
    pairs = read_pairs(options.pairs, catalogue)
    if options.hidden < 1 or options.epochs < 1:
        raise InvalidInput("--hidden and --epochs must be 1 or more")
    examples = list(lexical_examples(catalogue, pairs, fold_of(pairs, FOLDS), seed=options.seed))
    last = FOLDS - 1
    settings = {"hidden": options.hidden, "epochs": options.epochs, "seed": options.seed}
    trial = fit([e for e in examples if e.fold != last], LEXICAL_SCORES, **settings)
    held = [e for e in examples if e.fold == last]
    trial = with_temperature(trial, held)
    report = {
        variant: round(accuracy(trial, [e for e in held if e.variant == variant]), 3)
        for variant in sorted({e.variant for e in held})
    }
    print(f"held-out fold, top-1 among the sampled candidates: {report}; temperature {trial.temperature:.2f}")
    card = {
        "pairs": len(pairs),
        "examples": len(examples),
        "catalogue": catalogue.name,
        "catalogue_digest": catalogue.digest,
        "held_out_top1_of_sampled": report,
        **settings,
    }
    final = fit(examples, LEXICAL_SCORES, **settings, card=card)
    from dataclasses import replace

    # the temperature of the trial: no fold is left that the final weights did not see
    replace(final, temperature=trial.temperature).save(options.output / LEXICAL_FILE)
    print(f"wrote {options.output / LEXICAL_FILE}")


if __name__ == "__main__":
    main()

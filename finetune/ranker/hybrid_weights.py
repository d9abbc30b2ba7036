"""Fits the weights of the index's hybrid search on held-out training pairs.

    python -m finetune.ranker.hybrid_weights --models models.jsonl.gz --pairs pairs_train.jsonl.gz
    python -m finetune.ranker.hybrid_weights --models models.jsonl.gz --pairs pairs_train.jsonl.gz \\
        --report pairs_val.jsonl.gz

Of five folds of the training pairs (near-duplicates lie in one fold) `--folds` are held out in turn: the
records are made from the other pairs, and the held-out prompts must find their model among all of them. Every
prompt is asked as it is and stripped of its model's trigger and name words, and every model is asked for by
its bare name. The weights are those of a conditional logit, a softmax over all models, and none is negative:
a better fit may not count against a model, however unlike the training prompts a request is. `--report`
measures the packaged weights on other pairs; it fits nothing.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.exits import run_script
from finetune.dabench.starter import build_records, read_models
from finetune.dabench.starter_screen import screen
from finetune.data.folds import fold_of
from finetune.data.pairs import Pair, read_pairs
from finetune.data.stripping import stripped
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord, document_text
from retrieval.search.encoders import Embedder, PackagedEmbedder
from retrieval.search.hybrid import DENSE, WEIGHTS, HybridScorer, packaged_weights
from retrieval.storage import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

Row = Mapping[str, Any]
FOLDS = 5
KS = (1, 5, 10, 20)
_NEGATIVE = "negative."
_NAME_SHARE = 0.25  # what a request by name counts beside a prompt
_L2 = 1e-3


@dataclass(frozen=True)
class Asked:
    """Requests of one kind: features each [Q, N], the place of the right model [Q], what a request counts."""

    kind: str
    features: dict[str, "Scores"]
    right: "NDArray[np.int64]"
    share: float = 1.0


def ask(records: Sequence[ModelRecord], pairs: Sequence[Pair], embedder: Embedder) -> list[Asked]:
    """What the records' scores say of held-out pairs, and of every model's bare name."""
    scorer = HybridScorer(records, {})
    documents = embedder.embed([document_text(record) for record in records])
    place = {record.model_id: i for i, record in enumerate(records)}
    named = {record.model_id: record for record in records}
    as_they_are = [
        (pair["prompt"], pair["negative_prompt"], pair["model_id"])
        for pair in pairs
        if pair["model_id"] in place
    ]
    requests = {
        "as they are": as_they_are,
        "stripped": [
            (stripped(prompt, named[model_id]), negative, model_id)
            for prompt, negative, model_id in as_they_are
        ],
        "by name": [(record.model, "", record.model_id) for record in records],
    }
    asked = []
    for kind, listed in requests.items():
        features = _features(scorer, documents, listed, embedder)
        right = [place[model_id] for _, _, model_id in listed]
        asked.append(Asked(kind, features, _array(right), _NAME_SHARE if kind == "by name" else 1.0))
    return asked


def fit(asked: Sequence[Asked], *, negative: bool) -> dict[str, float]:
    """The weights by feature that make the right models most likely; those of no use are left out."""
    import numpy as np
    import torch
    from scipy.optimize import minimize

    names = [n for n in asked[0].features if negative or not n.startswith(_NEGATIVE)]
    stacked = [torch.from_numpy(np.stack([a.features[n] for n in names], axis=-1)) for a in asked]
    rights = [torch.from_numpy(a.right) for a in asked]
    squares = sum((s.double() ** 2).sum((0, 1)) for s in stacked)
    sums = sum(s.double().sum((0, 1)) for s in stacked)
    count = sum(s.shape[0] * s.shape[1] for s in stacked)
    deviation = (torch.as_tensor(squares / count - (sums / count) ** 2).sqrt() + 1e-6).float()
    total = sum(a.share * len(a.right) for a in asked)

    def loss_and_slope(weights: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
        scaled = torch.tensor(weights, dtype=torch.float32, requires_grad=True)
        loss = _L2 * (scaled * scaled).sum()
        for one, features, right in zip(asked, stacked, rights, strict=True):
            logits = features @ (scaled / deviation)
            entropy = torch.nn.functional.cross_entropy(logits, right, reduction="sum")
            loss = loss + one.share / total * entropy
        loss.backward()  # type: ignore[no-untyped-call]
        assert scaled.grad is not None
        return float(loss.detach()), scaled.grad.double().numpy()

    start = np.full(len(names), 0.1)
    found = minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(names))
    weights = found.x / deviation.numpy()
    return {name: round(float(w), 3) for name, w in zip(names, weights, strict=True) if w >= 5e-4}


def without_negative(asked: Asked) -> Asked:
    """The same requests as if nobody had said what shall not be seen."""
    features = {n: (s * 0 if n.startswith(_NEGATIVE) else s) for n, s in asked.features.items()}
    return Asked(asked.kind, features, asked.right, asked.share)


def accuracies(asked: Asked, weights: Mapping[str, float]) -> dict[int, float]:
    """The share of requests whose model is among the best k; a tie counts as half lost."""
    import numpy as np

    scores = np.zeros_like(asked.features[DENSE])
    for name, weight in weights.items():
        scores += weight * asked.features[name]
    own = scores[np.arange(len(asked.right)), asked.right][:, None]
    ranks = (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2
    return {k: float((ranks < k).mean()) for k in KS}


def _features(
    scorer: HybridScorer,
    documents: "Scores",
    requests: Sequence[tuple[str, str, int]],
    embedder: Embedder,
) -> dict[str, "Scores"]:
    import numpy as np

    rows = [
        # a prompt of which nothing is left when it is stripped still counts
        scorer.features(Instruction(prompt=prompt.strip() or ".", negative_prompt=negative))
        for prompt, negative, _ in requests
    ]
    features = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    features[DENSE] = embedder.embed([prompt for prompt, _, _ in requests]) @ documents.T
    return features


def _array(values: Sequence[int]) -> "NDArray[np.int64]":
    import numpy as np

    return np.asarray(values, dtype=np.int64)


def records_of(models: Sequence[Row], pairs: Sequence[Pair]) -> list[ModelRecord]:
    """The records as the starter catalogue has them, made of these pairs alone."""
    return build_records(models, pairs, [model["description"] for model in models])


def held_out(models: Sequence[Row], pairs: Sequence[Pair], folds: int, embedder: Embedder) -> list[Asked]:
    """What `ask` says of each of the first `folds` folds, with records made from the others."""
    fold = fold_of(pairs, FOLDS)
    asked: list[Asked] = []
    for out in range(folds):
        records = records_of(models, [p for p, f in zip(pairs, fold, strict=True) if f != out])
        asked += ask(records, [p for p, f in zip(pairs, fold, strict=True) if f == out], embedder)
    return asked


def report(asked: Sequence[Asked], weights: Mapping[str, Mapping[str, float]]) -> str:
    """A table: top-1, 5, 10 and 20 of every kind of request, without and with its negative prompt."""
    lines = [
        "| requests | negative prompt | " + " | ".join(f"top-{k}" for k in KS) + " |",
        "|---|---|" + "---|" * len(KS),
    ]
    for one in asked:
        for negative, named in ((False, "prompt"), (True, "prompt and negative prompt")):
            if negative and one.kind == "by name":
                continue
            found = accuracies(one if negative else without_negative(one), weights[named])
            cells = " | ".join(f"{share:.3f}" for share in found.values())
            lines.append(f"| {len(one.right)} {one.kind} | {'yes' if negative else 'no'} | {cells} |")
    return "\n".join(lines)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="fit the weights of the hybrid search")
    parser.add_argument("--models", type=Path, required=True, help="models, .jsonl.gz")
    parser.add_argument("--pairs", type=Path, required=True, help="training pairs, .jsonl.gz")
    parser.add_argument("--folds", type=int, default=2, choices=range(1, FOLDS + 1), help="folds held out")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="the file of weights to write")
    parser.add_argument("--report", type=Path, help="other pairs to measure the packaged weights on")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = make_parser().parse_args(arguments)
    models, pairs = screen(read_models(options.models)).kept, read_pairs(options.pairs)
    embedder = PackagedEmbedder()
    if options.report:
        asked = ask(records_of(models, pairs), read_pairs(options.report), embedder)
        print(report(asked, packaged_weights()))
        return
    asked = held_out(models, pairs, options.folds, embedder)
    weights = {
        "prompt": fit([without_negative(one) for one in asked], negative=False),
        "prompt and negative prompt": fit(asked, negative=True),
    }
    command = f"python -m finetune.ranker.hybrid_weights --models ... --pairs ... --folds {options.folds}"
    content = {
        "comment": f"fitted by `{command}`, on {options.folds} held-out folds of {FOLDS} of the pairs",
        "weights": weights,
    }
    atomic_write(options.output, (json.dumps(content, indent=2) + "\n").encode())
    print(f"{options.output} written; on the pairs they were fitted on:")
    print(report(asked, weights))


if __name__ == "__main__":
    run_script(main)

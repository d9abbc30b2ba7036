"""From answers to figures: what a report says of one variant of the prompts, as plain JSON values.

    summary = summarise(cases, predictions, shortlists, catalogue, trained={model id: pairs})
    summary["shortlist recall"]["10"]["mean"], summary["accuracy"]["1"]["mean"]

Errors and empty prompts count as wrong; ranks beyond what was asked for count as wrong.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from finetune.data.cases import Case
from finetune.evaluate.baselines import Baseline
from finetune.evaluate.metrics import (
    PARAMETERS,
    Floats,
    Outcome,
    Ranks,
    agreement,
    bootstrap,
    calibration,
    distinct,
    hallucination,
    hits,
    outcome_of,
    outcome_rates,
    paired_difference,
    percentiles,
    rank_in_list,
    reciprocal_ranks,
    risk_coverage,
    worst_ranks,
)
from finetune.evaluate.predictions import Prediction
from retrieval.calls.compose import default_settings
from retrieval.catalogue import Catalogue
from retrieval.records.api import T2IApi
from retrieval.tables.families import family_of

RECALL_AT = (1, 5, 10, 20, 50)
ACCURACY_AT = (1, 5, 10)
CUTOFF = 10
_CURVE_POINTS = 20
Values = dict[str, Any]


def summarise(
    cases: Sequence[Case],
    predictions: Sequence[Prediction],
    shortlists: Sequence[Prediction],
    catalogue: Catalogue,
    trained: Mapping[int, int],
    *,
    free: bool = False,
) -> Values:
    """All figures of one variant.

    Args:
        shortlists: what retrieval alone proposes for the same cases, longest first rank.
        trained: how many training pairs each model has.
        free: the language model wrote the answers itself.
    """
    ranks = ranks_of(cases, predictions)
    shortlist = ranks_of(cases, shortlists)
    right = hits(ranks, 1)
    summary: Values = {
        "prompts": len(cases),
        "empty prompts": sum(case.empty for case in cases),
        "errors": sum(prediction.error is not None for prediction in predictions),
        "gold not in the catalogue": sum(case.gold not in catalogue for case in cases),
        "shortlist recall": {str(k): asdict(bootstrap(hits(shortlist, k))) for k in RECALL_AT},
        "accuracy": {str(k): asdict(bootstrap(hits(ranks, k))) for k in ACCURACY_AT},
        f"mrr@{CUTOFF}": asdict(bootstrap(reciprocal_ranks(ranks, CUTOFF))),
        "slices": _slices(cases, ranks, shortlist, catalogue, trained),
        "parameters": _parameters(cases, predictions, right),
    }
    summary.update(names(predictions, catalogue))
    if free:
        summary["free"] = free_figures(cases, predictions, catalogue)
    summary["calibration"] = _calibration(predictions, right)
    return summary


def ranks_of(cases: Sequence[Case], predictions: Sequence[Prediction]) -> Ranks:
    """One-based rank of each case's model; 0 for an error and for a model that is not listed."""
    return np.asarray(
        [
            rank_in_list(case.gold, prediction.ids)
            for case, prediction in zip(cases, predictions, strict=True)
        ],
        dtype=np.int64,
    )


def names(predictions: Sequence[Prediction], catalogue: Catalogue) -> Values:
    """What needs no known model: names outside the catalogue, distinct models, latency."""
    outside = [
        name for p in predictions for model_id, name, _ in p.ranked if not _holds(catalogue, model_id, name)
    ]
    return {
        "answered": sum(p.error is None for p in predictions),
        "abstained": sum(p.abstained for p in predictions),
        "names given": sum(len(p.ranked) for p in predictions),
        "names outside the catalogue": len(outside),
        "outside the catalogue": sorted(set(outside))[:20],
        "distinct models": distinct([p.ids[0] for p in predictions if p.ranked]),
        "latency seconds": percentiles([p.seconds for p in predictions if p.error is None]),
    }


def free_figures(cases: Sequence[Case], predictions: Sequence[Prediction], catalogue: Catalogue) -> Values:
    """What the language model wrote, before any repair. Requests it was not asked (errors) are left out."""
    said = [
        outcome_of(prediction.said, case.gold, catalogue)
        for case, prediction in zip(cases, predictions, strict=True)
        if prediction.said is not None
    ]
    known = any(case.gold is not None for case in cases)
    return {"written": len(said), **said_figures(said, known=known)}


def said_figures(said: Sequence[tuple[Outcome, str | None]], *, known: bool) -> Values:
    """Of answers by their outcomes and the names in them; `known`: whether there is a right model."""
    outcomes, spoken = [outcome for outcome, _ in said], [name for _, name in said]
    often = Counter(name for name in spoken if name is not None).most_common(1)
    return {
        "hallucination error": asdict(bootstrap(hallucination(outcomes))),
        "split": outcome_rates(outcomes),
        "top-1": right_share(outcomes) if known else None,
        "distinct names": distinct(spoken),
        "share of the most frequent name": often[0][1] / len(said) if often else 0.0,
    }


def right_share(outcomes: Sequence[Outcome]) -> Values:
    """The share that names the right model, with its interval."""
    return asdict(bootstrap([outcome == "correct" for outcome in outcomes]))


def compare(
    cases: Sequence[Case],
    baselines: Mapping[str, Baseline],
    columns: Mapping[int, int],
    *,
    ranks: Ranks | None = None,
    progress: Callable[[str], None],
) -> dict[str, Values]:
    """Each baseline's accuracy at 1, 5, 10 and 20, and what a selector gains on the same prompts.

    Args:
        columns: model id -> column of the baselines' scores; a gold model without one is wrong for them.
        ranks: the selector's.
    """
    gold = [columns.get(case.gold, -1) if case.gold is not None else -1 for case in cases]
    found: dict[str, Values] = {}
    for name, search in baselines.items():
        progress(f"baseline {name}")
        scores = search([case.prompt for case in cases], [case.negative_prompt for case in cases])
        theirs = worst_ranks(scores, gold)
        found[name] = {
            "accuracy": {str(k): asdict(bootstrap(hits(theirs, k))) for k in (*ACCURACY_AT, 20)},
            f"mrr@{CUTOFF}": asdict(bootstrap(reciprocal_ranks(theirs, CUTOFF))),
        }
        if ranks is not None:
            found[name]["gain"] = {
                str(k): asdict(paired_difference(hits(ranks, k), hits(theirs, k))) for k in ACCURACY_AT
            }
    return found


def examples_slice(pairs: int) -> str:
    """The row of the table by number of training examples."""
    return "0" if pairs <= 0 else "1-2" if pairs <= 2 else "3-9" if pairs <= 9 else "10+"


def _slices(
    cases: Sequence[Case], ranks: Ranks, shortlist: Ranks, catalogue: Catalogue, trained: Mapping[int, int]
) -> dict[str, dict[str, Values]]:
    known = [catalogue.get(case.gold) if case.gold in catalogue else None for case in cases]  # type: ignore[arg-type]
    keys = {
        "type": [record.type if record else "not in the catalogue" for record in known],
        "training examples": [examples_slice(trained.get(case.gold or -1, 0)) for case in cases],
        "family": [record.base_model if record else "not in the catalogue" for record in known],
    }
    order = {"training examples": ("0", "1-2", "3-9", "10+")}
    found: dict[str, dict[str, Values]] = {}
    for title, labels in keys.items():
        found[title] = {}
        for label in [row for row in order.get(title, sorted(set(labels))) if row in labels]:
            chosen = np.flatnonzero(np.asarray(labels) == label)
            found[title][label] = {
                "prompts": len(chosen),
                "accuracy": {str(k): asdict(bootstrap(hits(ranks[chosen], k))) for k in ACCURACY_AT},
                "shortlist recall": {str(k): asdict(bootstrap(hits(shortlist[chosen], k))) for k in (10, 50)},
            }
    return found


def _parameters(cases: Sequence[Case], predictions: Sequence[Prediction], right: Floats) -> Values:
    """Agreement of the first API with the pair: over all answers, over those that name the right model, and
    of the family's bare defaults, which any selector could give."""
    groups: dict[str, list[dict[str, float]]] = {"all answers": [], "right model": [], "defaults": []}
    for case, prediction, hit in zip(cases, predictions, right, strict=True):
        call = prediction.call()
        if call is None or case.pair is None:
            continue
        agreed = agreement(call, case.pair)
        groups["all answers"].append(agreed)
        groups["defaults"].append(agreement(_defaults(call), case.pair))
        if hit:
            groups["right model"].append(agreed)
    return {
        title: {name: asdict(bootstrap([row[name] for row in rows if name in row])) for name in PARAMETERS}
        for title, rows in groups.items()
    }


def _defaults(api: T2IApi) -> T2IApi:
    return api.model_copy(update=default_settings(family_of(api.base_model)))


def _calibration(predictions: Sequence[Prediction], right: Floats) -> Values | None:
    """None where no answer has a confidence. Errors have none and are left out."""
    kept = [place for place, prediction in enumerate(predictions) if prediction.confidence is not None]
    if not kept:
        return None
    said = np.asarray([predictions[place].confidence for place in kept], dtype=np.float64)
    found = calibration(said, right[kept])
    curve = risk_coverage(said, right[kept])
    points = np.unique(np.linspace(0, len(kept) - 1, min(_CURVE_POINTS, len(kept))).round().astype(int))
    return {
        "answers": len(kept),
        "ece equal mass, 10 bins": found.ece_mass,
        "ece equal width, 10 bins": found.ece_width,
        "brier": found.brier,
        "bins": [list(part) for part in found.bins],
        "aurc": curve.aurc,
        "risk at coverage": [[float(curve.coverage[i]), float(curve.risk[i])] for i in points],
    }


def _holds(catalogue: Catalogue, model_id: int | None, name: str) -> bool:
    return model_id is not None and model_id in catalogue and catalogue.get(model_id).model == name

"""Measures of a model selector: pure functions on arrays and literals, no model and no file.

    ranks = worst_ranks(scores, gold)           # scores [Q, N], gold [Q] -> one-based ranks [Q]
    bootstrap(hits(ranks, 10))                  # top-10 accuracy with its 95% interval
    paired_difference(hits(ours, 1), hits(theirs, 1))

Ties are counted against us: a gold model that shares its score with others stands last among them. A rank of
0 means that the gold model is not in the list at all.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrieval.calls.verdict import judge
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi
from retrieval.records.api import T2IApi, read_api
from retrieval.tables.samplers import find_sampler

Floats = NDArray[np.float64]
Ranks = NDArray[np.int64]
Outcome = Literal["correct", "wrong but real", "invented", "unavailable", "unparsable"]
OUTCOMES: tuple[Outcome, ...] = ("correct", "wrong but real", "invented", "unavailable", "unparsable")
HALLUCINATED: frozenset[Outcome] = frozenset({"invented", "unavailable", "unparsable"})
PARAMETERS = ("sampler", "size", "steps", "cfg")
TOLERANCE = 0.2
_SAMPLES = 2000
_ENDS = ((1 - 0.95) / 2, (1 + 0.95) / 2)  # of an interval that holds 95%


@dataclass(frozen=True)
class Interval:
    """A mean over `count` prompts with its bootstrap interval; all nan where there are none."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error with equal-mass and with equal-width bins, Brier score, and per bin of
    equal mass: mean confidence, share right, size."""

    ece_mass: float
    ece_width: float
    brier: float
    bins: tuple[tuple[float, float, int], ...]


@dataclass(frozen=True)
class RiskCoverage:
    """`risk[i]`: the share wrong among the `i + 1` most confident answers; `aurc`: its mean over coverage."""

    coverage: Floats
    risk: Floats
    aurc: float


def worst_ranks(scores: ArrayLike, gold: ArrayLike) -> Ranks:
    """One-based rank of column `gold[q]` in row q of `scores` [Q, N]; last among its equals. A gold of -1
    (no such column) gives 0."""
    table, columns = np.asarray(scores, dtype=np.float64), np.asarray(gold, dtype=np.int64)
    found: Ranks = np.zeros(len(columns), dtype=np.int64)
    for row, column in enumerate(columns):
        if column >= 0:
            found[row] = int((table[row] >= table[row, column]).sum())
    return found


def rank_in_list(gold: object, ranked: Sequence[object]) -> int:
    """One-based place of `gold` in a ranked list; 0 if it is not there."""
    return next((place for place, item in enumerate(ranked, start=1) if item == gold), 0)


def hits(ranks: ArrayLike, k: int) -> Floats:
    """[Q] of 1.0 where the gold model is among the first k."""
    places = np.asarray(ranks)
    return ((places >= 1) & (places <= k)).astype(np.float64)


def reciprocal_ranks(ranks: ArrayLike, cutoff: int | None = None) -> Floats:
    """[Q] of 1 / rank, 0 where the rank is 0 or beyond the cutoff; their mean is the MRR."""
    places = np.asarray(ranks, dtype=np.float64)
    counted = (places >= 1) if cutoff is None else (places >= 1) & (places <= cutoff)
    return np.where(counted, 1 / np.maximum(places, 1), 0.0)


def bootstrap(values: ArrayLike) -> Interval:
    """The mean of one value a prompt, with the percentile bootstrap interval over prompts."""
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    drawn = np.random.default_rng(0).integers(0, data.size, size=(_SAMPLES, data.size))
    low, high = np.quantile(data[drawn].mean(1), _ENDS)
    return Interval(float(data.mean()), float(low), float(high), int(data.size))


def bootstrap_ratio(parts: ArrayLike, wholes: ArrayLike) -> Interval:
    """sum(parts) / sum(wholes), with the percentile bootstrap interval over prompts.

    For shares of unequally many things a prompt, such as ratings without ties; `count` is sum(wholes).

    Raises:
        ValueError: not one part a whole.
    """
    some, all_ = np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)
    if some.shape != all_.shape:
        raise ValueError(f"{some.size} parts of {all_.size} wholes; each prompt needs both")
    if all_.sum() == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    drawn = np.random.default_rng(0).integers(0, all_.size, size=(_SAMPLES, all_.size))
    below = all_[drawn].sum(1)
    # a sample of prompts that have none says nothing of the share
    ratios = some[drawn].sum(1)[below > 0] / below[below > 0]
    low, high = np.quantile(ratios, _ENDS)
    return Interval(float(some.sum() / all_.sum()), float(low), float(high), int(all_.sum()))


def paired_difference(ours: ArrayLike, theirs: ArrayLike) -> Interval:
    """Mean of ours - theirs on the same prompts; an interval above zero says that ours is better.

    Raises:
        ValueError: not the same number of prompts.
    """
    first, second = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"{first.size} values against {second.size}; a pair needs both for each prompt")
    return bootstrap(first - second)


def calibration(confidence: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> Calibration:
    """Expected calibration error sum_b n_b / n |share right in b - mean confidence in b|.

    Equal mass: the answers sorted by confidence are cut into `bins` parts whose sizes differ by one at most
    (equal confidences keep their order in the input); equal width: [0, 1] is cut into `bins` equal parts.
    """
    said, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if said.size == 0:
        return Calibration(float("nan"), float("nan"), float("nan"), ())
    mass = [part for part in np.array_split(np.argsort(said, kind="stable"), bins) if part.size]
    width = np.minimum((said * bins).astype(int), bins - 1)
    by_width = [np.flatnonzero(width == number) for number in range(bins)]
    return Calibration(
        ece_mass=_ece(mass, said, right),
        ece_width=_ece([part for part in by_width if part.size], said, right),
        brier=float(np.mean((said - right) ** 2)),
        bins=tuple((float(said[part].mean()), float(right[part].mean()), int(part.size)) for part in mass),
    )


def _ece(parts: Sequence[NDArray[np.int64]], said: Floats, right: Floats) -> float:
    return float(sum(part.size * abs(right[part].mean() - said[part].mean()) for part in parts) / said.size)


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """Risk among the most confident answers, for every coverage from 1/n to 1.

    Equal confidences are averaged: each counts the share wrong among its equals, so that the order of the
    input does not matter.
    """
    said, wrong = np.asarray(confidence, dtype=np.float64), 1 - np.asarray(correct, dtype=np.float64)
    if said.size == 0:
        return RiskCoverage(np.zeros(0), np.zeros(0), float("nan"))
    levels, group = np.unique(-said, return_inverse=True)
    share = np.bincount(group, weights=wrong, minlength=len(levels)) / np.bincount(group)
    counted = np.arange(1, said.size + 1)
    risk = np.cumsum(share[np.sort(group)]) / counted
    return RiskCoverage(counted / said.size, risk, float(risk.mean()))


def outcome_of(said: str, gold: int | None, catalogue: Catalogue) -> tuple[Outcome, str | None]:
    """What a language model's own answer is worth, before any repair, and the name in it.

    "correct" and "wrong but real" hold for another spelling of a real name, too; "unavailable": the model, or
    the version that the answer names, can no longer be had; "invented": no model is called so;
    "unparsable": no T2I API can be read out of the text. Without a gold model nothing is "correct".
    """
    try:
        api = read_api(said).api
    except InvalidApi:
        return "unparsable", None
    return outcome_of_api(api, gold, catalogue), api.model


def outcome_of_api(api: T2IApi, gold: int | None, catalogue: Catalogue) -> Outcome:
    """As `outcome_of`, of an API that has been read."""
    verdict = judge(api, catalogue)
    kinds = {problem.kind for problem in verdict.problems}
    if verdict.record is None:
        return "invented"
    if "unavailable" in kinds:
        return "unavailable"
    return "correct" if verdict.record.model_id == gold else "wrong but real"


def outcome_rates(outcomes: Sequence[Outcome]) -> dict[Outcome, float]:
    """The share of each outcome, 0 where it did not occur."""
    counts = Counter(outcomes)
    return {kind: counts[kind] / max(len(outcomes), 1) for kind in OUTCOMES}


def hallucination(outcomes: Sequence[Outcome]) -> Floats:
    """[Q] of 1.0 where nothing that exists and can be had was named: invented, unavailable or unparsable."""
    return np.asarray([kind in HALLUCINATED for kind in outcomes], dtype=np.float64)


def distinct(names: Sequence[object]) -> int:
    """How many different models were named; None is no name."""
    return len({name for name in names if name is not None})


def percentiles(seconds: ArrayLike) -> dict[str, float]:
    """`{"p50": ..., "p95": ...}` of durations, linearly interpolated; empty without durations."""
    data = np.asarray(seconds, dtype=np.float64)
    return {f"p{p}": float(np.percentile(data, p)) for p in (50, 95)} if data.size else {}


def agreement(api: T2IApi, pair: Mapping[str, Any]) -> dict[str, float]:
    """For each of `PARAMETERS` that the pair holds, 1.0 where the API agrees with it.

    The sampler must be the same (its spelling may differ); steps, cfg, and both width and height lie within
    20% of the pair's.
    """
    found: dict[str, float] = {}
    if pair.get("sampling_method"):
        found["sampler"] = float(_sampler(api.sampling_method) == _sampler(pair["sampling_method"]))
    if pair.get("width") and pair.get("height"):
        near = _near(api.width, pair["width"]) and _near(api.height, pair["height"])
        found["size"] = float(near)
    if pair.get("sampling_steps"):
        found["steps"] = float(_near(api.sampling_steps, pair["sampling_steps"]))
    if pair.get("cfg_scale"):
        found["cfg"] = float(_near(api.cfg_scale, pair["cfg_scale"]))
    return found


def _sampler(name: str) -> str:
    known = find_sampler(name)
    return known.name if known else " ".join(name.casefold().split())


def _near(value: float, wanted: float) -> bool:
    # a hair more than 20%, so that 24 for 20 is within whatever the rounding
    return abs(value - wanted) <= TOLERANCE * abs(wanted) + 1e-9

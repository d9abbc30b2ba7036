"""The Unified Metric of the paper (Eq. 5 and 6) as pure functions, and its calibration file.

    unified({"clip": clip, "imagereward": reward, "hps-v2.1": hps}, normalise="pool")   # [..., k] -> [...]

    python -m finetune.rewards.unified --store scores/ --output calibration.json

The paper normalises each score "to the range [0, 1]" and does not say how. Two ways are offered:

    pool       min-max over all the responses that are compared for a data set: the default for tables. One
               more response can move every score.
    reference  fixed ranges from a calibration file, values outside them cut off: for rewards that must not
               move between runs, and between the prompts of a training set.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from diffagent_tools.exits import run_script
from retrieval.errors import DataError, InvalidInput
from retrieval.storage import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

POOL: Literal["pool"] = "pool"


@dataclass(frozen=True)
class Range:
    """What is mapped to 0 and to 1."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise InvalidInput(f"a range from {self.low} to {self.high}; needed are two numbers, low to high")


def pool_ranges(scores: Mapping[str, "Tensor"]) -> dict[str, Range]:
    """The least and the greatest of each reward over everything that is compared.

    Args:
        scores: a tensor of any shape a reward.

    Raises:
        InvalidInput: there is no score, or one is not finite.
    """
    _check(scores)
    return {name: Range(float(values.min()), float(values.max())) for name, values in scores.items()}


def normalised(values: "Tensor", range: Range) -> "Tensor":
    """(s - low) / (high - low), of any shape, cut off at 0 and 1; 0.5 where the range is a single point."""
    if range.low == range.high:
        # nothing tells these apart; what lies outside a fixed point still does
        return 0.5 + 0.5 * torch.sign(values - range.low)
    return ((values - range.low) / (range.high - range.low)).clamp(0, 1)


def unified_of_images(
    scores: Mapping[str, "Tensor"], *, normalise: Literal["pool"] | Mapping[str, Range] = POOL
) -> "Tensor":
    """S(t, x_i), Eq. 6: the mean over the rewards of the normalised scores.

    Args:
        scores: of each reward, all of one shape.
        normalise: "pool", or the range of each reward.

    Returns:
        float64 in [0, 1], of that shape.

    Raises:
        InvalidInput: no reward, shapes that differ, a score that is not finite, a reward without a range.
    """
    _check(scores)
    shapes = {name: tuple(values.shape) for name, values in scores.items()}
    if len(set(shapes.values())) > 1:
        raise InvalidInput(f"the rewards' scores have the shapes {shapes}; needed is one score an image each")
    ranges = pool_ranges(scores) if isinstance(normalise, str) else normalise
    missing = sorted(scores.keys() - ranges.keys())
    if missing:
        raise InvalidInput(
            f"the calibration has no range of {', '.join(missing)}; it has {', '.join(sorted(ranges))}: "
            "calibrate with the rewards that are used"
        )
    # Eq. 6: S(t, x_i) = 1/3 (s_c,norm + s_i,norm + s_h,norm)
    return torch.stack([normalised(values.double(), ranges[name]) for name, values in scores.items()]).mean(0)


def unified(
    scores: Mapping[str, "Tensor"], *, normalise: Literal["pool"] | Mapping[str, Range] = POOL
) -> "Tensor":
    """S(t, r), Eq. 5: the mean over the k images of a response of Eq. 6.

    Args:
        scores: of each reward [..., k], one score a seed.
        normalise: "pool", or the range of each reward.

    Returns:
        [...] float64 in [0, 1]. Times 100 it is the figure of Table 2.
    """
    # Eq. 5: S(t, r) = 1/k sum_i S(t, x_i)
    return unified_of_images(scores, normalise=normalise).mean(-1)


def _check(scores: Mapping[str, "Tensor"]) -> None:
    if not scores or any(values.numel() == 0 for values in scores.values()):
        raise InvalidInput("there is no score to make a metric of; give at least one reward with one image")
    for name, values in scores.items():
        bad = int((~values.isfinite()).sum())
        if bad:
            raise InvalidInput(
                f"{bad} of {values.numel()} scores of {name} are not finite numbers; nothing can be compared "
                "by them: find the images in the store and score them anew, in float32"
            )


def save_calibration(path: Path, ranges: Mapping[str, Range], *, images: int) -> None:
    """Writes a calibration file: the range of each reward, and how many images it was taken from."""
    content = {"images": images, "ranges": {name: asdict(range) for name, range in sorted(ranges.items())}}
    atomic_write(path, (json.dumps(content, indent=2) + "\n").encode())


def load_calibration(path: Path) -> dict[str, Range]:
    """The ranges of a calibration file.

    Raises:
        DataError: it is missing or is not one.
    """
    try:
        ranges = json.loads(path.read_text(encoding="utf-8"))["ranges"]
        return {
            name: Range(float(low_high["low"]), float(low_high["high"])) for name, low_high in ranges.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"cannot read the calibration {path} ({error}); "
            "`python -m finetune.rewards.unified --store ... --output ...` writes one"
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the calibration file of a store of scores."""
    parser = argparse.ArgumentParser(
        prog="python -m finetune.rewards.unified",
        description="Take the ranges of the reference normalisation.",
    )
    parser.add_argument("--store", type=Path, required=True, help="folder that render_and_score wrote")
    parser.add_argument("--output", type=Path, required=True, help="calibration file, JSON")
    options = parser.parse_args(arguments)
    from finetune.rewards.store import RewardStore

    store = RewardStore.open(options.store)
    columns = store.columns()
    ranges = pool_ranges(columns)
    images = next(iter(columns.values())).numel()
    save_calibration(options.output, ranges, images=images)
    for name, range in ranges.items():
        print(f"{name}: {range.low:.4g} to {range.high:.4g}")
    print(f"{images:,} images: {options.output}")


if __name__ == "__main__":
    run_script(main)

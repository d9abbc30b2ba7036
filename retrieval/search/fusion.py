"""The learnt weighing of evidence: from named scores of every model to one logit a model.

A fusion is a small network over standardised scores, a linear part and one hidden layer, the same for every
model and every request, so that a model that was added yesterday is weighed like the others. It is trained
by finetune/ranker/fusion.py as a softmax over the models of the catalogue (a conditional logit), and
stored as safetensors. It knows nothing of where the scores come from.

    fusion = Fusion.load(folder / "fusion.safetensors")
    logits = fusion.logits(scores)            # scores: name -> [N]; logits: [N]
    chances = softmax(logits / fusion.temperature)
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.errors import AdapterError
from retrieval.storage import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

# these do not depend on the request, so their distance from the best model says nothing about it
STATIC_SCORES = frozenset({"samples", "unseen"})


MAX_WEIGHT = 1e9
"""Beyond it sums of scores leave the range of float32."""


def usable(name: str, number: object, least: float = -MAX_WEIGHT) -> float:
    """The number.

    Raises:
        ValueError: it is not finite, or not within `least` and `MAX_WEIGHT`; the message calls it `name`.
        TypeError: it is no number.
    """
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{name} is {str(number)[:40]!r}, needed is a number")
    if not least <= number <= MAX_WEIGHT:  # NaN is not, either
        raise ValueError(
            f"{name} is {str(number)[:40]}, needed is a number within {least:g} and {MAX_WEIGHT:g}"
        )
    return number


def all_usable(**arrays: "NDArray[Any]") -> None:
    """Raises ValueError, naming the array, where one holds a number that `usable` refuses."""
    import numpy as np

    for name, array in arrays.items():
        # one NaN makes every sum over it NaN, and every order by such sums arbitrary
        if not (np.isfinite(array).all() and (np.abs(array) <= MAX_WEIGHT).all()):
            raise ValueError(f"{name} holds a number that is not finite or beyond {MAX_WEIGHT:g}")


def design(scores: Mapping[str, "Array"], names: Sequence[str]) -> "Array":
    """The inputs of a fusion, [N, D] float32: each score as it is, and less the best model's score.

    The second form says how far a model is behind; the first, how strong the evidence is at all.

    Raises:
        KeyError: a score of that name is missing.
    """
    import numpy as np

    columns: list[Array] = []
    for name in names:
        score = np.asarray(scores[name], dtype=np.float32)
        columns.append(score)
        if name not in STATIC_SCORES:
            columns.append(score - score.max(initial=-np.inf) if score.size else score)
    return np.stack(columns, axis=-1)


@dataclass(frozen=True, eq=False)
class Fusion:
    """logits = x w + tanh(x A + a) v, with x = (design(scores) - mean) / scale.

    Shapes: mean, scale, linear [D]; hidden [D, H]; bias, out [H]. `temperature` divides the logits before a
    softmax gives calibrated chances. `card` says how it was fitted.
    """

    names: tuple[str, ...]
    mean: "Array"
    scale: "Array"
    linear: "Array"
    hidden: "Array"
    bias: "Array"
    out: "Array"
    temperature: float
    card: Mapping[str, object]

    def logits(self, scores: Mapping[str, "Array"]) -> "Array":
        """One logit a model, [N]."""
        return self.weigh(design(scores, self.names))

    def weigh(self, inputs: "Array") -> "Array":
        """One logit for each row of a `design`, [N]."""
        import numpy as np

        x = (inputs - self.mean) / self.scale
        logits: Array = (x @ self.linear + np.tanh(x @ self.hidden + self.bias) @ self.out).astype(np.float32)
        return logits

    def reads(self, *scores: str) -> bool:
        """Whether any of these scores can change a logit: a weight of theirs is not nought."""
        import numpy as np

        hidden = np.abs(self.hidden) @ np.abs(self.out)
        used = (self.linear != 0) | (hidden != 0)
        columns = [name for name in self.names for _ in range(1 if name in STATIC_SCORES else 2)]
        return any(name in scores and use for name, use in zip(columns, used, strict=True))

    def save(self, path: Path) -> None:
        from safetensors.numpy import save

        tensors = {name: getattr(self, name) for name in ("mean", "scale", "linear", "hidden", "bias", "out")}
        metadata = {
            "names": json.dumps(self.names),
            "temperature": repr(self.temperature),
            "card": json.dumps(self.card, sort_keys=True),
        }
        atomic_write(path, save(tensors, metadata))

    @classmethod
    def load(cls, path: Path) -> "Fusion":
        """Raises AdapterError where the file is missing or not a fusion."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {
                    name: file.get_tensor(name)
                    for name in ("mean", "scale", "linear", "hidden", "bias", "out")
                }
                made = cls(
                    names=tuple(json.loads(metadata["names"])),
                    temperature=float(metadata["temperature"]),
                    card=json.loads(metadata["card"]),
                    **tensors,
                )
            made._check()
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
            raise AdapterError(
                f"cannot read the fusion weights {path} ({error}); finetune/ranker/fusion.py writes them"
            ) from error
        return made

    def _check(self) -> None:
        """Raises ValueError where the numbers are of no use: not finite, of other shapes, a division by 0."""
        tensors = {name: getattr(self, name) for name in ("mean", "scale", "linear", "hidden", "bias", "out")}
        all_usable(**tensors)
        usable("temperature", self.temperature, least=1e-9)
        if not (self.scale > 0).all():
            raise ValueError("scale holds a number that is not above 0")
        width = sum(1 if name in STATIC_SCORES else 2 for name in self.names)
        units = self.out.size
        needed = {"mean": (width,), "scale": (width,), "linear": (width,), "hidden": (width, units)}
        needed |= {"bias": (units,), "out": (units,)}
        for name, shape in needed.items():
            if tensors[name].shape != shape:
                raise ValueError(f"{name} has the shape {tensors[name].shape}, needed is {shape}")


def softmax(logits: "Array", temperature: float = 1.0) -> "Array":
    """Chances that sum to one, [N]; an empty array stays empty."""
    import numpy as np

    if not logits.size:
        return logits
    scaled = (logits - logits.max()) / temperature
    weights = np.exp(scaled)
    chances: Array = (weights / weights.sum()).astype(np.float32)
    return chances

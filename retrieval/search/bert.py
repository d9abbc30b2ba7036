"""BERT's forward pass in NumPy: token ids in, the mean of the last layer over the tokens out.

    bert = Bert.load(folder)                       # config.json and model.safetensors
    bert.means([[101, 2000, 102], [101, 102]])     # [2, D] float32, rows of length one

torch needs seconds to be imported, and answers nothing better: the vectors are its own to 1e-5
(tests/retrieval/search/test_bert.py). Weights lie in the file as they are or as int8 with a scale a row, as
finetune/ranker/encoder.py writes them. Texts of a batch lie one behind the other, so that no padding is
computed; only attention, which stays within a text, takes them by length.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from retrieval.errors import AdapterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
ROW_SCALE = ".scale"
ONE_THREAD = "OPENBLAS_NUM_THREADS"
"""The variable that NumPy reads when it is imported. The products of one text are small: a second thread
gains little on an idle machine, and on a busy one every product waits for a thread that is not running."""
_BATCH = 16
_PIECE = 16_384
# stored by transformers, and read by nobody here
_UNUSED = re.compile(r"^pooler\.|(?:position|token_type)_ids$")
_WORDS = "embeddings.word_embeddings.weight"
# erf(x) is 1 - (a polynomial of 1 / (1 + p x)) e^(-x^2), to 1.5e-7: Abramowitz and Stegun, 7.1.26
_ERF_P = 0.3275911
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


@dataclass(frozen=True, eq=False)
class _Linear:
    """x W + b; `weight` [in, out]."""

    weight: "Array"
    bias: "Array"

    def __call__(self, x: "Array") -> "Array":
        y: Array = x @ self.weight
        y += self.bias
        return y


@dataclass(frozen=True, eq=False)
class _Norm:
    weight: "Array"
    bias: "Array"
    epsilon: float

    def __call__(self, x: "Array") -> "Array":
        """Over the last axis, in place."""
        import numpy as np

        x -= x.mean(-1, keepdims=True)
        x /= np.sqrt(np.square(x).mean(-1, keepdims=True) + np.float32(self.epsilon))
        x *= self.weight
        x += self.bias
        return x


@dataclass(frozen=True, eq=False)
class _Layer:
    query_key_value: _Linear
    attended: _Linear
    attended_norm: _Norm
    wide: _Linear
    narrow: _Linear
    narrow_norm: _Norm


class Bert:
    """The encoder; it holds no state of a call, so threads may share it.

    Args:
        config: as in a model's `config.json`.
        stored: its tensors by name; taken out one by one, so that memory holds few of them twice.

    Raises:
        AdapterError: tensors are missing or superfluous, or hold a number that is not finite.
        KeyError, TypeError, ValueError: the config is none of a BERT.
    """

    def __init__(self, config: Mapping[str, Any], stored: dict[str, Any]) -> None:
        import numpy as np

        self.width = int(config["hidden_size"])
        self._heads = int(config["num_attention_heads"])
        if config["hidden_act"] != "gelu" or self.width % self._heads:
            raise ValueError("the activation is not gelu, or the heads do not share the width evenly")
        odd = [
            name
            for name, tensor in stored.items()
            if tensor.dtype.kind == "f" and not np.isfinite(tensor).all()
        ]
        if odd:
            raise AdapterError(f"numbers that are not finite in {sorted(odd)[:3]}")
        missing: list[str] = []

        def weight(name: str) -> "Array":
            if name not in stored:
                missing.append(name)
                return np.zeros((1, 1), np.float32)
            return _float(stored.pop(name), stored.pop(name + ROW_SCALE, None))

        epsilon = float(config["layer_norm_eps"])

        def linear(*names: str) -> _Linear:
            # one product for query, key and value; as columns, the way that the products read them
            whole = np.concatenate([weight(f"{name}.weight") for name in names])
            bias = np.concatenate([weight(f"{name}.bias") for name in names])
            return _Linear(np.ascontiguousarray(whole.T), bias)

        def norm(name: str) -> _Norm:
            return _Norm(weight(f"{name}.LayerNorm.weight"), weight(f"{name}.LayerNorm.bias"), epsilon)

        # a row of them is turned into floats when it is looked up, so that they stay as small as in the file
        self._words = stored.pop(_WORDS, None)
        self._words_scale = stored.pop(_WORDS + ROW_SCALE, None)
        if self._words is None:
            missing.append(_WORDS)
        elif self._words.shape[1:] != (self.width,):
            raise ValueError(f"word embeddings of {self._words.shape}, and a hidden_size of {self.width}")
        # every text is of the first of the two token types
        kind = weight("embeddings.token_type_embeddings.weight")[0]
        self._places = weight("embeddings.position_embeddings.weight") + kind
        self._norm = norm("embeddings")
        self._layers = []
        for number in range(int(config["num_hidden_layers"])):
            at = f"encoder.layer.{number}"
            self._layers.append(
                _Layer(
                    linear(*(f"{at}.attention.self.{part}" for part in ("query", "key", "value"))),
                    linear(f"{at}.attention.output.dense"),
                    norm(f"{at}.attention.output"),
                    linear(f"{at}.intermediate.dense"),
                    linear(f"{at}.output.dense"),
                    norm(f"{at}.output"),
                )
            )

        unknown = sorted(name for name in stored if not _UNUSED.search(name))
        if missing or unknown:
            raise AdapterError(f"missing tensors {sorted(missing)[:3]}, unknown ones {unknown[:3]}")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises AdapterError where the files cannot be read, or do not fit one another."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            return cls(config, load_file(folder / MODEL_FILE))
        except AdapterError as error:
            raise AdapterError(f"{folder / MODEL_FILE} does not fit its {CONFIG_FILE}: {error}") from error
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise AdapterError(f"the weights in {folder} cannot be read ({error})") from error

    def means(self, batch: Sequence[Sequence[int]]) -> "Array":
        """The mean over the tokens of each text, scaled to length one, [n, D].

        Args:
            batch: token ids, at least one a text, and no more than the model has positions.
        """
        import numpy as np

        found = np.zeros((len(batch), self.width), np.float32)
        # texts of one length side by side
        order = sorted(range(len(batch)), key=lambda place: len(batch[place]))
        steps = [order[first : first + _BATCH] for first in range(0, len(order), _BATCH)]

        def compute(places: list[int]) -> None:
            found[places] = self._means([batch[place] for place in places])

        workers = min(_workers(), len(steps))
        if workers > 1:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(compute, steps))
        else:
            for places in steps:
                compute(places)
        return found

    def _means(self, batch: Sequence[Sequence[int]]) -> "Array":
        import numpy as np

        lengths = [len(text) for text in batch]
        tokens = np.asarray([token for text in batch for token in text])
        x = _float(self._words[tokens], None if self._words_scale is None else self._words_scale[tokens])
        x += self._places[np.concatenate([np.arange(length) for length in lengths])]
        x = self._norm(x)
        for layer in self._layers:
            y = layer.attended(self._attention(layer.query_key_value(x), lengths))
            y += x
            x = layer.attended_norm(y)
            y = layer.narrow(_gelu(layer.wide(x)))
            y += x
            x = layer.narrow_norm(y)
        starts = np.cumsum([0, *lengths[:-1]])
        mean = np.add.reduceat(x, starts, axis=0) / np.asarray(lengths, np.float32)[:, None]
        unit: Array = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), np.float32(1e-12))
        return unit

    def _attention(self, x: "Array", lengths: Sequence[int]) -> "Array":
        """Every text's tokens look at one another; `x` [tokens, 3 D] to [tokens, D]."""
        import numpy as np

        size = self.width // self._heads
        found = np.empty((len(x), self.width), np.float32)
        first = 0
        for length, same in groupby(lengths):
            last = first + length * len(list(same))
            # [3, texts, heads, tokens, size]
            parts = x[first:last].reshape(-1, length, 3, self._heads, size).transpose(2, 0, 3, 1, 4)
            query, key, value = parts
            looks = query @ key.swapaxes(-1, -2)
            looks *= np.float32(size**-0.5)
            looks -= looks.max(-1, keepdims=True)
            np.exp(looks, out=looks)
            looks /= looks.sum(-1, keepdims=True)
            seen = (looks @ value).transpose(0, 2, 1, 3)
            found[first:last] = seen.reshape(last - first, self.width)
            first = last
        return found


def _workers() -> int:
    """How many steps of a batch are computed at once.

    Where NumPy uses one thread for a product, as the command lets it, the steps have the processors for
    themselves; else it uses them all for each product already.
    """
    if os.environ.get(ONE_THREAD) != "1":
        return 1
    most = os.environ.get("OMP_NUM_THREADS", "")
    return int(most) if most.isdecimal() and int(most) else os.cpu_count() or 1


def _float(values: Any, scale: Any) -> "Array":
    """A copy as float32, its rows times their scale where there is one."""
    import numpy as np

    found: Array = values.astype(np.float32)
    if scale is not None:
        found *= scale[:, None]
    return found


def _gelu(x: "Array") -> "Array":
    """x (1 + erf(x / sqrt 2)) / 2, in place.

    NumPy has no erf, and scipy takes as long to import as an answer takes. It goes over pieces that stay in
    the processor's cache: six times faster.
    """
    import numpy as np

    values = x.reshape(-1)
    work = np.empty((3, min(_PIECE, values.size)), np.float32)
    for first in range(0, values.size, _PIECE):
        piece = values[first : first + _PIECE]
        size, t, tail = work[:, : piece.size]
        np.abs(piece, out=size)
        size *= np.float32(0.5**0.5)
        np.multiply(size, np.float32(_ERF_P), out=t)
        t += np.float32(1)
        np.reciprocal(t, out=t)
        np.multiply(t, np.float32(_ERF[0]), out=tail)
        for factor in _ERF[1:]:
            tail += np.float32(factor)
            tail *= t
        np.multiply(size, size, out=size)
        np.negative(size, out=size)
        np.exp(size, out=size)
        tail *= size
        # erf is odd, so that both signs are max(x, 0) - |x| (1 - erf(|x| / sqrt 2)) / 2
        np.abs(piece, out=size)
        size *= tail
        size *= np.float32(0.5)
        np.maximum(piece, 0, out=piece)
        piece -= size
    return x

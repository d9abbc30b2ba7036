"""What later computations of a process depend on, and a check that a training leaves it alone.

with numbers_stay():
    train(...)
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def numbers() -> list[object]:
    """Precision, threads, kernels and random states, read without drawing anything."""
    return [
        *_precisions(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic,
        torch.get_rng_state().tolist(),
        random.getstate(),
        [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],
    ]


def _precisions() -> list[object]:
    on_cpu = getattr(torch.backends.mkldnn, "matmul", None)
    backends = (torch.backends, torch.backends.cuda.matmul, on_cpu)
    found: list[object] = [getattr(backend, "fp32_precision", None) for backend in backends]
    try:
        return [*found, torch.get_float32_matmul_precision()]
    except RuntimeError:  # the new settings were used
        return found


@contextmanager
def numbers_stay() -> Iterator[None]:
    """Fails where they are others afterwards."""
    before = numbers()
    yield
    assert numbers() == before

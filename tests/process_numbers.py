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
        torch.get_float32_matmul_precision(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],
    ]


@contextmanager
def numbers_stay() -> Iterator[None]:
    """Fails where they are others afterwards."""
    before = numbers()
    yield
    assert numbers() == before

"""What later computations of a process depend on, and a check that a training leaves it alone.

with numbers_stay():
    train(...)
"""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def settings() -> dict[str, object] | None:
    """Torch's settings of the whole process; None where nobody has imported it, which takes seconds."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    on_cpu = getattr(torch.backends.mkldnn, "matmul", None)
    backends = (torch.backends, torch.backends.cuda.matmul, on_cpu)
    found: dict[str, object] = {
        "precision of each backend": [getattr(backend, "fp32_precision", None) for backend in backends],
        "threads": torch.get_num_threads(),
        "default dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "deterministic cudnn": torch.backends.cudnn.deterministic,
        "gradients": torch.is_grad_enabled(),
    }
    with suppress(RuntimeError):  # the settings of the backends were used
        found["float32 precision"] = torch.get_float32_matmul_precision()
    return found


def numbers() -> list[object]:
    """The settings and the random states, read without drawing anything."""
    import numpy as np
    import torch

    drawn = [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()]
    return [settings(), torch.get_rng_state().tolist(), random.getstate(), drawn]


@contextmanager
def numbers_stay() -> Iterator[None]:
    """Fails where they are others afterwards."""
    before = numbers()
    yield
    assert numbers() == before

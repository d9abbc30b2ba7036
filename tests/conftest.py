"""Settings of all tests: what Hypothesis makes up is the same on every run and no clock can fail it."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

FRESH = {"float32 precision": "highest", "deterministic": False, "gradients": True}
"""what torch is imported with"""


@pytest.fixture(autouse=True)
def process_settings_stay() -> Iterator[None]:
    """No test leaves another precision, other threads or kernels: later ones would compute other numbers."""
    before = _settings()
    yield
    after = _settings()
    if before is None and after is not None:  # the test was the first to import torch
        before = {**after, **FRESH}
    assert after == before, f"the process was left with {after} instead of {before}"


def _settings() -> dict[str, object] | None:
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    return {
        "float32 precision": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
        "default dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
    }

"""Settings of all tests: what Hypothesis makes up is the same on every run and no clock can fail it."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from process_numbers import settings as process_settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

FRESH = {"float32 precision": "highest", "deterministic": False, "gradients": True}
"""what torch is imported with"""


@pytest.fixture(autouse=True)
def process_settings_stay() -> Iterator[None]:
    """No test leaves another precision, other threads or kernels: later ones would compute other numbers."""
    before = process_settings()
    yield
    after = process_settings()
    if before is None and after is not None:  # the test was the first to import torch
        before = {**after, **FRESH}
    assert after == before, f"the process was left with {after} instead of {before}"

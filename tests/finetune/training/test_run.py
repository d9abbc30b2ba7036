"""Training leaves the process as it was: later numbers are those of a process without it."""

import random

import numpy as np
import pytest
import torch
from process_numbers import numbers

from finetune.training.run import numbers_kept, set_precision


def changing_everything() -> None:
    set_precision("medium", 1)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)


def test_settings_and_random_states_come_back() -> None:
    before = numbers()
    with numbers_kept():
        changing_everything()
        assert torch.get_float32_matmul_precision() == "medium"
    assert numbers() == before


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="torch before 2.9")
def test_the_precision_that_torch_has_for_each_backend_comes_back_too() -> None:
    fresh = numbers()
    with numbers_kept():
        torch.backends.fp32_precision = "tf32"  # as `--tf32 true` does
        before = numbers()
        with numbers_kept():
            changing_everything()
            assert numbers() != before
        assert numbers() == before
    assert numbers() == fresh


def test_they_come_back_after_an_error_and_each_time() -> None:
    @numbers_kept()
    def train() -> None:
        changing_everything()
        raise KeyboardInterrupt

    before = numbers()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train()
        assert numbers() == before

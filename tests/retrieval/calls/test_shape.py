"""Sizes under a wish for a shape."""

import pytest
from calls import LANTERN

from retrieval.calls.shape import shaped, step
from retrieval.requests.sizes import Shape

TALL = LANTERN.model_copy(update={"width": 512, "height": 768, "base_model": "SD 1.5"})


@pytest.mark.parametrize(
    ("shape", "ratio", "size"),
    [
        ("wide", None, (768, 512)),
        ("tall", None, (512, 768)),
        ("square", None, (512, 512)),
        (None, (16, 9), (896, 512)),
        (None, (9, 16), (512, 896)),
        (None, None, (512, 768)),
    ],
)
def test_an_sd15_model(shape: Shape | None, ratio: tuple[int, int] | None, size: tuple[int, int]) -> None:
    assert shaped(TALL, shape=shape, ratio=ratio) == size


def test_other_families_keep_their_area_and_unknown_ones_draw_as_sd15() -> None:
    large = TALL.model_copy(update={"base_model": "SDXL 1.0", "width": 1024, "height": 1024})
    assert shaped(large, ratio=(16, 9)) == (1344, 768)
    own = TALL.model_copy(update={"base_model": "My Own 1"})
    assert shaped(own, ratio=(1, 1)) == (512, 512)


def test_sides_are_whole_steps() -> None:
    assert [step(side) for side in (1, 64, 95, 97, 1000)] == [64, 64, 64, 128, 1024]

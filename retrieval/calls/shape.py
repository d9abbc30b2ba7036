"""The size of a model's pictures under a wish for a shape.

shaped(api, shape="wide")            # (768, 512) for a model that draws 512x768
shaped(api, ratio=(16, 9))           # each family at its own resolution
"""

from retrieval.errors import UnknownBaseModel
from retrieval.records.api import T2IApi
from retrieval.requests.sizes import Shape
from retrieval.tables.families import DEFAULT_FAMILY, family_of

_OF_SHAPE: dict[Shape | None, tuple[int, int] | None] = {
    "wide": (3, 2),
    "tall": (2, 3),
    "square": (1, 1),
    None: None,
}
_STEP = 64


def shaped(
    api: T2IApi, *, shape: Shape | None = None, ratio: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Width and height in pixels, before the family's limits; `ratio` is width to height.

    A model's own size is kept where it has the wanted shape, and turned where that is enough. Else SD 1.x
    keeps its short side, as it is used, and the others their area; both in steps of 64.
    """
    wanted = ratio or _OF_SHAPE[shape]
    width, height = api.width, api.height
    if wanted is None:
        return width, height
    if ratio is None and shape != "square" and width != height:
        long, short = max(width, height), min(width, height)
        return (long, short) if shape == "wide" else (short, long)
    try:
        native = family_of(api.base_model).native_size
    except UnknownBaseModel:  # a family of a user's own catalogue
        native = family_of(DEFAULT_FAMILY).native_size
    value = wanted[0] / wanted[1]
    if native > 512:
        return step(native * value**0.5), step(native / value**0.5)
    long = step(native * max(value, 1 / value))
    return (long, native) if value > 1 else (native, long)


def step(side: float) -> int:
    """The nearest side that every family can do, in pixels."""
    return max(_STEP, round(side / _STEP) * _STEP)

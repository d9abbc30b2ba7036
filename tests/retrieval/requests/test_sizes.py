"""The shape that a request asks for, and words that are part of the subject."""

import pytest

from retrieval.requests.sizes import Shape, read_size


@pytest.mark.parametrize(
    ("text", "shape", "left"),
    [
        ("a wide banner of a forest", "wide", "a banner of a forest"),
        ("portrait orientation poster of a juggler", "tall", "poster of a juggler"),
        ("square album cover with lightning", "square", "album cover with lightning"),
        ("phone wallpaper of a galaxy", "tall", "phone wallpaper of a galaxy"),
        ("logo for my bakery", "square", "logo for my bakery"),
        ("a fox in landscape format", "wide", "a fox"),
        ("a wide river in a green landscape", None, "a wide river in a green landscape"),
        ("portrait of an old man", None, "portrait of an old man"),
        ("a tall tower", None, "a tall tower"),
        ("a square in Rome", None, "a square in Rome"),
    ],
)
def test_shapes(text: str, shape: Shape | None, left: str) -> None:
    ratio, size, found, rest = read_size(text)
    assert (ratio, size, found, " ".join(rest.split())) == (None, None, shape, left)


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("9:16 story background", (9, 16)),
        ("a forest, 2:3", (2, 3)),
        ("a fox --ar 21:9", (21, 9)),
        ("a fox in a ratio of 7:3", (7, 3)),
        ("a clock at 5:30 pm", None),
        ("score 3:7", None),
        ("a fox 0:1", None),
    ],
)
def test_ratios(text: str, ratio: tuple[int, int] | None) -> None:
    assert read_size(text)[0] == ratio


def test_pixels_go_before_words() -> None:
    ratio, size, shape, rest = read_size("a wide banner of a fox, 512x768")
    assert (ratio, size, shape) == (None, (512, 768), None)
    assert "512" not in rest
    assert read_size("built in 1990 x files")[1] is None

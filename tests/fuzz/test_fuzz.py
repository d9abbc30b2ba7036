"""A short run of the fuzz program (tests/fuzz/__main__.py): every reader and every door, without a clock."""

import pytest
from mutation import generator, made
from readers import Target
from running import fuzz, targets
from small_world import small_catalogue

from retrieval.errors import InvalidInput

INPUTS = 25
NAMES = (
    *("infotext", "comfyui", "answers", "names", "instructions", "pictures", "weights", "catalogue"),
    *("civitai", "fetched", "lists", "sidecars", "training", "pairs", "graded", "scored", "candidates"),
    *("check", "command", "langchain", "mcp", "chat", "page"),
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return targets(small_catalogue(), tmp_path_factory.mktemp("fuzz"))


def test_every_target_has_a_short_run(found: dict[str, Target]) -> None:
    assert tuple(found) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_made_up_inputs_break_nothing(name: str, found: dict[str, Target]) -> None:
    assert fuzz(name, found[name], inputs=INPUTS, timed=False).broken == []


def test_a_number_gives_the_same_input_again() -> None:
    seeds = ["Steps: 20, Model: ink", b"RIFF....WEBPEXIF", {"model": "ink", "loras": [1]}]
    inputs = [made(generator(1, "ink", number), seeds) for number in range(500)]
    assert repr(inputs) == repr([made(generator(1, "ink", number), seeds) for number in range(500)])
    assert len(set(map(repr, inputs))) > 400


def test_what_is_raised_by_mistake_is_told_with_its_number() -> None:
    def reader(text: str) -> None:
        if "n" not in text:
            raise InvalidInput("there is no n in it; needed is one")
        if "nn" in text:
            raise KeyError(text)

    outcome = fuzz("reader", Target(["inn", "ink", "tik"], reader), inputs=60, first=7, timed=False)
    assert outcome.inputs == 60
    assert outcome.errors["InvalidInput"] > 5
    assert 5 < len(outcome.broken) < 55
    again = fuzz("reader", Target(["inn", "ink", "tik"], reader), inputs=30, first=37, timed=False)
    assert outcome.broken[-len(again.broken) :] == again.broken
    assert "KeyError" in again.broken[0]
    assert "reader --seed 1 --first" in again.broken[0]

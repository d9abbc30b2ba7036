"""Errors: the tree drawn in the docstring is the tree of the classes."""

import inspect
import pickle
import re

import pytest

import diffagent_tools.errors
from retrieval import errors
from retrieval.errors import (
    CatalogueFormatError,
    DiffAgentError,
    InvalidInput,
    UnknownBaseModel,
    UnknownSampler,
)

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == errors.__name__
}


def drawn() -> dict[str, str | None]:
    """Parent of each class in the drawing of the docstring; the depth is that of the name's column."""
    tree: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        match = re.match(r"^ {4}(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: |$)", line)
        if match is None:
            continue
        if not match["branch"] and tree:
            break
        depth = len(match["branch"])
        while above and above[-1][0] >= depth:
            above.pop()
        tree[match["name"]] = above[-1][1] if above else None
        above.append((depth, match["name"]))
    return tree


def test_the_drawing_is_the_tree_of_the_classes() -> None:
    parents = {name: value.__mro__[1].__name__ for name, value in CLASSES.items()}
    assert drawn() == {**parents, "DiffAgentError": None}
    assert len(CLASSES) >= 20


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_error_is_caught_by_the_base_and_says_what_it_is(name: str) -> None:
    assert issubclass(CLASSES[name], DiffAgentError)
    assert CLASSES[name].__doc__


def test_invalid_input_is_a_value_error() -> None:
    assert issubclass(InvalidInput, ValueError)


def test_errors_carry_what_a_caller_needs_to_mend_the_call() -> None:
    base = UnknownBaseModel("found 'SD 9'", value="SD 9", known=["SD 1.5"])
    assert (base.value, base.known, str(base)) == ("SD 9", ("SD 1.5",), "found 'SD 9'")
    sampler = UnknownSampler("found 'Eulr'", value="Eulr", nearest=["Euler"])
    assert (sampler.value, sampler.nearest) == ("Eulr", ("Euler",))
    line = CatalogueFormatError("broken", path="models.jsonl", line=7)
    assert (line.path, line.line) == ("models.jsonl", 7)


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidApi("no API"),
        UnknownBaseModel("found 'SD 9'", value="SD 9", known=["SD 1.5"]),
        UnknownSampler("found 'Eulr'", value="Eulr", nearest=["Euler"]),
        CatalogueFormatError("broken", path="models.jsonl", line=7),
    ],
)
def test_an_error_survives_a_process_boundary(error: DiffAgentError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_the_package_for_users_has_them_all() -> None:
    assert set(diffagent_tools.errors.__all__) == set(CLASSES)
    assert all(getattr(diffagent_tools.errors, name) is value for name, value in CLASSES.items())

"""Workflows whose values are of other types than ComfyUI writes: an API or a plain line, no traceback."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from calls import LANTERN
from hypothesis import given
from hypothesis import strategies as st

from diffagent_tools.formats.comfyui.read import read_workflow
from diffagent_tools.formats.family_guess import read_guessing_family
from diffagent_tools.formats.read import import_text
from diffagent_tools.formats.write import export
from retrieval.errors import InvalidInput

ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 1e308, float("inf"), 10**30, "", "x\x1b[2J", "1x1", "9" * 5_000),
    *([], {}, [[]], ["3", 0], ["3", 0, 1], [{}], {"a": []}, ["nope", 0], [None, None], "urn:air:sd1:lora"),
]
WORKFLOWS = {form: json.loads(export(LANTERN, form)) for form in ("comfyui", "comfyui-ui")}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value below another."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def with_other(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """A copy with another value at a path."""
    if not path:
        return other
    made = dict(value) if isinstance(value, dict) else list(value)
    made[path[0]] = with_other(made[path[0]], path[1:], other)
    return made


def read_plainly(workflow: Any) -> None:
    """Either an API whose numbers can be looked at, or an error that is raised on purpose."""
    with suppress(InvalidInput):
        read_workflow(workflow)
    with suppress(InvalidInput):
        import_text(json.dumps(workflow))


@pytest.mark.parametrize("form", WORKFLOWS)
def test_every_value_of_a_workflow_may_be_of_another_type(form: str) -> None:
    for place, path in enumerate(places(WORKFLOWS[form])):
        for other in (5, ODD[place % len(ODD)]):
            with suppress(InvalidInput):
                read_workflow(with_other(WORKFLOWS[form], path, other))


@pytest.mark.parametrize("odd", ODD)
def test_a_file_of_another_type_is_named_as_well_as_it_can_be(odd: Any) -> None:
    for fields in ({"air": odd, "model": "ink"}, {"model": [{"sdxl": odd}]}, {"model": "ink", "loras": odd}):
        with suppress(InvalidInput):
            read_guessing_family(fields | {"base checkpoint": dict(fields)}, ())


def test_a_nodes_class_of_any_length_is_read_in_a_moment() -> None:
    workflow: Any = WORKFLOWS["comfyui"]
    loader = next(id_ for id_, node in workflow.items() if node["class_type"] == "LoraLoader")
    odd = with_other(workflow, (loader, "class_type"), "lora" * 50_000)
    begin = time.process_time()
    read_plainly(odd)
    assert time.process_time() - begin < 2


@given(st.data())
def test_several_at_once(data: st.DataObject) -> None:
    workflow: Any = WORKFLOWS[data.draw(st.sampled_from(list(WORKFLOWS)))]
    for _ in range(3):
        path = data.draw(st.sampled_from(list(places(workflow))))
        workflow = with_other(workflow, path, data.draw(st.sampled_from(ODD)))
    read_plainly(workflow)

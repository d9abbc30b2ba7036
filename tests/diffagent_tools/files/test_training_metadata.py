"""The tests of `diffagent_tools.files.training_metadata`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from installed_world import captions

from diffagent_tools.files.training_metadata import read_training

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_captions_are_shares_of_the_pictures() -> None:
    told = read_training(captions({"pixelcorgi": 40, " green  grass ": 10}, 40))
    assert told.tags == {"pixelcorgi": 1.0, "green grass": 0.25}
    assert told.base == ("sd_v1",)


def test_folders_are_added_up_and_no_share_is_above_one() -> None:
    written = {"5_a": {"fox": 10, "snow": 4}, "1_b": {"fox": 30}}
    told = read_training({"ss_tag_frequency": json.dumps(written), "ss_dataset_dirs": "{}"})
    assert told.tags == {"fox": 1.0, "snow": 0.1}


def test_a_programs_api_gives_it_read_already() -> None:
    assert read_training({"ss_tag_frequency": {"1_a": {"fox": 2}}}).tags == {"fox": 1.0}


def test_the_public_specification() -> None:
    told = read_training(
        {"modelspec.title": "Ink", "modelspec.trigger_phrase": "inkwash", "modelspec.author": "me"}
    )
    assert (told.title, told.triggers, told.author) == ("Ink", ("inkwash",), "me")


@pytest.mark.parametrize(
    "frequency",
    ["", "{", "[]", '{"a": 3}', '{"a": {"fox": -1}}', '{"a": {"fox": "x"}}', '{"a": {"": 3}}', "[" * 90_000],
)
def test_what_says_nothing_of_captions(frequency: str) -> None:
    assert read_training({"ss_tag_frequency": frequency}).tags == {}


@given(
    st.dictionaries(
        st.sampled_from(
            ["ss_tag_frequency", "ss_dataset_dirs", "modelspec.title", "ss_sd_model_name", "ss_output_name"]
        ),
        JSON | JSON.map(lambda value: json.dumps(value)),
    )
)
def test_whatever_is_written_is_read(metadata: dict[str, Any]) -> None:
    assert all(0 < share <= 1 for share in read_training(metadata).tags.values())

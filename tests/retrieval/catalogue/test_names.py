"""Names are compared whatever their case, Unicode form, punctuation or version suffix, and never vanish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.catalogue.names import alias_keys, normalise_name, without_version


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ReV Animated", "rev-animated"),
        ("ReV_Animated", "REV  ANIMATED"),
        ("Café Mix", "cafe mix"),
        ("ＤｒｅａｍＳｈａｐｅｒ", "dreamshaper"),
        ("ﬁlm", "film"),
        ("majicMIX realistic 麦橘写实", "majicmix-realistic 麦橘写实"),
        ("Cafe\u0301", "Caf\u00e9"),
    ],
)
def test_equal_names(one: str, other: str) -> None:
    assert normalise_name(one) == normalise_name(other)


@pytest.mark.parametrize(("one", "other"), [("Anything V3", "Anything V5"), ("हिन्दी", "हन्द"), (">_<", ">.<")])
def test_unequal_names(one: str, other: str) -> None:
    assert normalise_name(one) != normalise_name(other)


@pytest.mark.parametrize("name", [">_<", "...", "\u200d", "🔥", "麦橘写实", "です", "!", "\u0301"])
def test_names_without_latin_letters_keep_themselves(name: str) -> None:
    assert normalise_name(name)


@given(st.text(min_size=1))
def test_something_stays_something(text: str) -> None:
    once = normalise_name(text)
    assert once
    assert normalise_name(once) == once


@given(st.text(min_size=1).filter(str.strip))
def test_aliases_are_never_empty_and_never_repeat_the_name(text: str) -> None:
    keys = alias_keys(text)
    assert all(keys)
    assert normalise_name(text) not in keys
    assert len(set(keys)) == len(keys)
    assert without_version(text)


@given(st.text(alphabet="abcXYZ019 _-.", min_size=1).filter(lambda text: any(c.isalnum() for c in text)))
def test_case_and_punctuation_do_not_matter(text: str) -> None:
    assert normalise_name(text.upper()) == normalise_name(text.lower().replace(" ", "_"))


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("AARG_Architecture_MjStyle_v1.0", "AARG_Architecture_MjStyle"),
        ("revAnimated_v122.safetensors", "revAnimated"),
        ("Realistic Vision V3.0 (pruned)", "Realistic Vision"),
        ("<lora:fooBar_v2:0.8>", "fooBar"),
        ("dreamshaper_8-fp16.ckpt", "dreamshaper"),
        ("1990", "1990"),
        ("v1.0", "v1.0"),
        ("V3_final", "V3_final"),
        ("3D v2", "3D"),
        ("[9MB]", "[9MB]"),
    ],
)
def test_without_version(name: str, bare: str) -> None:
    assert without_version(name) == bare


def test_parts_of_a_name_in_two_scripts_are_keys() -> None:
    assert alias_keys("majicMIX realistic 麦橘写实 v6.safetensors") == (
        "majicmixrealistic麦橘写实v6",
        "majicmixrealistic麦橘写实",
        "majicmixrealistic",
        "麦橘写实",
    )


def test_a_short_latin_part_is_no_key() -> None:
    assert "ai" not in alias_keys("AI 绘画")

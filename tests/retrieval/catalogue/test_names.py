"""Names are compared whatever their case, Unicode form, punctuation or version suffix, and never vanish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.catalogue.names import alias_keys, normalise_name, without_ending, without_version


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


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("", ""),
        ("ABC-d 1", "abcd1"),
        ("> <", "><"),
        (" ", " "),
        ("\u3000", " "),
        ("Ａ Ｂ", "ab"),
        ("İ", "i"),
        ("ß", "ss"),
        ("Ⅷ²", "viii2"),
        ("x\u0301\u0301", "x"),  # an accent goes with a Latin letter ...
        ("д\u0301.и", "д\u0301и"),  # ... and stays with others
        ("aд\u0301", "aд\u0301"),
        ("🔥д 🔥", "д"),
        ("🔥 🔥", "🔥🔥"),
        ("हिन्दी", "हिन्दी"),
    ],
)
def test_the_key_of_a_name(name: str, key: str) -> None:
    assert normalise_name(name) == key


@pytest.mark.parametrize(
    ("file_name", "bare"),
    [
        ("a.CKPT", "a"),
        ("a.pt.pth ", "a.pt"),
        (" a.zip", "a"),
        ("a.gguf.b", "a.gguf.b"),
        ("x.bin", "x"),
        ("v1.5", "v1.5"),
    ],
)
def test_a_file_name_without_its_ending(file_name: str, bare: str) -> None:
    assert without_ending(file_name) == bare


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
        ("<lyco:foo v2:1>", "foo"),
        ("<lora: Bar :1:2>", "Bar"),
        ("<hypernet:z>", "z"),
        ("<lora:>", "<lora:>"),
        ("Foo (a) [b]  【c】 Bar", "Foo Bar"),
        ("Foo | fp16", "Foo"),
        ("Foo v2 v3 – final", "Foo"),
        ("FooV2", "Foo"),
        ("FooX v2", "FooX"),
        ("Foo2", "Foo2"),
        ("Foo: 12a", "Foo"),
        ("Foo version 3", "Foo"),
        ("  Foo _-.", "Foo"),
        ("1990 v2", "1990 v2"),
        ("ab(c", "ab(c"),
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


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("", ()),
        ("   ", ()),
        ("Foo", ()),
        ("Foo.safetensors", ("foo",)),
        ("Foo v2", ("foo",)),
        ("<lora:Foo v2:1>", ("foov2", "foo")),
        (" <lora:Foo:1> ", ("foo",)),
        ("Café v2", ("cafe",)),
        ("AI 绘画", ("绘画",)),  # a short Latin part names too many models
        ("abcd 绘画", ("abcd", "绘画")),
        ("abcd 画", ("abcd",)),  # as does one sign
        ("绘画 abcd v2 说明 efgh v3", ("绘画abcdv2说明efgh", "abcdv2efgh", "绘画说明")),
    ],
)
def test_the_looser_keys_of_a_name(name: str, keys: tuple[str, ...]) -> None:
    assert alias_keys(name) == keys

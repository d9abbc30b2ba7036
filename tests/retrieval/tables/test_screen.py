"""The word screen: words in pieces, in three scripts, and the same letters in harmless words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.tables.screen import is_advertised, is_likeness, is_of_minors


@pytest.mark.parametrize(
    "text",
    [
        "fertanim",
        "sperm_cell",
        "inpaintfertilization128",
        "impregnation",
        "SuperMixNSFW_v2",
        "my-porn-mix",
        "r34",
        "rule34 style",
        "vore",
        "mindControl",
        "裸体模型",
        "エロ絵",
        "メスガキの笑",
        "幼态特化",
    ],
)
def test_a_word_is_found_in_its_pieces(text: str) -> None:
    assert is_advertised(text)


@pytest.mark.parametrize(
    "text",
    [
        "document", "cucumber", "grapefruit", "assassin", "classic", "Essex", "cocktail", "peacock",
        "skyscraper", "Lollipop Landscapes", "fertile valley", "fertilizer", "sperm whale", "accumulate",
        "carnivore", "Gorgeous", "Therapist", "control", "イエロー", "カロリー", "フロリダ",
        "グロリア", "scrapes",
    ],
)  # fmt: skip
def test_harmless_words_stay(text: str) -> None:
    assert not is_advertised(text)
    assert not is_of_minors(text)
    assert not is_likeness(text)


@pytest.mark.parametrize(
    "text", ["HongKongDollLikeness", "chilloutmix_koreanDoll", "Celebrity mix", "日本のアイドル顔"]
)
def test_a_likeness_is_named(text: str) -> None:
    assert is_likeness(text)


@pytest.mark.parametrize(
    "text", ["萝莉", "ロリ顔", "ショタ", "雌小鬼", "小学生", "a little girl", "12 years old"]
)
def test_minors_are_named(text: str) -> None:
    assert is_of_minors(text)


@given(
    st.text(max_size=40), st.sampled_from(["porn", "hentai", "nsfw", "impregnation"]), st.text(max_size=40)
)
def test_nothing_around_a_stem_hides_it(before: str, stem: str, behind: str) -> None:
    assert is_advertised(f"{before}{stem}{behind}")

"""Texts that ask for no picture, and texts that only look like them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.requests.nothing import NO_FIGURES, NO_PICTURE, asks_for_nothing


@pytest.mark.parametrize(
    "text",
    [
        "hello, what can you do?",
        "Hey DiffAgent, how do I install ComfyUI?",
        "thanks a lot",
        "can you draw?",
        "why is my image black?",
        "explain what a LoRA is",
        "recipe for pancakes",
        "give me five business ideas".replace("five", "5"),
        "i'm bored",
        "yes please",
        "2+2",
        "???",
        "bonjour, ça va ?",
        "привет, как дела?",
        "wie ist das Wetter?",
        "今天天气怎么样？",
        "ما هي عاصمة فرنسا؟",
        "schreib mir ein Gedicht über Liebe",
        "写一首关于爱的诗",
    ],
)
def test_no_picture_is_asked_for(text: str) -> None:
    assert asks_for_nothing(text)


@pytest.mark.parametrize(
    "text",
    [
        "hello kitty cafe interior",
        "hi, a red fox in the snow",
        "hey jude album cover",
        "can you draw a fox?",
        "what would a dragon look like as a chef?",
        "what a wonderful world, watercolor landscape",
        "a girl writing a letter",
        "Schreibtisch im Sonnenlicht",
        "écriture sur un mur, graffiti",
        "test tube in a lab",
        "no country for old men poster",
        "ok hand sign, vector",
        "42",
    ],
)
def test_a_picture_is_asked_for(text: str) -> None:
    assert asks_for_nothing(text) is None


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    assert asks_for_nothing(text) in (None, NO_PICTURE, NO_FIGURES)
    assert asks_for_nothing("") is None

"""Which wishes are refused, word by word: what is sexual, what means a minor, what is neither."""

import pytest

from retrieval.errors import RequestRefused
from retrieval.records.api import Instruction, T2IApi
from retrieval.requests import consent
from retrieval.requests.consent import REFUSED, asks_for_a_likeness, refusal, refuse

SEXUAL, MINOR = "a naked woman", "a child"


def refused(prompt: str, negative: str = "") -> bool:
    said = refusal(prompt, negative)
    assert said in (None, REFUSED)
    return said is not None


@pytest.mark.parametrize("word", sorted(consent._SEXUAL_WORDS))
def test_each_sexual_word_counts_beside_a_minor_and_alone_does_not(word: str) -> None:
    assert refused(f"a child, {word}")
    assert refused(f"{word} child")
    assert not refused(word)
    assert not refused(f"{word} woman")


@pytest.mark.parametrize("word", sorted(consent._MINOR_WORDS))
def test_each_word_for_a_minor_counts_beside_a_sexual_one_and_alone_does_not(word: str) -> None:
    assert refused(f"naked {word}")
    assert not refused(f"{word} on a beach")


@pytest.mark.parametrize("word", sorted(consent._BOTH_WORDS))
def test_each_word_that_says_both_counts_alone(word: str) -> None:
    assert refused(word)
    assert refused(f"art of {word}, high quality")
    assert not refused("a landscape", word)


@pytest.mark.parametrize(
    "sexual",
    [
        "see through dress", "spread legs", "spreading legs", "bare breasts", "bare chest", "bare bottom",
        "nip slip", "wearing nothing", "wears nothing on", "with nothing on", "x rated", "18 content",
        "adult scene", "mature pose", "explicit content", "birthday suit", "裸の", "全裸写真",
    ],
)  # fmt: skip
def test_turns_that_are_sexual_together(sexual: str) -> None:
    assert refused(f"a child, {sexual}")
    assert not refused(f"a woman, {sexual}")


@pytest.mark.parametrize(
    "minor",
    [
        "little girl", "young boys", "tiny lad", "school girl", "elementary school", "primary student",
        "middle schooler", "junior high", "under 18", "under age", "under eighteen", "not 18", "12yo",
        "aged 9", "age of 3 years", "17 years old", "17 y o", "sixteen year old", "one year old",
        "12歳", "5岁", "女児の絵",
    ],
)  # fmt: skip
def test_turns_and_ages_that_mean_a_minor(minor: str) -> None:
    assert refused(f"naked, {minor}")
    assert not refused(f"{minor} at the beach")


@pytest.mark.parametrize(
    "age",
    ["18yo", "18 years old", "aged 18", "21 yrs", "18歳", "19歳の", "105岁", "eighteen years old", "17"],
)
def test_ages_that_are_no_minors(age: str) -> None:
    assert not refused(f"naked woman, {age}")


@pytest.mark.parametrize(
    "harmless",
    [
        "child graduating cum laude", "naked eye, child", "pussy willow, child", "pussy cats and kids",
        "sex pistols poster, kid", "naked, minor key", "naked, a minor", "nude, ursa minor",
        "sexy kid icarus", "nude in baby blue", "nude, minor details", "naked, minor arcana",
    ],
)  # fmt: skip
def test_the_same_letters_in_another_sense(harmless: str) -> None:
    assert not refused(harmless)


@pytest.mark.parametrize("word", sorted(consent._CLOTHES_WORDS))
def test_refused_clothes_are_a_wish_for_nudity(word: str) -> None:
    for negation in ("no", "without", "not", "isnt wearing any", "removing"):
        assert refused(f"a little girl {negation} {word}")
    assert refused("a little girl", word)
    assert not refused(f"a little girl in {word}")
    assert not refused("a woman", word)
    assert not refused(f"a woman without {word}")
    # young of animals wear nothing
    assert not refused(f"a baby without {word}")
    assert not refused(f"a puppy without {word}")


@pytest.mark.parametrize("word", sorted(consent._UNDERWEAR_WORDS))
def test_refused_underwear_is_one_too_where_the_wish_itself_refuses_it(word: str) -> None:
    assert refused(f"a young girl without {word}")
    if word not in consent._SEXUAL_WORDS:
        assert not refused("a young girl", word)


@pytest.mark.parametrize("word", sorted(consent._ADULT_WORDS))
def test_a_refused_adult_is_a_wish_for_a_minor(word: str) -> None:
    assert refused(f"a nude person, not an {word}")
    assert refused("a nude person", word)
    assert refused("naked, no clothes", word)
    assert refused("a person without clothes", word)
    assert not refused(f"a nude {word}")
    assert not refused(f"a person, not an {word}")


@pytest.mark.parametrize(
    ("prompt", "negative", "is_refused"),
    [
        ("a nude person", "18", True),
        ("a nude person", "180", False),
        (SEXUAL, "child", False),
        (MINOR, "naked", False),
        (MINOR, "not naked", False),
        ("a girl", "adult, clothes", True),
        ("a girl", "adult", False),
        (f"{SEXUAL}, no child", "", False),
        (f"{SEXUAL}, not no child", "", True),  # two refusals are none
        (f"{SEXUAL} never without a child", "", True),
        (f"{MINOR}, no nudity, sexy pose", "", True),  # a refusal ends with its clause
        (f"{MINOR} no nudity but sexy", "", True),
        (f"{MINOR} no nudity and then naked", "", True),
        (f"{MINOR} while naked", "", True),
        (f"no clothes on {MINOR} is fine", "", False),
        ("naked no child", "", False),
        ("child naked no", "", True),
        ("a child without clothes", "", True),
        ("a little girl no dress no clothes", "", True),
        ("no", "no", False),
        ("", "", False),
    ],
)
def test_wish_and_refusal_are_read_together(prompt: str, negative: str, is_refused: bool) -> None:
    assert refused(prompt, negative) == is_refused


@pytest.mark.parametrize(
    "hidden",
    [
        "n a k e d child", "n.a.k.e.d child", "n-a-k-e-d child", "a n_a_k_e_d child", "na\u200bked child",
        "ＮＡＫＥＤ child", "n4k3d child", "nak3d ch1ld", "p0rn child", "naked k1d$", "n@ked child!",
        "naked chi1d", "naked k1d!", "5exy child", "NakedChild", "(naked:1.4) (child:0.8)", "NAKED CHILD",
        "naked-child", "naked_child", "a chil’d, n'aked", "naked\tchild", "nu[d]e, child, nude",
    ],
)  # fmt: skip
def test_no_spelling_hides_it(hidden: str) -> None:
    assert refused(hidden)


def test_a_number_stays_a_number() -> None:
    assert not refused("naked woman, 1 11 71 K1D5X")
    assert refused("naked 11yo")
    # marks behind a word are none of it
    assert refused("naked kid!!! $")


def test_refuse_raises_the_sentence_for_whatever_is_asked() -> None:
    call = T2IApi(
        model="x", type="LORA", base_model="SD 1.5", width=512, height=512, sampling_method="Euler a",
        sampling_steps=20, cfg_scale=7.0, prompt="a girl", negative_prompt="adult, clothes",
    )  # fmt: skip
    for asked in (call, Instruction(prompt="naked", negative_prompt="adult"), Instruction(prompt="lolicon")):
        with pytest.raises(RequestRefused) as caught:
            refuse(asked)
        assert str(caught.value) == REFUSED
    refuse(call.model_copy(update={"negative_prompt": "adult"}))
    refuse(Instruction(prompt="a girl", negative_prompt="naked"))


@pytest.mark.parametrize(
    ("prompt", "is_likeness"),
    [
        ("Taylor Swift on a stage", True),
        ("she looks just like the actress of that film", True),
        ("looks like a politician", False),
        ("look exactly like the President", True),
        ("a likeness of my neighbour", True),
        ("deep fake of him", True),
        ("DEEPFAKES", True),
        ("a famous singer", True),
        ("a photo of a real person", True),
        ("a celebrity", True),
        ("a singer on a stage", False),
        ("a dragon", False),
    ],
)
def test_a_likeness_is_asked_for_by_name_or_in_words(prompt: str, is_likeness: bool) -> None:
    assert asks_for_a_likeness(prompt) == is_likeness

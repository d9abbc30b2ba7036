"""Descriptions are short, clean, the same every time, and quote nobody."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.describe.extract import MAX_WORDS, RecordFacts, describe, runs
from finetune.describe.profiles import TermStats, is_telling, keywords, term_profile
from retrieval.tables.screen import is_advertised, is_blocked

PROMPTS = {
    1: ["knight on a hill, castle ruins, torch", "old castle, torch light, knight"],
    2: ["robot in a neon city, night market", "neon city street, robot, night market"],
    3: ["watercolor fox, night market", "castle ruins by the sea, torch, robot"],
    4: ["torch, castle, neon city, robot, knight"],
}
PROFILES = {model_id: term_profile(prompts) for model_id, prompts in PROMPTS.items()}
STATS = TermStats.of(PROFILES)


def facts(model_id: int = 1, **fields: object) -> RecordFacts:
    given = {"model": "Some Model", "type": "LORA", "base_model": "SD 1.5", "terms": PROFILES[1], **fields}
    return RecordFacts(model_id=model_id, **given)  # type: ignore[arg-type]


def test_shares_of_prompts() -> None:
    profile = term_profile(["a red fox, snow", "a red fox", "a red fox"])
    assert profile == {"fox": 1.0, "red": 1.0, "red fox": 1.0, "snow": 0.5}


def test_a_pair_of_one_prompt_alone_is_left_out_unless_it_is_common() -> None:
    assert "red fox" not in term_profile(["a red fox"])
    assert "red fox" in term_profile(["a red fox"], common={"red fox"})


@pytest.mark.parametrize("term", ["the", "8k", "50mm", "1990", "x", "of fox", "麦橘 橘写", "a" * 30])
def test_terms_that_tell_nothing(term: str) -> None:
    assert not is_telling(term)


def test_profiles_hold_nothing_blocked() -> None:
    assert set(term_profile(["nude fox, little girl, castle"])) == {"fox", "little", "girl", "castle"}


def test_rare_terms_weigh_more() -> None:
    assert STATS.weight("watercolor", 0.5) > STATS.weight("torch", 0.5)


def test_keywords_tell_a_model_from_others() -> None:
    chosen = keywords(PROFILES[3], STATS)
    assert chosen.index("watercolor") < chosen.index("torch")
    assert len(keywords(PROFILES[3], STATS, 2)) == 2
    assert keywords({}, STATS) == ()


def test_a_description_says_what_a_model_is_for_and_what_it_was_seen_on() -> None:
    text = describe(facts(tags=("watercolor", "fantasy", "style")), STATS)
    assert text == "An SD 1.5 LoRA made for fantasy and watercolours. Seen on castles and knights."


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tags": ("clothing", "hanfu")}, "an outfit"),
        ({"tags": ("poses",)}, "a pose"),
        ({"tags": ("style",)}, "own"),
        ({"tags": ("photography",), "type": "Checkpoint"}, "ll-round"),
        ({"tags": ("photography", "pixel art"), "type": "Checkpoint"}, "ade for"),
        ({"tags": ("style", "pixel art"), "trigger_words": ("pxl",)}, "“pxl”"),
    ],
)
def test_the_purpose_is_said(fields: dict[str, object], said: str) -> None:
    assert said in describe(facts(**fields), STATS)


def test_samples_are_no_purpose() -> None:
    """A LoRA about riding whose samples show knights is not "for knights"."""
    text = describe(facts(model="riding on a", tags=("concept",)), STATS)
    assert "one idea" in text
    assert text.index("one idea") < text.index("knights")


@pytest.mark.parametrize(
    "triggers", [("garage, a modern house",), ("<lora:x>",), ("a", "b", "c"), ("three words long",), ()]
)
def test_a_menu_of_trigger_words_is_not_said(triggers: tuple[str, ...]) -> None:
    assert "“" not in describe(facts(tags=("style",), trigger_words=triggers), STATS)


def test_the_same_facts_give_the_same_text_and_ids_turn_the_pattern() -> None:
    texts = {describe(facts(model_id=model_id, tags=("anime",)), STATS) for model_id in range(10)}
    assert len(texts) > 3
    assert describe(facts(), STATS) == describe(facts(), STATS)


def test_forbidden_runs_are_kept_out() -> None:
    free = describe(facts(tags=("anime", "fantasy")), STATS)
    forbidden = set(runs(free))
    kept = describe(facts(tags=("anime", "fantasy")), STATS, forbidden=forbidden)
    assert kept
    assert not forbidden & set(runs(kept.replace("SD 1.5", "BASEMODEL")))


def test_joined_names_are_read() -> None:
    assert "urreal" in describe(facts(model="SurrealismAI LoRA", terms={}), STATS)


def test_what_a_model_is_made_for_is_not_said_of_its_samples_again() -> None:
    text = describe(facts(tags=("landscape", "woman"), terms={"landscape": 0.9, "woman": 0.5}), STATS)
    assert text.casefold().count("landscape") == 1
    assert "women" in text


def test_a_model_of_which_nothing_is_known() -> None:
    text = describe(RecordFacts(7, ">_<", "Checkpoint", "SDXL 1.0"), TermStats.of({}))
    assert "heckpoint" in text
    assert len(text.split()) <= 6


WORDS = st.sampled_from(
    [
        "castle",
        "fox",
        "nude",
        "neon city",
        "https://a.b",
        "<b>bold</b>",
        "robot",
        "anime",
        "loli",
        "漫画",
        "oil painting",
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 10**6),
    st.lists(WORDS, max_size=8),
    st.lists(st.lists(WORDS, min_size=1).map(", ".join), max_size=5),
)
def test_descriptions_are_clean(model_id: int, tags: list[str], prompts: list[str]) -> None:
    profile = term_profile(prompts) if prompts else {}
    stats = TermStats.of({0: profile, **PROFILES})
    text = describe(facts(model_id, tags=tuple(tags), terms=profile, type="Checkpoint"), stats)
    assert 0 < len(text.split()) <= MAX_WORDS
    assert "http" not in text
    assert "<" not in text
    assert not is_blocked(text)
    assert text.endswith(".")


@pytest.mark.parametrize("text", ["nude", "a young girl", "Little Boys", "schoolgirl", "NSFW"])
def test_blocked(text: str) -> None:
    assert is_blocked(text)


@pytest.mark.parametrize(
    "text", ["girl", "old man", "classic", "chest of drawers", "assassin", "pixel art", "kidney"]
)
def test_not_blocked(text: str) -> None:
    assert not is_blocked(text)


def test_names_that_advertise() -> None:
    assert is_advertised("SuperMixNSFW_v2")
    assert not is_advertised("Lollipop Landscapes")

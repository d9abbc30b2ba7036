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


def test_a_description_names_style_medium_and_subject() -> None:
    text = describe(facts(tags=("watercolor", "fantasy"), model_id=1), STATS)
    assert text == "An SD 1.5 LoRA for fantasy watercolours; favourite subjects are castles and knights."


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


def test_a_style_is_not_said_twice() -> None:
    text = describe(facts(tags=("pixel art", "sprites", "3d"), terms={}), STATS).casefold()
    assert "pixel art" in text
    assert "sprite" not in text
    photographs = describe(facts(tags=("photorealistic", "realistic", "photo"), terms={}), STATS)
    assert "photorealistic images" in photographs.casefold()


def test_a_single_motif_is_left_out_and_triggers_are_no_motifs() -> None:
    common = {model_id: {"lantern": 0.1, "bridge": 0.1, "umbrella": 0.1} for model_id in range(20)}
    stats = TermStats.of(common)
    two = {"lantern": 1.0, "bridge": 1.0, "umbrella": 1.0}
    assert "lantern" in describe(facts(terms=two), stats)
    fewer = describe(facts(terms=two, trigger_words=("umbrella", "bridge")), stats)
    assert not any(term in fewer for term in two)


def test_motifs_are_things_once_each() -> None:
    terms = ["lantern", "lanterns", "incredibly", "running", "modern", "bridge"]
    stats = TermStats.of({model_id: dict.fromkeys(terms, 0.1) for model_id in range(20)})
    text = describe(facts(terms=dict.fromkeys(terms, 1.0)), stats)
    assert text.count("lantern") == 1
    assert "bridge" in text
    assert not any(word in text for word in ("incredibly", "running", "modern"))


def test_joined_names_are_read() -> None:
    assert "urreal" in describe(facts(model="SurrealismAI LoRA", terms={}), STATS)


def test_portraits_of_people() -> None:
    text = describe(facts(tags=("woman", "portrait", "forest"), terms={}), STATS)
    assert "ortraits of women" in text
    assert "forests" in text


def test_a_model_of_which_nothing_is_known() -> None:
    text = describe(RecordFacts(7, ">_<", "Checkpoint", "SDXL 1.0"), TermStats.of({}))
    assert "heckpoint" in text
    assert len(text.split()) <= 5


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

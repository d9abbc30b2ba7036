"""One filter on a record, as a mask and as Chroma's `where`: all say the same of what may be found."""

import itertools
from typing import Any

import pytest
from rated_world import (
    ADULT_BASE,
    ADULT_BY_WORDS,
    FLAGGED,
    LOOKALIKE,
    MINOR,
    ON_ADULT_BASE,
    PERSON,
    SAFE_IDS,
    UNRATED,
    castle,
    rated_catalogue,
)

from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput, NoPictureAsked, UnknownBaseModel
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.filters import Ask, FacetTable, Filter, facets, understood

RATED = rated_catalogue()
BASE = 62437
NOBODY = {PERSON, MINOR, LOOKALIKE}
ALL = set(RATED.model_ids)


def varied() -> Catalogue:
    """Every family, type, licence and availability, with every rating, and of each a minor."""
    rows: list[dict[str, Any]] = []
    for family, kind, sold, there, level, minor in itertools.product(
        ("SD 1.5", "My Family"), ("LORA", "Checkpoint"), (None, [], ["Image"]), (True, False),
        (None, 1, 4, 32), (False, True),
    ):  # fmt: skip
        facts = {"commercial_use": sold, "available": there, "nsfw_level": level, "minor": minor}
        row = castle(len(rows) + 1, base_model=family, type=kind, trigger_words=[], versions=[], **facts)
        rows.append({name: value for name, value in row.items() if value is not None})
    return Catalogue([ModelRecord.model_validate(row) for row in rows])


VARIED = varied()


def held(where: dict[str, Any] | None, facts: dict[str, Any]) -> bool:
    """What Chroma makes of a `where`, of the operators that the project uses."""
    if where is None:
        return True
    ((name, value),) = where.items()
    if name == "$and":
        return all(held(each, facts) for each in value)
    if name == "$or":
        return any(held(each, facts) for each in value)
    if isinstance(value, dict):
        ((operator, bound),) = value.items()
        assert operator == "$lte"
        return bool(facts[name] <= bound)
    return bool(facts[name] == value)


def found(catalogue: Catalogue, wanted: Filter) -> set[int]:
    """The ids that a filter lets through, said alike by all that reads it."""
    passing = {record.model_id for record in catalogue if wanted.passes(record)}
    mask = FacetTable(catalogue).mask(wanted)
    assert mask.dtype == bool
    assert {number for number, may in zip(catalogue.model_ids, mask, strict=True) if may} == passing
    by_where = {record.model_id for record in catalogue if held(wanted.where(), dict(facets(record)))}
    by_where -= wanted.exclude
    if wanted.nobody:  # who is shown is not stored in the index; `passes` sees to that afterwards
        by_where -= {record.model_id for record in catalogue if record.shows_a_person}
    assert by_where == passing
    return passing


@pytest.mark.parametrize("family", [None, "SD 1.5", "My Family", "SDXL 1.0"])
@pytest.mark.parametrize("kind", [None, "LORA", "Checkpoint"])
@pytest.mark.parametrize("sold", [None, "yes", "no", "unknown"])
@pytest.mark.parametrize("there", [None, True, False])
def test_every_facet_counts_and_none_but_what_is_asked(
    family: str | None, kind: str | None, sold: str | None, there: bool | None
) -> None:
    licences = {"yes": True, "no": False, "unknown": None}
    for nobody in (False, True):
        wanted = Filter(family=family, type=kind, commercial=sold, available=there, nobody=nobody)
        assert found(VARIED, wanted) == {
            record.model_id
            for record in VARIED
            if family in (None, record.base_model)
            and kind in (None, record.type)
            and there in (None, record.available)
            and (sold is None or record.allows_commercial_use() is licences[sold])
            and not (nobody and record.minor)
        }


@pytest.mark.parametrize("unrated", [False, True])
@pytest.mark.parametrize("level", range(1, 7))
def test_a_level_holds_those_below_it_and_the_unrated_only_where_they_may(level: int, unrated: bool) -> None:
    wanted = Filter(level=level, unrated=unrated)
    assert found(VARIED, wanted) == {
        record.model_id
        for record in VARIED
        if (record.browsing_level or 64 * (not unrated)).bit_length() <= level
    }
    assert wanted.max_nsfw == 1 << (level - 1)


def test_what_is_offered_is_safe_and_shows_nobody() -> None:
    assert found(RATED, Filter.offered(RATED)) == SAFE_IDS | {BASE}
    adult = {ADULT_BY_WORDS, FLAGGED, ADULT_BASE}
    within = {
        1: set[int](),
        2: {2},
        4: {2, 3},
        8: {2, 3, 4},
        16: {2, 3, 4, 5} | adult,
        32: {2, 3, 4, 5} | adult,
    }
    for level, more in within.items():
        wanted = Filter.offered(RATED, max_nsfw=level)
        assert found(RATED, wanted) == SAFE_IDS | {BASE} | more
        assert (wanted.max_nsfw, wanted.unrated, wanted.nobody) == (level, True, True)
    assert Filter.offered(RATED, max_nsfw=None).max_nsfw == 1
    named = Filter.offered(VARIED, base_model="My Family", exclude=["Castle number 3"])
    assert (named.family, named.exclude) == ("My Family", {3})
    asked = {"max_nsfw": None, "type": "LORA"}
    assert found(RATED, Filter.offered(RATED, **asked)) == SAFE_IDS  # type: ignore[arg-type]
    assert asked == {"max_nsfw": None, "type": "LORA"}, "what the caller holds stays as it is"


def test_a_filter_as_said_keeps_nobody_out_by_itself() -> None:
    plain = Filter.of(RATED)
    assert (plain.level, plain.max_nsfw, plain.unrated, plain.nobody) == (None, None, False, False)
    assert found(RATED, plain) == ALL
    assert found(RATED, Filter(nobody=True)) == ALL - NOBODY
    assert found(RATED, Filter.of(RATED, max_nsfw=1)) == {BASE, 1, PERSON, MINOR, LOOKALIKE, ON_ADULT_BASE}
    # levels between two of Civitai's are the lower one's
    assert [Filter.of(RATED, max_nsfw=level).level for level in (1, 2, 3, 4, 16, 32, 64, 2**40)] == [
        1, 2, 2, 3, 5, 6, 6, 6,
    ]  # fmt: skip


def test_admits_asks_for_rating_and_consent_alone() -> None:
    by_id = {record.model_id: record for record in RATED}
    strict = Filter(level=1, unrated=True, nobody=True, family="Flux.1 D", exclude=frozenset({1}))
    assert {number for number, record in by_id.items() if strict.admits(record)} == SAFE_IDS | {BASE}
    assert not Filter(nobody=True).admits(by_id[MINOR])
    assert not Filter(nobody=True).admits(by_id[PERSON])
    assert Filter(nobody=True).admits(by_id[5])
    assert Filter().admits(by_id[MINOR])
    assert not Filter(level=1).admits(by_id[UNRATED])
    assert Filter(level=2).admits(by_id[2])


def test_where_is_what_chroma_reads() -> None:
    assert Filter().where() is None
    assert Filter(exclude=frozenset({1}), nobody=True).where() is None
    assert Filter(type="LORA").where() == {"type": "LORA"}
    assert Filter(available=False, family="SD 1.5").where() == {
        "$and": [{"family": "SD 1.5"}, {"available": False}]
    }
    assert Filter(level=3).where() == {"level": {"$lte": 3}}
    assert Filter(level=3, unrated=True).where() == {"$or": [{"level": {"$lte": 3}}, {"level": 7}]}


def test_facets_are_what_the_index_stores() -> None:
    facts = {"nsfw_level": 16, "commercial_use": ["Image"], "available": False}
    assert facets(ModelRecord.model_validate(castle(1, **facts))) == {
        "family": "SD 1.5",
        "type": "LORA",
        "available": False,
        "commercial": "yes",
        "level": 5,
    }
    assert facets(ModelRecord.model_validate(castle(1)))["level"] == 7
    assert facets(ModelRecord.model_validate(castle(1)))["commercial"] == "unknown"
    assert facets(ModelRecord.model_validate(castle(1, commercial_use=[])))["commercial"] == "no"


def test_words_of_a_caller_are_read_or_refused() -> None:
    asked = Filter.of(
        VARIED, base_model="sd1.5", type="LoRA", commercial_use=True, exclude=["Castle number 3", 9]
    )
    assert asked == Filter(
        family="SD 1.5", type="LORA", commercial="yes", available=True, exclude=frozenset({3, 9})
    )
    assert Filter.of(VARIED, type="checkpoint", commercial_use=False, available=None) == Filter(
        type="Checkpoint"
    )
    # a family of the catalogue itself needs no other name
    assert Filter.of(VARIED, base_model="My Family").family == "My Family"
    assert Filter.of(VARIED, exclude="Castle number 3").exclude == {3}
    assert Filter.of(VARIED, exclude=[9, "Castle number 3", 8]).exclude == {3, 8, 9}
    assert Filter.of(VARIED, exclude=5).exclude == {5}  # type: ignore[arg-type]
    for words, error, said in (
        ({"base_model": "No Family"}, UnknownBaseModel, "No Family"),
        ({"type": "VAE"}, InvalidInput, "the type 'VAE' is not known; it is LORA or Checkpoint"),
        ({"max_nsfw": 0}, InvalidInput, "the browsing level 0 is not known; it is 1, 2, 4, 8 or 16"),
        ({"max_nsfw": -1}, InvalidInput, "the browsing level -1"),
        (
            {"exclude": ["No Model"]},
            InvalidInput,
            "cannot exclude 'No Model': the catalogue has no such model",
        ),
    ):
        with pytest.raises(error, match=said):
            Filter.of(VARIED, **words)  # type: ignore[arg-type]


def read(prompt: str, negative: str = "", **wanted: Any) -> Ask:
    instruction = Instruction(prompt=prompt, negative_prompt=negative)
    return understood(instruction, Filter(**wanted), 3, lambda name, sure: None)


def test_what_a_request_says_fills_what_the_caller_left_open() -> None:
    said = read(
        "a red fox in the snow, only loras, for SDXL, that I may sell, no anime", "blurry, ,", level=2
    )
    assert said.wanted == Filter(family="SDXL 1.0", type="LORA", commercial="yes", level=2)
    assert (said.k, said.refused, said.negative) == (3, ("anime",), "blurry, ,")
    assert said.instruction.negative_prompt == "blurry, anime"
    assert said.evidence == Instruction(prompt=said.instruction.prompt, negative_prompt="blurry, ,")
    assert "anime" not in said.evidence.prompt
    assert said.sentence is True
    own = read(
        "a red fox, only loras, for SDXL, that I may sell",
        family="SD 1.5",
        type="Checkpoint",
        commercial="no",
    ).wanted
    assert own == Filter(family="SD 1.5", type="Checkpoint", commercial="no")
    plain = read("a red fox in the snow")
    assert (plain.wanted, plain.sentence, plain.refused) == (Filter(), None, ())
    assert plain.instruction == Instruction(prompt="a red fox in the snow")


def test_a_named_model_and_the_callers_negative_prompt_are_kept() -> None:
    names = {"DreamShaper": 4384}
    asked = Instruction(prompt="use DreamShaper to draw a windmill, no anime", negative_prompt=" Xmas, ")
    found = understood(asked, Filter(), 1, lambda name, sure: names.get(name))
    assert found.understood is not None
    assert found.understood.named == 4384
    assert found.instruction.negative_prompt == "Xmas, anime"


def test_a_prompt_of_an_uploader_is_taken_as_it_is() -> None:
    prompt = "masterpiece, best quality, (1girl:1.2), no hat, SDXL lora"
    assert read(prompt).instruction.prompt == prompt
    assert read(prompt).wanted == Filter()


def test_a_request_in_another_language_is_ranked_by_its_gist_and_shown_whole() -> None:
    asked = read("赤い狐、雪の中、水彩画")
    assert asked.sentence is True
    assert asked.understood is not None
    assert asked.understood.gist
    assert asked.evidence.prompt == asked.understood.gist
    assert asked.instruction.prompt == f"{asked.understood.wish}, {asked.understood.gist}"


def test_who_asks_for_no_picture_is_told_so() -> None:
    with pytest.raises(NoPictureAsked, match="no picture"):
        read("hello, how are you?")


def test_an_ask_that_nobody_read_is_its_instruction() -> None:
    asked = Ask(Instruction(prompt="a fox"), Filter())
    assert (asked.evidence, asked.sentence, asked.refused, asked.k) == (asked.instruction, None, (), 1)

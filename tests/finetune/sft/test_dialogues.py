"""Pairs and a catalogue become token ids: what is said, what is answered, what is left out."""

import json
from typing import Any, cast

import pytest
from small_world import small_catalogue
from tiny import tiny_tokenizer

from diffagent_tools.llm.prompt import encode_name
from finetune.data.pairs import Pair
from finetune.sft.dialogues import Dialogues, Mix, build_dialogues
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError
from retrieval.records.api import read_api

TOKENIZER = tiny_tokenizer()
NOTHING = Mix(pair=0, stripped=0, no_negative=0, description=0)


def pair(prompt: str, negative_prompt: str, model_id: int, **parameters: Any) -> Pair:
    return cast(
        Pair, {"prompt": prompt, "negative_prompt": negative_prompt, "model_id": model_id, **parameters}
    )


PAIRS = (
    pair("a corgi, Pixel Art, helper", "blurry", 201, sampling_steps=31, width=640),
    pair("lakes, watercolor", "", 203),
)


def build(
    mix: Mix, *pairs: Pair, seed: int = 0, max_length: int = 2048, max_prompt_tokens: int = 500
) -> Dialogues:
    return build_dialogues(
        pairs or PAIRS,
        small_catalogue(),
        TOKENIZER,
        mix,
        max_prompt_tokens=max_prompt_tokens,
        max_length=max_length,
        seed=seed,
    )


def said(built: Dialogues) -> list[dict[str, str]]:
    """The instructions, read back from the token ids."""
    texts = [str(TOKENIZER.decode(row.input_ids[: row.response_start])) for row in built.rows]
    return [json.loads(text.removeprefix("User: ").partition("\nAgent: ")[0]) for text in texts]


def answers(built: Dialogues) -> list[str]:
    return [str(TOKENIZER.decode(row.input_ids[row.response_start :])) for row in built.rows]


def test_a_pair_is_said_as_it_is_stripped_and_without_its_negative() -> None:
    built = build(Mix(pair=1, stripped=1, no_negative=1, description=0), PAIRS[0])
    assert [row.kind for row in built.rows] == ["pair", "stripped", "no_negative"]
    assert said(built) == [
        {"prompt": "a corgi, Pixel Art, helper", "negative prompt": "blurry"},
        {"prompt": "a corgi,  ,", "negative prompt": "blurry"},
        {"prompt": "a corgi, Pixel Art, helper", "negative prompt": ""},
    ]
    assert answers(built) == ['Pixel Art Helper"'] * 3


def test_the_response_is_the_name_with_its_closing_quote_and_nothing_else() -> None:
    row = build(Mix(pair=1, stripped=0, description=0), PAIRS[0]).rows[0]
    assert list(row.input_ids[row.response_start :]) == encode_name("Pixel Art Helper", TOKENIZER)


def test_the_full_response_is_the_papers_json_with_the_pairs_own_parameters() -> None:
    built = build(Mix(pair=1, stripped=0, description=0, full_share=1), PAIRS[0])
    row = built.rows[0]
    assert row.input_ids[-1] == TOKENIZER.eos_token_id
    text = '{"model":"' + str(TOKENIZER.decode(row.input_ids[row.response_start : -1]))
    assert list(json.loads(text)) == [
        *("model", "type", "base model", "width", "height", "sampling method", "sampling steps"),
        *("cfg scale", "model description"),
    ]
    api = read_api(text).api
    # 31 and 640 are the pair's, the rest the catalogue's
    assert (api.model, api.width, api.height, api.sampling_steps) == ("Pixel Art Helper", 640, 512, 31)
    assert (api.sampling_method, api.cfg_scale) == ("DPM++ 2M Karras", 8)
    assert built.kinds == {"pair": 1, "full response": 1}


def test_a_description_teaches_every_available_model_also_without_pairs() -> None:
    built = build(Mix(pair=0, stripped=0, description=1))
    catalogue = small_catalogue()
    known = {record.model_id for record in catalogue if record.available and len(record.description) >= 40}
    assert set(built.model_ids) == known
    assert 205 not in built.model_ids  # unavailable
    assert said(built)[0]["prompt"] == "Small sprites, pixel art of games on few colors, happy pets."
    # the others' descriptions say too little, and they have no terms
    assert built.empty == 6 - len(known)


def test_every_second_description_is_a_draw_of_terms() -> None:
    record = small_catalogue().get(202)
    words = {f"word{i}": i / 20 for i in range(1, 20)}
    catalogue = Catalogue([record.model_copy(update={"terms": words, "tags": ("tag",)})])
    built = build_dialogues(
        (),
        catalogue,
        TOKENIZER,
        Mix(pair=0, stripped=0, description=40),
        max_prompt_tokens=500,
        max_length=2048,
    )
    prompts = [each["prompt"].split(", ") for each in said(built)]
    assert all(4 <= len(words) <= 12 and len(set(words)) == len(words) for words in prompts)
    heard = [word for prompt in prompts for word in prompt]
    assert heard.count("word19") > 2 * heard.count("word1")


def test_a_choice_lists_the_right_model_among_others_and_the_answer_is_its_name() -> None:
    catalogue = small_catalogue()
    built = build(Mix(pair=0, stripped=0, choice=6, description=0, full_share=1.0))
    assert built.kinds == {"choice": 12, "name alone": 12}
    places = set()
    for spoken, answer, row in zip(said(built), answers(built), built.rows, strict=True):
        right = catalogue.get(row.model_id).model
        assert answer == f'{right}"'
        listed = [line.split(":")[0] for line in spoken["models"]]
        assert right in listed
        assert len(set(listed)) == len(listed) == min(8, len(catalogue))
        places.add(listed.index(right))
    assert len(places) > 2, "the right one must not stand in one place"


def test_a_choice_says_nothing_that_only_the_asked_prompt_taught() -> None:
    telling = pair("zorblax on a hill", "", 201)
    built = build(Mix(pair=0, stripped=0, choice=1, description=0), telling, *PAIRS[1:])
    assert "zorblax" in said(built)[0]["prompt"]
    assert not any("zorblax" in line for line in said(built)[0]["models"])


def test_rates_are_means_and_a_seed_settles_them() -> None:
    pairs = PAIRS[:1] * 200
    half = build(Mix(pair=0.5, stripped=0, description=0, full_share=0.25), *pairs, seed=3)
    assert 70 <= len(half.rows) <= 130
    assert 10 <= half.kinds["full response"] <= 45
    again = build(Mix(pair=0.5, stripped=0, description=0, full_share=0.25), *pairs, seed=3)
    other = build(Mix(pair=0.5, stripped=0, description=0, full_share=0.25), *pairs, seed=4)
    assert half.rows == again.rows
    assert half.digest == again.digest != other.digest
    assert len(build(Mix(pair=2, stripped=0, description=0)).rows) == 4


def test_a_response_longer_than_the_context_is_left_out_and_counted() -> None:
    mix = Mix(pair=1, stripped=0, description=0, full_share=1)
    lengths = [len(row.input_ids) for row in build(mix).rows]
    built = build(mix, max_length=min(lengths))
    assert [len(row.input_ids) for row in built.rows] == [min(lengths)]
    assert built.too_long == 1
    assert "1 longer than the context" in built.report()
    with pytest.raises(DataError, match="2 longer than the 20 tokens of the context"):
        build(mix, max_length=20)


def test_the_prompt_is_cut_and_the_response_is_not() -> None:
    long = pair("corgi " * 300, "blurry " * 300, 203)
    built = build(Mix(pair=1, stripped=0, description=0), long, max_prompt_tokens=24)
    assert answers(built) == ['Watercolor Wash"']
    assert built.rows[0].response_start < 80


def test_a_model_that_the_catalogue_lacks_and_an_empty_prompt_are_counted() -> None:
    stranger = pair("a cat", "", 999)
    nameless = pair("Watercolor Wash, watercolor", "", 203)
    built = build(Mix(pair=1, stripped=1, description=0), *PAIRS, stranger, nameless)
    assert (built.unknown, built.empty) == (1, 1)
    with pytest.raises(DataError, match="of 1 pairs 1 name models that the catalogue 'the small one' lacks"):
        build(Mix(pair=1, stripped=0, description=0), stranger)
    with pytest.raises(DataError, match="nothing is left"):
        build(NOTHING)

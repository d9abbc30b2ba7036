"""Pairs and a catalogue become token ids: what is said, what is answered, what is left out."""

import gzip
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
from small_world import small_catalogue
from tiny import tiny_tokenizer

from diffagent_tools.llm.prompt import encode_name
from finetune.data.stripping import strip_prompt
from finetune.sft.dialogues import Dialogues, Mix, Pair, build_dialogues, read_pairs
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError
from retrieval.records.api import read_api

DATA = Path(os.environ.get("DIFFAGENT_DATA", Path(__file__).parents[4] / "shared" / "data"))
TOKENIZER = tiny_tokenizer()
NOTHING = Mix(pair=0, stripped=0, no_negative=0, description=0)
PAIRS = (
    Pair(
        "a corgi, Pixel Art, helper", "blurry", 201, "Pixel Art Helper", {"sampling_steps": 31, "width": 640}
    ),
    Pair("lakes, watercolor", "", 203, "Watercolor Wash"),
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


@pytest.mark.parametrize(
    ("prompt", "model", "triggers", "left"),
    [
        ("a corgi in PIXEL ART style", "Retro", ["pixel art"], "a corgi in   style"),
        ("pixel-art by retrosprite", "Retro Art", ["pix, retrosprite"], "pixel-art by  "),
        ("fantastic retro art", "RETRO (art)", [], "fantastic   art"),
        ("水墨风格 mountains", "水墨风格", [], "  mountains"),
        ("nothing of it", "abc de", ["x", ""], "nothing of it"),
        ("a.c is not abcd", "-", ["a.cd"], "a.c is not abcd"),
    ],
)
def test_strip_prompt(prompt: str, model: str, triggers: list[str], left: str) -> None:
    assert strip_prompt(prompt, model, triggers) == left


@pytest.mark.skipif(not (DATA / "strip_prompt.py").is_file(), reason=f"no development data in {DATA}")
def test_strip_prompt_does_what_the_measurement_does() -> None:
    spec = importlib.util.spec_from_file_location("measured", DATA / "strip_prompt.py")
    assert spec
    assert spec.loader
    measured = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measured)
    with gzip.open(DATA / "models.jsonl.gz", "rt", encoding="utf-8") as stream:
        models = {model["model_id"]: model for model in map(json.loads, stream)}
    compared = 0
    for pair in read_pairs(DATA / "pairs_val.jsonl.gz"):
        model = models[pair.model_id]
        mine = strip_prompt(pair.prompt, model["model"], model["trigger_words"] or [])
        assert mine == measured.strip_prompt(pair.prompt, model)
        compared += 1
    assert compared > 500


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
    telling = Pair("zorblax on a hill", "", 201, "Pixel Art Helper")
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
    long = Pair("corgi " * 300, "blurry " * 300, 203, "Watercolor Wash")
    built = build(Mix(pair=1, stripped=0, description=0), long, max_prompt_tokens=24)
    assert answers(built) == ['Watercolor Wash"']
    assert built.rows[0].response_start < 80


def test_a_model_that_the_catalogue_lacks_and_an_empty_prompt_are_counted() -> None:
    stranger = Pair("a cat", "", 999, "Nowhere")
    nameless = Pair("Watercolor Wash, watercolor", "", 203, "Watercolor Wash")
    built = build(Mix(pair=1, stripped=1, description=0), *PAIRS, stranger, nameless)
    assert (built.unknown, built.empty) == (1, 1)
    with pytest.raises(DataError, match="of 1 pairs 1 name models that the catalogue 'the small one' lacks"):
        build(Mix(pair=1, stripped=0, description=0), stranger)
    with pytest.raises(DataError, match="nothing is left"):
        build(NOTHING)


ROW: dict[str, Any] = {
    "prompt": "a cat",
    "negative_prompt": None,
    "model_id": 201,
    "model": "Pixel Art Helper",
}


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_pairs_are_read_plain_and_compressed(tmp_path: Path) -> None:
    full = {**ROW, "sampling_method": "DDIM", "sampling_steps": 20, "cfg_scale": 7, "width": None, "seed": 3}
    plain = write(tmp_path / "pairs.jsonl", json.dumps(ROW), "", json.dumps(full))
    pairs = read_pairs(plain)
    assert pairs == [
        Pair("a cat", "", 201, "Pixel Art Helper"),
        Pair(
            "a cat",
            "",
            201,
            "Pixel Art Helper",
            {"sampling_method": "DDIM", "sampling_steps": 20, "cfg_scale": 7.0},
        ),
    ]
    packed = tmp_path / "pairs.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_pairs(packed) == pairs


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (json.dumps({"prompt": "a cat"}), "line 2 has no response: model is None"),
        (json.dumps({**ROW, "model": " "}), "line 2 has no response: model is ' '"),
        (json.dumps({**ROW, "model_id": "201"}), "model_id '201'; needed are the name and the number"),
        (json.dumps({**ROW, "model_id": True}), "line 2 has no response"),
        (json.dumps({**ROW, "prompt": 3}), "line 2 has no prompt; delete the line or fill it in"),
        (json.dumps({**ROW, "width": "wide"}), "line 2: width is 'wide', needed is a value of type int"),
        ("[1]", "line 2 is no JSON object"),
        ('{"prompt": ', "line 2 is not JSON"),
    ],
)
def test_a_line_that_cannot_be_trained_on_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "pairs.jsonl", json.dumps(ROW), line)
    with pytest.raises(DataError) as caught:
        read_pairs(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_without_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the pairs .*none\.jsonl"):
        read_pairs(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no pairs"):
        read_pairs(write(tmp_path / "empty.jsonl", ""))
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(gzip.compress(json.dumps(ROW).encode())[:-9])
    with pytest.raises(DataError, match="cannot read the pairs"):
        read_pairs(broken)

"""The records: reading forgives anything and says so, writing is strict, and what is written is read back."""

import copy
import json
import math
import pickle
import time
from typing import Any

import pytest
from calls import LANTERN
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retrieval.errors import InvalidApi, InvalidInstruction, UnknownBaseModel
from retrieval.records.air import Air, make_air, parse_air
from retrieval.records.api import (
    MAX_PROMPT_CHARS,
    ApiReading,
    CheckpointRef,
    Instruction,
    T2IApi,
    api_json_schema,
    read_api,
    read_instruction,
)
from retrieval.records.field_names import is_said
from retrieval.records.lenient_json import find_objects

PAPER_NAMES = [
    *("model", "type", "base model", "width", "height", "sampling method", "sampling steps", "cfg scale"),
    "model description",
]
API = LANTERN.model_copy(
    update={
        "model_description": 'paper lanterns over a "night" river',
        "trigger_words": ("lantern style",),
        "confidence": 0.75,
    }
)
NINE = {
    "model": "M",
    "type": "Checkpoint",
    "base model": "SD 1.5",
    "width": 512,
    "height": 512,
    "sampling method": "Euler a",
    "sampling steps": 20,
    "cfg scale": 7,
    "model description": "d",
}


# --- the request


def test_a_request_is_words_a_mapping_or_json() -> None:
    expected = Instruction(prompt="a corgi", negative_prompt="blurry")
    assert read_instruction("a corgi") == Instruction(prompt="a corgi")
    for key in ("negative_prompt", "negative prompt", "negativePrompt"):
        assert read_instruction({"prompt": "a corgi", key: "blurry"}) == expected
    assert read_instruction('{"prompt": "a corgi", "negative prompt": "blurry"}') == expected
    assert read_instruction({"prompt": "a corgi", "negative_prompt": None}) == Instruction(prompt="a corgi")
    assert read_instruction(expected) is expected
    assert expected.to_wire() == {"prompt": "a corgi", "negative prompt": "blurry"}


def test_a_prompt_that_begins_with_a_brace_stays_words() -> None:
    assert read_instruction("{red|blue} balloon").prompt == "{red|blue} balloon"


def test_control_characters_are_dropped_and_accents_composed() -> None:
    assert read_instruction("a\x00 cafe\u0301\r\n\tat\x1b night ").prompt == "a café\n\tat night"
    assert read_instruction("half \ud83d of a character").prompt == "half ? of a character"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "prompt cannot be used: it is empty"),
        ("  \x00\n", "it is empty"),
        ("x" * (MAX_PROMPT_CHARS + 1), "20,001 characters and at most 20,000"),
        ({"prompt": "a", "negative prompt": "x" * (MAX_PROMPT_CHARS + 1)}, "negative prompt cannot be used"),
        ({}, "has no prompt"),
        ({"prompt": 3}, "prompt is of type int"),
        ({"prompt": "a", "seed": 3}, "the field 'seed'"),
        (3, "of type int"),
        (None, "of type NoneType"),
        (["a corgi"], "of type list"),
    ],
)
def test_an_unusable_request_is_refused_in_plain_words(value: Any, said: str) -> None:
    with pytest.raises(InvalidInstruction) as caught:
        read_instruction(value)
    assert said in str(caught.value)
    assert "pydantic" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_longest_prompt_is_accepted() -> None:
    assert len(read_instruction("x" * MAX_PROMPT_CHARS).prompt) == MAX_PROMPT_CHARS


@given(st.text())
def test_any_text_is_a_request_or_refused(text: str) -> None:
    try:
        instruction = read_instruction(text)
    except InvalidInstruction:
        return
    assert instruction.prompt
    assert read_instruction(instruction.to_wire()) == instruction


# --- writing


def test_the_wire_form_has_the_names_and_the_order_of_the_paper_first() -> None:
    wire = API.to_wire()
    assert list(wire)[:9] == PAPER_NAMES
    assert list(wire)[9:] == [
        *("model id", "version id", "version", "air", "base checkpoint", "lora weight", "trigger words"),
        *("clip skip", "negative prompt", "prompt", "confidence"),
    ]
    assert wire["base checkpoint"] == {"model": "DreamShaper", "model id": 4384, "version id": 128713}
    assert wire["trigger words"] == ["lantern style"]


def test_the_paper_form_has_nine_fields_model_first_and_no_spaces() -> None:
    text = API.paper_json()
    assert text.startswith('{"model":"Lantern Festival","type":"LORA","base model":"SD 1.5","width":512,')
    assert list(json.loads(text)) == PAPER_NAMES
    assert '"cfg scale":7,' in API.model_copy(update={"cfg_scale": 7.0}).paper_json()


def test_fields_of_ours_that_are_not_set_are_left_out() -> None:
    assert list(read_api(NINE).api.to_wire()) == PAPER_NAMES


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("model", "  "),
        ("base_model", ""),
        ("sampling_method", ""),
        ("width", 0),
        ("height", -512),
        ("width", 10**7),
        ("sampling_steps", 0),
        ("cfg_scale", math.nan),
        ("cfg_scale", math.inf),
        ("lora_weight", -math.inf),
        ("confidence", 1.01),
        ("confidence", math.nan),
        ("model_id", 0),
        ("clip_skip", -1),
        ("base_checkpoint", CheckpointRef(model="")),
        ("base_checkpoint", CheckpointRef(model="D", model_id=-1)),
    ],
)
def test_writing_refuses_what_no_program_could_run(field: str, value: object) -> None:
    broken = API.model_copy(update={field: value})
    for write in (broken.to_wire, broken.to_json, broken.paper_json):
        with pytest.raises(InvalidApi, match=field.replace("_", " ")):
            write()


def test_a_faulty_call_can_be_held_so_that_a_check_can_name_its_faults() -> None:
    api = read_api({**NINE, "width": 513, "sampling steps": 0, "sampling method": "Fancy 9M"}).api
    assert (api.width, api.sampling_steps, api.sampling_method) == (513, 0, "Fancy 9M")


def test_records_are_frozen_hashable_and_can_be_copied_and_pickled() -> None:
    with pytest.raises(ValidationError):
        API.width = 1024  # type: ignore[misc]
    assert len({API, copy.deepcopy(API), pickle.loads(pickle.dumps(API))}) == 1
    with pytest.raises(ValidationError):
        T2IApi(**NINE, colour="red")  # type: ignore[arg-type]


# --- reading


def test_a_full_record_is_read_without_a_guess() -> None:
    assert read_api(API.to_json(indent=2)) == ApiReading(API, ())
    assert read_api(API.to_wire()) == ApiReading(API, ())
    assert read_api(NINE).guesses == ()


@pytest.mark.parametrize(
    "text",
    [
        'Sure! ```json\n{"model": "M", "sampling steps": 30}\n``` Have fun.',
        "{'model': 'M', 'sampling steps': 30}",
        '{"model": "M", "sampling steps": 30,}',
        "{model: 'M', sampling steps: 30}",
        "{'model': 'M', 'sampling steps': 30, 'nsfw': False, 'seed': None}",
        "{“model”: “M”, “sampling steps”: 30}",
        '{"model": "M" "sampling steps": 30}',
        '{"model": "M",\n"sampling steps": 30, "model description": "it was cut o',
        'I thought {of this} and {that} first: {"model": "M", "sampling steps": 30}',
        '{{"model": "M", "sampling steps": 30}}',
        '[{"seed": 3}, {"model": "M", "sampling steps": 30}]',
        '{"result": {"api": {"model": "M", "sampling steps": 30}}}',
        '{"type": "tool_use", "name": "generate", "input": {"model": "M", "sampling steps": 30}}',
        '\ufeff{"model": "M", "sampling steps": "30 steps"}',
    ],
)
def test_an_api_is_found_however_it_is_wrapped(text: str) -> None:
    api = read_api(text).api
    assert (api.model, api.sampling_steps) == ("M", 30)


@pytest.mark.parametrize(
    "name", ["Director's Cut", 'The "Big" One', "a\\b", "夜の川", "🏮", ">_<", "{curly}", "x: y, z"]
)
def test_names_with_odd_signs_survive_each_quoting(name: str) -> None:
    assert read_api(json.dumps({"model": name})).api.model == name
    assert read_api(json.dumps({"model": name}, ensure_ascii=False)).api.model == name
    assert read_api(f"The call: { ({'model': name, 'seed': None})!r}").api.model == name


def test_quotes_inside_quotes_are_read_as_they_were_meant() -> None:
    assert read_api("{'model': 'Director's Cut', 'width': 512}").api.model == "Director's Cut"
    assert read_api('{"model": "The "Big" One", "width": 512}').api.model == 'The "Big" One'


@pytest.mark.parametrize(
    ("given_fields", "field", "value"),
    [
        ({"Model": "M"}, "model", "M"),
        ({"modelName": "M"}, "model", "M"),
        ({"model": {"name": "M", "type": "Checkpoint"}}, "model", "M"),
        ({"model": "M", "baseModel": "SDXL 1.0"}, "base_model", "SDXL 1.0"),
        ({"model": "M", "base Model": "SDXL 1.0"}, "base_model", "SDXL 1.0"),
        ({"model": "M", "Size": "512x768"}, "height", 768),
        ({"model": "M", "resolution": "640 × 960"}, "width", 640),
        ({"model": "M", "size": [640, 960]}, "height", 960),
        ({"model": "M", "sampler": "DDIM"}, "sampling_method", "DDIM"),
        (
            {"model": "M", "Sampler": "DPM++ 2M", "Schedule type": "Karras"},
            "sampling_method",
            "DPM++ 2M Karras",
        ),
        (
            {"model": "M", "sampler_name": "dpmpp_2m", "scheduler": "karras"},
            "sampling_method",
            "DPM++ 2M Karras",
        ),
        ({"model": "M", "scheduler": "DDIMScheduler"}, "sampling_method", "DDIMScheduler"),
        ({"model": "M", "steps": "25"}, "sampling_steps", 25),
        ({"model": "M", "num_inference_steps": 25.0}, "sampling_steps", 25),
        ({"model": "M", "cfgScale": "7,5"}, "cfg_scale", 7.5),
        ({"model": "M", "guidance_scale": 4}, "cfg_scale", 4.0),
        ({"model": "M", "type": "LoRA"}, "type", "LORA"),
        ({"model": "M", "type": "checkpoint"}, "type", "Checkpoint"),
        ({"model": "M", "weight": 0.6}, "type", "LORA"),
        ({"lora": "M"}, "type", "LORA"),
        ({"checkpoint": "C", "lora": "M"}, "base_checkpoint", CheckpointRef(model="C")),
        ({"model": "C", "lora": "M"}, "model", "M"),
        ({"model": "M", "trainedWords": "red, blue ,"}, "trigger_words", ("red", "blue")),
        ({"model": "M", "base checkpoint": "C", "type": "LORA"}, "base_checkpoint", CheckpointRef(model="C")),
        ({"model": "M", "version": 2.0}, "version", "2.0"),
        ({"name": "M", "type": "lora"}, "model", "M"),
        ({"model": "M", "sampler": "A", "sampling method": "B"}, "sampling_method", "B"),
    ],
)
def test_other_spellings(given_fields: dict[str, Any], field: str, value: object) -> None:
    assert getattr(read_api(given_fields).api, field) == value
    assert getattr(read_api(repr(given_fields)).api, field) == value


def test_every_assumption_is_a_sentence() -> None:
    reading = read_api(
        "{'model': 'M', 'steps': 'about 30', 'type': 'Hypernet', 'width': 512.6, 'cfg scale': []}"
    )
    assert reading.guesses == (
        "the object is not valid JSON; it was read as it seems to be meant",
        "'steps' was read as 'sampling steps'",
        "base model is missing; the default SD 1.5 was taken",
        "type 'Hypernet' is neither LORA nor Checkpoint; Checkpoint was taken",
        "width 512.6 was rounded to 513",
        "height is missing; the default 512 was taken",
        "sampling method is missing; the default Euler a was taken",
        "sampling steps 'about 30' was read as 30",
        "cfg scale is no number and was left out",
        "cfg scale is missing; the default 7 was taken",
    )


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        ({key: value for key, value in NINE.items() if key != "width"}, "width"),
        ({**NINE, "width": "512"}, "width"),
        ({**NINE, "sampler": "Euler a"}, "sampler"),
        ({**NINE, "type": "LyCORIS"}, "type"),
        ({**NINE, "base checkpoint": "DreamShaper"}, "base checkpoint"),
        ([NINE], "the whole"),
    ],
)
def test_the_own_wire_is_read_strictly(wire: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidApi, match=rf"\({field}: .*`diffagent check`"):
        T2IApi.from_wire(wire)


def test_the_reading_says_which_fields_were_missing() -> None:
    assert read_api(NINE).missing == {}
    missing = read_api('{"model": "M", "type": "Checkpoint", "width": 512, "height": "tall"}').missing
    assert set(missing) == {"base_model", "height", "sampling_method", "sampling_steps", "cfg_scale"}
    unreadable = read_api({**NINE, "type": "Embedding"})
    assert unreadable.missing == {"type": unreadable.guesses[0]}
    assert set(read_api({"lora": "M", "base model": "Pony", "size": "8x8"}).missing) == {
        "sampling_method",
        "sampling_steps",
        "cfg_scale",
    }


def test_what_is_missing_has_the_defaults_of_the_paper_and_the_size_of_the_family() -> None:
    api = read_api('{"model": "M", "base model": "SDXL 1.0"}').api
    assert (api.sampling_method, api.sampling_steps, api.cfg_scale) == ("Euler a", 20, 7.0)
    assert (api.width, api.height) == (1024, 1024)


def test_of_several_objects_the_first_that_names_a_model_is_taken() -> None:
    reading = read_api('{"prompt": "x"} {"model": "A", "width": 640} {"model": "B"}')
    assert (reading.api.model, reading.api.width) == ("A", 640)
    assert "several APIs" in reading.guesses[0]


def test_an_object_that_was_cut_off_is_read_as_far_as_it_goes() -> None:
    whole = API.paper_json()
    reading = read_api(whole[: whole.index('"sampling steps"')])
    assert (reading.api.model, reading.api.sampling_method) == (API.model, API.sampling_method)
    assert "cut off" in reading.guesses[0]


@pytest.mark.parametrize(
    "value",
    [
        *("", "ReV Animated", "model: M", "{}", "[]", "null", "{", '{"model": ""}', '{"model": null}'),
        *(
            '{"model": "Drea',
            '{"prompt": "a corgi"}',
            '{"name": "generate", "arguments": {}}',
            '"model"',
            "42",
        ),
        "__import__('os').system('true')",
        "{'model': __import__('os').getcwd()",
        *({}, {"model": 3}, {"model": "  "}, None, 3, b'{"model": "M"}', [{"a": 1}]),
    ],
)
def test_what_names_no_model_is_no_api(value: Any) -> None:
    if isinstance(value, str) and "__import__" in value and "model" in value:
        # nothing is evaluated: the expression is at most a strange name
        assert read_api(value).api.model.startswith("__import__")
        return
    with pytest.raises(InvalidApi) as caught:
        read_api(value)
    assert "needed is an object such as" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_beyond_all_measure_is_refused() -> None:
    with pytest.raises(InvalidApi, match="at most 1,000,000"):
        read_api("x" * 1_000_001)


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "{",
            "[",
            '{"a":',
            '{"a":[',
            '["',
            "{'",
            "{'a",
            '{"',
            '{"a": "',
            "{'\\",
            '{"\\"',
            "{a",
            "{a:",
            "{:",
            "}{",
        ),
        *(
            '{"a":1}',
            '{"model":""}',
            "{'a': 'b' c",
            " ",
            "{ ",
            '{"a": \'',
            '"',
            "'",
            "\\",
            "{“",
            "1",
            '{"a":1',
            "{a:(",
        ),
        *("{'a': 'x' ", '{"a":-', '{"a":[1', "{\n", "💥{"),
        *("<think>", "</think>", "- a: b\n", "```\n", "from_pretrained("),
    ],
)
def test_a_hundred_thousand_hostile_characters_take_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        text = (unit * size)[:size]
        begin = time.process_time()
        with pytest.raises(InvalidApi):
            read_api(text)
        return time.process_time() - begin

    # ten times the text may take ten times as long; a quadratic reader would take a hundred times as long
    assert seconds(100_000) < 2 + 40 * seconds(10_000)


@pytest.mark.parametrize("depth", [10, 31, 32, 900, 50_000])
def test_deep_nesting_does_not_crash(depth: int) -> None:
    for text in (
        '{"a":' * depth + '{"model":"M"}' + "}" * depth,
        "[" * depth + '{"model":"M"}' + "]" * depth,
    ):
        try:
            assert read_api(text).api.model == "M"
        except InvalidApi:
            assert depth > 32


def test_a_mapping_that_holds_itself_is_refused() -> None:
    ring: dict[str, Any] = {"a": 1}
    ring["ring"] = [ring]
    with pytest.raises(InvalidApi):
        read_api(ring)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5_000, "NaN", "Infinity", "1" + "0" * 400])
def test_numbers_beyond_measure_are_left_out(number: str) -> None:
    api = read_api(f'{{"model": "M", "width": {number}, "cfg scale": {number}}}').api
    assert (api.width, api.cfg_scale) == (512, 7.0)
    assert read_api({"model": "M", "width": 10**400, "cfg scale": 10**400}).api.width == 512


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: (
        st.lists(children) | st.dictionaries(st.sampled_from([*NINE, "size", "lora"]) | st.text(), children)
    ),
    max_leaves=10,
)


def accepted_as_it_is_written(given_value: Any) -> None:
    """What is read at all may be written and is then read back, or its fault is said."""
    try:
        api = read_api(given_value).api
    except InvalidApi:
        return
    try:
        written = api.to_json()
    except InvalidApi:
        return
    assert read_api(written).api == api


@given(st.text(st.characters(), max_size=400))
@example("\ud800{'model': '\ud800'}")
@example('{"model": "\\ud83d", "type": "\\N{x}"}')
def test_any_text_is_an_api_or_refused(text: str) -> None:
    accepted_as_it_is_written(text)


JSON_SIGNS = [*"{}[]():,'\"\\ \n=-.15e", "model", "type", "size", "“", "null", "é"]


@given(st.lists(st.sampled_from(JSON_SIGNS), max_size=40).map("".join))
@settings(max_examples=400)
def test_any_text_made_of_json_signs_is_an_api_or_refused(text: str) -> None:
    for wrapped in (text, '{"model": "M", ' + text, text + '{"model": "M"}'):
        accepted_as_it_is_written(wrapped)


@given(JSONISH)
@settings(max_examples=300)
def test_any_value_is_an_api_or_refused(value: Any) -> None:
    for given_value in (value, {"model": "M", "rest": value}, {"model": "M", "width": value, "size": value}):
        accepted_as_it_is_written(given_value)


WORDS = st.text(min_size=1).filter(is_said)
WHOLE = st.integers(1, 1_000_000)
IDS = st.none() | st.integers(1, 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
APIS = st.builds(
    T2IApi,
    model=WORDS,
    type=st.sampled_from(["LORA", "Checkpoint"]),
    base_model=WORDS,
    width=WHOLE,
    height=WHOLE,
    sampling_method=WORDS,
    sampling_steps=WHOLE,
    cfg_scale=FLOATS,
    model_description=st.text(),
    model_id=IDS,
    version_id=IDS,
    # an empty text is read as not said
    version=st.none() | WORDS,
    air=st.none() | WORDS,
    base_checkpoint=st.none()
    | st.builds(CheckpointRef, model=WORDS, model_id=IDS, version_id=IDS, air=st.none() | WORDS),
    lora_weight=st.none() | FLOATS,
    trigger_words=st.lists(st.text(), max_size=4).map(tuple),
    clip_skip=st.none() | st.integers(1, 12),
    negative_prompt=st.text(),
    prompt=st.text(),
    confidence=st.none() | st.floats(0, 1),
)


@given(APIS)
def test_what_is_written_is_read_back(api: T2IApi) -> None:
    assert read_api(api.to_json()) == ApiReading(api, ())
    assert read_api(api.to_wire()) == ApiReading(api, ())
    assert T2IApi.from_wire(json.loads(api.to_json())) == api
    assert read_api(f"Agent: {api.to_json()}\n").api == api


@given(APIS)
def test_what_is_written_as_python_is_read_back(api: T2IApi) -> None:
    written = api.to_wire()
    names = ("model", "base model", "sampling method")
    # Python's repr keeps a text that ends in quotes only with escapes, which the loose reader must undo
    found = next(iter(find_objects(f"call({written!r})"))).value
    assert {name: found[name] for name in names} == {name: written[name] for name in names}


# --- schema and AIR


def test_the_schema_speaks_of_the_wire_names() -> None:
    schema = api_json_schema()
    assert list(schema["properties"])[:9] == PAPER_NAMES
    assert schema["required"] == PAPER_NAMES[:8]
    assert schema["properties"]["type"]["enum"] == ["LORA", "Checkpoint"]
    assert schema["additionalProperties"] is False
    assert "model id" in schema["$defs"]["CheckpointRef"]["properties"]
    assert json.loads(json.dumps(schema)) == schema


def test_an_air_is_made_and_taken_apart() -> None:
    air = make_air("SD 1.5", "LORA", 12, 34)
    assert air == "urn:air:sd1:lora:civitai:12@34"
    assert parse_air(air) == Air("sd1", "lora", 12, 34)
    assert make_air("Illustrious", "Checkpoint", 1, 2) == "urn:air:sdxl:checkpoint:civitai:1@2"
    with pytest.raises(UnknownBaseModel):
        make_air("SD 9", "LORA", 1, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sd1:checkpoint:civitai:4384@128713", Air("sd1", "checkpoint", 4384, 128713)),
        (" URN:AIR:SDXL:LoRA:civitai:7 ", Air("sdxl", "lora", 7, None)),
        ("urn:air:sd1:lora:huggingface:a/b@main", None),
        ("urn:air:sd1:lora:civitai:", None),
        ("civitai", None),
        ("", None),
        ("urn:air:sd1:lora:civitai:" + "9" * 5_000, None),
    ],
)
def test_other_forms_of_air(text: str, expected: Air | None) -> None:
    assert parse_air(text) == expected

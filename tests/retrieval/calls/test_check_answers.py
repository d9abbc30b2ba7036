"""An invented model stays invented, whatever links, AIRs, hashes, prose and objects stand around it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.calls.check import check
from retrieval.catalogue import Catalogue
from retrieval.errors import DiffAgentError, InvalidApi
from retrieval.records.model import ModelRecord, VersionRecord

SHA = "AB12CD34EF" + "0" * 54


def record(model_id: int, model: str, type: str = "Checkpoint", base_model: str = "SD 1.5") -> ModelRecord:
    version = VersionRecord(version_id=model_id + 1, version="v1", base_model=base_model, sha256=(SHA,))
    return ModelRecord.model_validate(
        {
            "model_id": model_id,
            "model": model,
            "type": type,
            "base_model": base_model,
            "nsfw": False,
            "versions": (version,) if model_id == 10 else (),
        }
    )


CATALOGUE = Catalogue(
    [
        record(10, "Castle Dreams"),
        record(20, "Ink Wash", "LORA"),
        record(30, "Grand Vista", base_model="SDXL 1.0"),
        record(62437, "v1-5-pruned-emaonly"),
    ],
    name="the test catalogue",
)
REAL = ("Castle Dreams", "castle_dreams_v1.safetensors", "Ink Wash", "Grand Vista")
INVENTED = ("Golden Corgi Ultra", "corgiPalace_v20.safetensors", "someone/Corgi-Palace", "Quill & Quartz")
POINTERS = (
    "https://civitai.com/models/10",
    "urn:air:sd1:checkpoint:civitai:10@11",
    "civitai:10@11",
    "AB12CD34EF",
    f"sha256:{SHA}",
    "castle_dreams_v1.safetensors [ab12cd34ef]",
    "<lora:Ink Wash:0.8>",
    *REAL,
)
# every key that says something of a model, but the one that names it
BESIDE = (
    *(
        "reason",
        "air",
        "hash",
        "Model hash",
        "name",
        "lora",
        "checkpoint",
        "url",
        "base model",
        "version",
        "model_id",
    ),
    *(
        "alternatives",
        "similar",
        "prompt",
        "description",
        "resources",
        "loras",
        "params",
        "meta",
        "type",
        "note",
    ),
)
LEAVES = st.sampled_from(POINTERS) | st.integers(0, 30) | st.none() | st.booleans() | st.text(max_size=8)
REAL_CALL = st.sampled_from(REAL).map(lambda name: {"model": name, "steps": 20})
VALUES = st.recursive(
    LEAVES | REAL_CALL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(BESIDE), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def answers(draw: st.DrawFn) -> str:
    """An answer whose object names an invented model, with anything real around it."""
    call: dict[str, Any] = draw(st.dictionaries(st.sampled_from(BESIDE), VALUES, max_size=4))
    at = draw(st.integers(0, len(call)))
    items = list(call.items())
    items.insert(at, ("model", draw(st.sampled_from(INVENTED))))
    value: Any = dict(items)
    for _ in range(draw(st.integers(0, 2))):
        outer = draw(
            st.dictionaries(
                st.sampled_from(("note", "similar", "reason", "meta", "params")), VALUES, max_size=2
            )
        )
        value = draw(st.sampled_from(([value], {**outer, "answer": value}, {"api": value, **outer})))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    before, after = draw(st.lists(st.sampled_from(POINTERS), min_size=2, max_size=2))
    return draw(
        st.sampled_from(
            (
                text,
                f"{before}\n{text}\n{after}",
                f"See {before}: ```json\n{text}\n``` or {after}.",
                f'<think>{before} {{"model": "Castle Dreams"}}</think>{text}',
                json.dumps({"function": {"arguments": text}}),
            )
        )
    )


@settings(max_examples=150, deadline=None)
@given(answers())
def test_an_invented_model_stays_invented(text: str) -> None:
    found = check(text, CATALOGUE)
    assert found.verdict.status == "invented"
    assert not found.accepted


@pytest.mark.parametrize(
    "text",
    [
        "I would take DreamBooth for that.",
        "see https://civitai.com/models/10 for more",
        "The nearest is urn:air:sd1:checkpoint:civitai:10@11",
        "Sorry, I cannot help with that.",
        "Golden Corgi Ultra\n\nhttps://civitai.com/models/10",
        "workflow.json",
        r"C:\pictures\castle.png",
        "a castle.avif",
        '{"prompt": "a castle", "reason": "https://civitai.com/models/10"}',
        '{"model": null, "url": "https://civitai.com/models/10"}',
        "x" * 301,
        "<think>which one?</think>",
    ],
)
def test_what_names_no_model_is_bad_input(text: str) -> None:
    with pytest.raises(InvalidApi):
        check(text, CATALOGUE)


@pytest.mark.parametrize("text", ["model: castle-dreams", "Checkpoint = castle_dreams_v1.safetensors"])
def test_a_name_behind_the_word_for_it(text: str) -> None:
    assert check(text, CATALOGUE).verdict.status == "alias"
    assert check("model: Golden Corgi Ultra", CATALOGUE).named == "Golden Corgi Ultra"


def test_a_prompt_with_tags_names_its_loras() -> None:
    found = check("a castle <lora:Ink Wash:0.6>, mist", CATALOGUE)
    assert (found.named, found.verdict.status, found.repair.api.lora_weight) == ("Ink Wash", "valid", 0.6)
    assert found.repair.api.prompt == "a castle, mist"
    assert check("a castle <lora:Golden Corgi:0.6>", CATALOGUE).verdict.status == "invented"


def test_of_several_answers_one_that_is_invented_is_judged() -> None:
    real, invented = '{"model": "Castle Dreams"}', '{"model": "Golden Corgi Ultra"}'
    for text in (
        f"{real} or {invented}",
        f"[{real}, {invented}]",
        f'{{"a": {real}, "b": {{"c": {invented}}}}}',
    ):
        found = check(text, CATALOGUE)
        assert (found.named, found.verdict.status) == ("Golden Corgi Ultra", "invented")
        assert "one with a model that does not exist was taken" in found.guesses[0]
    assert check(f"{real} {real}", CATALOGUE).named == "Castle Dreams"


def test_what_an_answer_leaves_open_is_the_model_s_own() -> None:
    lora = check('{"model": "Ink Wash", "sampler": "Euler a", "steps": 20, "cfg": 7}', CATALOGUE)
    assert (lora.verdict.status, lora.repair.api.type) == ("valid", "LORA")
    large = check('{"model": "grand-vista", "steps": 20}', CATALOGUE)
    assert (large.verdict.status, large.repair.api.base_model, large.repair.api.width) == (
        "alias",
        "SDXL 1.0",
        1024,
    )
    assert "the base model is that of 'Grand Vista' in the catalogue" in large.guesses
    # what it says wrongly stays a fault
    wrong = check('{"model": "Grand Vista", "base model": "SD 1.5", "type": "Checkpoint"}', CATALOGUE)
    assert wrong.verdict.status == "wrong family"


def test_an_invented_checkpoint_is_not_hidden_by_its_lora() -> None:
    found = check('{"model": "Golden Corgi Ultra", "lora": "Ink Wash"}', CATALOGUE)
    assert (found.named, found.verdict.status) == ("Golden Corgi Ultra", "invented")
    real = check('{"model": "castle-dreams", "lora": "Ink Wash", "weight": 0.6}', CATALOGUE)
    assert (real.named, real.verdict.status, real.repair.api.lora_weight) == ("Ink Wash", "alias", 0.6)


def test_a_hash_of_another_model_and_a_rare_sampler_are_told() -> None:
    given_ = {"Model": "Grand Vista", "Model hash": "ab12cd34ef", "sampler": "res_multistep simple"}
    guesses = " ".join(check(given_, CATALOGUE).guesses)
    assert "the hash ab12cd34ef is that of 'Castle Dreams', and not of 'Grand Vista'" in guesses
    assert "the sampling method Res Multistep Simple is known" in guesses


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=200)
    | st.text(alphabet='{}[]":,model \n<>/think`Castle Dreams@10', max_size=120)
    | st.lists(
        st.sampled_from((*POINTERS, "{", "}", '"model":', ":", "\n", "- ", "model: ", "```")), max_size=8
    ).map("".join)
)
def test_any_text_is_judged_or_refused(text: str) -> None:
    try:
        found = check(text, CATALOGUE)
    except DiffAgentError:
        return
    assert found.verdict.record is not None or not found.accepted

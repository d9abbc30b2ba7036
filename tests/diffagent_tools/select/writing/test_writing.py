"""What is written beside a request: a negative prompt of our own, and a prompt in the model's idiom."""

import os
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffagent_tools.select.selection import Selection
from diffagent_tools.select.writing.guard import joined, sequence_hash, spoken
from diffagent_tools.select.writing.negative import negative_for
from diffagent_tools.select.writing.prompt import MOST, additions, candidates, worded
from diffagent_tools.select.writing.vocabulary import Phrase, vocabulary
from finetune.data.one_creator import of_one_creator, sequences
from finetune.data.pairs import Pair, known_pairs
from retrieval.calls.compose import api_for
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.tables.screen import is_blocked

ROOT = Path(__file__).parents[4]
DATA = Path(os.environ.get("DIFFAGENT_DATA", ROOT.parent / "shared" / "data"))
SHOWN = frozenset(
    re.findall(
        r"\w+",
        "hair skin eyes face dress clothes clothing shirt girl girls boy woman man men women female male "
        "1girl 1boy solo person people human breasts muscular old young asian smile sitting standing blonde",
    )
)


def record(**given: object) -> ModelRecord:
    made = {"model_id": 7, "model": "Fog Castles", "type": "Checkpoint", "base_model": "SD 1.5", "samples": 9}
    return ModelRecord.model_validate({**made, **given})


def negative(model: ModelRecord, prompt: str = "a fox", refused: str = "") -> list[str]:
    api = api_for(model, Instruction(prompt=prompt, negative_prompt=refused))
    return [part for part in negative_for(api, model, prompt).split(", ") if part]


def test_the_vocabulary_says_nothing_of_who_is_shown() -> None:
    added = [phrase for phrase in vocabulary() if phrase.kind != "body"]
    assert not {phrase.text for phrase in added if not set(spoken(phrase.text)).isdisjoint(SHOWN)}
    assert not {phrase.text for phrase in vocabulary() if is_blocked(phrase.text)}
    assert len({phrase.text for phrase in vocabulary()}) == len(vocabulary())


def test_a_negative_prompt_is_what_the_samples_refuse_most_and_the_refusals_come_first() -> None:
    model = record(negative_terms={"low quality": 1.0, "lowres": 0.9, "ugly": 0.1, "easynegative": 1.0})
    assert negative(model, refused="people, snow") == ["people", "snow", "low quality", "lowres"]


def test_what_the_request_asks_for_or_refuses_itself_is_not_refused_again() -> None:
    model = record(negative_terms={"low quality": 1.0, "text": 1.0, "blurry": 1.0})
    assert negative(model, "a poster with the text hello") == ["low quality", "blurry"]
    assert negative(model, "a fox, blurry background", "low quality") == ["low quality", "text"]


def test_a_medium_is_refused_only_where_none_is_asked_for_and_the_model_is_not_made_for_it() -> None:
    model = record(negative_terms={"anime": 1.0, "3d": 1.0})
    assert negative(model, "portrait photo of a man") == negative(model) == ["3d", "anime"]
    assert negative(model, "a fox, watercolor") == negative(record(), "a fox, watercolor")
    assert "anime" not in negative(model, "an anime fox")
    assert "anime" not in negative(model.model_copy(update={"tags": ("anime",)}))


def test_a_model_without_words_of_its_own_gets_the_usual_ones() -> None:
    usual = negative(record(samples=0))
    assert {"worst quality", "low quality"} <= set(usual)
    assert negative(record(negative_terms={"easynegative": 1.0, "badhandv4": 1.0})) == usual


@pytest.mark.parametrize("family", ["Flux.1 D", "SD 3.5", "ZImageTurbo", "My Own"])
def test_a_family_that_reads_none_gets_none(family: str) -> None:
    api = api_for(record(base_model=family), Instruction(prompt="a fox", negative_prompt="people"))
    assert negative_for(api, record(base_model=family), "a fox") == api.negative_prompt


def test_a_call_without_guidance_gets_none() -> None:
    assert negative(record(settings={"cfg_scale": 1.0, "samples": 9})) == []


def test_what_is_added_is_of_the_profile_and_stands_behind_the_users_words() -> None:
    model = record(terms={"intricate": 0.9, "fog": 0.9, "depth": 0.5, "field": 0.4, "1girl": 0.9})
    assert additions("a red fox", model) == ["intricate", "depth of field"]
    api = api_for(model, Instruction(prompt="a red fox"))
    plain = Selection(api=api, score=0.0, reason="")
    said = worded(plain, Catalogue([model]))
    assert said.api.prompt == "a red fox, intricate, depth of field"
    assert said.notes[-1].endswith("intricate, depth of field")
    assert worded(plain.model_copy(update={"abstained": True}), Catalogue([model])).api == api


def test_terms_that_work_against_the_wish_are_left_out() -> None:
    model = record(terms={"raw photo": 1.0, "colorful": 1.0, "octane render": 1.0, "intricate": 0.5})
    assert additions("a fox, pencil sketch", model) == ["intricate"]
    assert "raw photo" in additions("a photo of a fox", model)


@given(st.text(max_size=80), st.sets(st.sampled_from([phrase.text for phrase in vocabulary()])))
def test_whatever_is_asked_few_phrases_of_the_profile_are_added(prompt: str, terms: set[str]) -> None:
    model = record(terms=dict.fromkeys(terms, 0.5))
    added = additions(prompt, model)
    assert len(added) <= MOST
    assert set(added) <= {phrase.text for phrase in candidates(prompt, model)}
    assert set(added) <= terms | {phrase.text for phrase in vocabulary() if len(spoken(phrase.text)) > 2}


def test_five_words_of_one_creator_do_not_come_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from diffagent_tools.select.writing import guard

    barred = np.asarray([sequence_hash(["a", "b", "c", "sharp", "focus"])], np.uint32)
    monkeypatch.setattr(guard, "_table", lambda: barred)
    assert joined("a, b (c)", ["sharp focus", "intricate"]) == ["intricate", "sharp focus"]
    assert joined("a, b (c)", ["sharp focus"]) == []
    assert joined("b, c", ["sharp focus"]) == ["sharp focus"]


def test_sequences_of_several_creators_are_common() -> None:
    models = [record(model_id=1, creator="x"), record(model_id=2, creator="x"), record(model_id=3)]
    prompts = {1: "a b c d e", 2: "a b c d e f", 3: "B, c, d, e: f"}
    pairs: list[Pair] = [
        {"prompt": text, "negative_prompt": "", "model_id": model_id} for model_id, text in prompts.items()
    ]
    assert of_one_creator(pairs, Catalogue(models)) == {("a", "b", "c", "d", "e")}


@cache
def starter_pairs() -> list[Pair]:
    return known_pairs(DATA / "pairs_train.jsonl.gz", Catalogue.starter())


@pytest.mark.skipif(not DATA.is_dir(), reason="the training pairs are not here (DIFFAGENT_DATA)")
def test_nothing_that_one_creators_training_prompts_hold_is_written() -> None:
    catalogue = Catalogue.starter()
    barred = of_one_creator(starter_pairs(), catalogue)
    written = 0
    for pair in starter_pairs()[::3]:
        model = catalogue.get(pair["model_id"])
        # the worst request there is: the beginning of somebody's own prompt
        request = " ".join(pair["prompt"].split()[: len(pair["prompt"].split()) // 2])
        if not request:
            continue
        for begun, added in (
            (request, additions(request, model)),
            ("", negative(model, request)),
        ):
            kept = len(spoken(begun))
            said = spoken(", ".join((begun, *added)))
            tail = " ".join(said[max(0, kept - 4) :])
            found = barred.intersection(sequences(tail))
            assert not found, f"{found} of {model.model!r}"
            written += len(added)
    assert written > 5_000
    assert len(barred) > 10_000


def test_a_phrase_of_three_words_is_as_frequent_as_its_rarest_part() -> None:
    terms = {"poorly drawn": 0.5, "drawn hands": 0.3, "rule": 0.2, "thirds": 0.1}
    assert Phrase("poorly drawn hands", "body").share(terms) == 0.3
    assert Phrase("rule of thirds", "mood").share(terms) == 0.1
    assert Phrase("sharp focus", "quality").share(terms) == 0.0

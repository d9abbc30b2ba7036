"""The retriever: its file, its vectors, models added later, and its training on a handful of pairs."""

import os
import signal

import numpy as np
import pytest
from process_numbers import numbers_stay
from small_world import small_catalogue
from torch_bert import stored_bert, tiny_bert, torch_means

from finetune.ranker.encoder import Writer, prompt_vectors, rows, save_model, train, write_vectors
from finetune.training.callbacks import StopOnSignal
from retrieval.catalogue import Catalogue
from retrieval.errors import AdapterError, DataError
from retrieval.records.api import Instruction
from retrieval.search.bert import MODEL_FILE, Bert
from retrieval.search.dense import FOLDER, PromptVectors, Retriever, facts_text
from retrieval.search.encoders import NEGATIVE_TOKENS, PROMPT_TOKENS, Encoder, load_tokenizer
from retrieval.search.ranker import STARTER_WEIGHTS

PAIRS = [
    {"model_id": 201, "prompt": "pixel art of a castle", "negative_prompt": "blurry"},
    {"model_id": 201, "prompt": "a knight, sprite sheet", "negative_prompt": ""},
    {"model_id": 202, "prompt": "blocky trees beside a road", "negative_prompt": "blurry, text"},
    {"model_id": 203, "prompt": "watercolor lake, soft light", "negative_prompt": ""},
    {"model_id": 204, "prompt": "neon street in the rain", "negative_prompt": "day"},
]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))


def tiny_encoder(folder):
    save_model(tiny_bert(), folder)
    return Encoder(Bert.load(folder), load_tokenizer())


def cosines(retriever, instruction):
    vector = retriever.vector(instruction)
    return {
        "retriever.prompts": retriever.prompts(instruction, vector),
        "retriever.facts": retriever.facts @ vector,
    }


@pytest.fixture
def adapter(tmp_path):
    save_model(tiny_bert(), tmp_path / "adapter" / FOLDER)
    write_vectors(PAIRS, small_catalogue(), tmp_path / "adapter" / FOLDER)
    return tmp_path / "adapter"


def test_a_saved_model_comes_back_but_for_the_rounding_to_int8(tmp_path) -> None:
    ids = [[101, 2000, 3000, 102], [101, 4000, 102]]
    before = torch_means(tiny_bert(), ids)
    after = tiny_encoder(tmp_path).embed(ids)
    assert 0 < np.abs(before - after).max() < 0.02
    assert after == pytest.approx(torch_means(stored_bert(tmp_path), ids), abs=1e-5)
    assert np.linalg.norm(after, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_requests_are_cut_and_the_negative_prompt_is_a_part_of_its_own(tmp_path) -> None:
    encoder = tiny_encoder(tmp_path)
    start, end = 101, 102
    ids = encoder.request_ids(Instruction(prompt="fox " * 500, negative_prompt="snow " * 500))
    assert len(ids) == PROMPT_TOKENS + NEGATIVE_TOKENS + 3
    assert (ids[0], ids[PROMPT_TOKENS + 1], ids[-1]) == (start, end, end)
    assert encoder.request_ids(Instruction(prompt="fox")).count(end) == 1


def test_training_reads_a_request_as_serving_does(tmp_path) -> None:
    encoder = tiny_encoder(tmp_path)
    tokenizer = load_tokenizer()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    prompt, negative = "a red fox, " * 30, "blurry, lowres " * 20
    text = Writer(tokenizer).request(prompt, negative)
    expected = encoder.request_ids(Instruction(prompt=prompt, negative_prompt=negative))
    assert tokenizer.encode(text).ids == expected


def test_scores_are_cosines_in_the_order_of_the_catalogue(adapter) -> None:
    catalogue = small_catalogue()
    scores = cosines(Retriever.load(adapter, catalogue), Instruction(prompt="pixel art of a castle"))
    assert set(scores) == {"retriever.prompts", "retriever.facts"}
    assert all(values.shape == (len(catalogue),) for values in scores.values())
    assert all(np.abs(values).max() <= 1 + 1e-5 for values in scores.values())
    unseen = list(catalogue.model_ids).index(62437)
    assert scores["retriever.prompts"][unseen] == 0  # no training prompts
    assert scores["retriever.facts"][unseen] != 0


def test_a_model_added_later_is_scored_by_its_facts(adapter) -> None:
    old = small_catalogue()
    new = old.get(201).model_copy(update={"model_id": 999, "model": "Stained Glass"})
    grown = Catalogue([*old, new], name="grown")
    lines: list[str] = []
    scores = cosines(Retriever.load(adapter, grown, progress=lines.append), Instruction(prompt="x y z"))
    assert scores["retriever.facts"].shape == (8,)
    assert scores["retriever.prompts"][-1] == 0
    assert any("8 of 8" in line for line in lines)
    lines.clear()
    again = cosines(Retriever.load(adapter, grown, progress=lines.append), Instruction(prompt="x y z"))
    assert lines == []  # kept from the first time
    assert again["retriever.facts"] == pytest.approx(scores["retriever.facts"], abs=2e-3)


def test_terms_of_sample_prompts_stand_in_for_the_prompts_of_a_model_added_later() -> None:
    old = small_catalogue()
    terms = {"stained glass": 3.0, "cathedral window": 2.0, "lead lines": 1.0}
    new = old.get(202).model_copy(update={"model_id": 999, "model": "Glass", "terms": terms, "samples": 9})
    grown = Catalogue([*old, new], name="grown")
    lines: list[str] = []

    def prompts(request: str) -> "np.ndarray":
        retriever = Retriever.load(STARTER_WEIGHTS, grown, progress=lines.append)
        return cosines(retriever, Instruction(prompt=request))["retriever.prompts"]

    near, far = prompts("a stained glass window of a saint"), prompts("a spaceship over a desert")
    assert near.argmax() == len(old)
    assert near[-1] > far[-1] + 0.1
    assert sum("the terms of 1 of 1" in line for line in lines) == 1  # and kept from then on
    before = cosines(
        Retriever.load(STARTER_WEIGHTS, old), Instruction(prompt="a stained glass window of a saint")
    )
    assert near[:-1] == pytest.approx(before["retriever.prompts"], abs=1e-6)
    without = cosines(Retriever.load(STARTER_WEIGHTS, grown, stand_ins=False), Instruction(prompt="glass"))
    assert without["retriever.prompts"][-1] == 0


def test_an_adapter_without_a_retriever_has_none(tmp_path) -> None:
    assert Retriever.load(tmp_path, small_catalogue()) is None


def test_a_damaged_vector_file_is_an_adapter_error(adapter) -> None:
    (adapter / FOLDER / "vectors.safetensors").write_bytes(b"junk")
    with pytest.raises(AdapterError, match="retriever"):
        Retriever.load(adapter, small_catalogue())


def test_mean_vectors_are_of_the_model_s_own_prompts(tmp_path) -> None:
    encoder = tiny_encoder(tmp_path)
    vectors = prompt_vectors(PAIRS, encoder)
    assert vectors.model_ids == (201, 202, 203, 204)
    only = encoder.embed([encoder.request_ids(Instruction(prompt=PAIRS[3]["prompt"]))])[0]
    assert vectors.plain[2] == pytest.approx(only, abs=1e-5)
    places, known = vectors.known([5, 204, 6, 201])
    assert places.tolist() == [1, 3]
    np.testing.assert_array_equal(known.full, vectors.full[[3, 0]])
    np.testing.assert_array_equal(known.plain, vectors.plain[[3, 0]])


def test_a_batch_holds_no_model_twice_and_an_epoch_every_pair_once() -> None:
    tokenizer = load_tokenizer()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    made = list(rows(PAIRS, small_catalogue(), Writer(tokenizer), epochs=2, batch=3))
    for batch in made:
        assert len({row.model_id for row in batch}) == len(batch) <= 3
    assert sum(len(batch) for batch in made) == 2 * len(PAIRS)


def test_training_brings_a_request_nearer_to_its_model(tmp_path) -> None:
    catalogue = small_catalogue()
    with numbers_stay():
        train(PAIRS, catalogue, tmp_path / FOLDER, epochs=6, batch=4, learning_rate=1e-4)
    write_vectors(PAIRS, catalogue, tmp_path / FOLDER)
    scores = cosines(Retriever.load(tmp_path, catalogue), Instruction(prompt="neon street in the rain"))
    assert catalogue.model_ids[int(scores["retriever.prompts"].argmax())] == 204
    assert (tmp_path / FOLDER / MODEL_FILE).stat().st_size < 25_000_000


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, monkeypatch) -> None:
    catalogue = small_catalogue()

    def trained(name: str, tell=print) -> bool:
        return train(PAIRS, catalogue, tmp_path / name / FOLDER, epochs=4, batch=4, save_steps=2, tell=tell)

    assert trained("whole")

    def stop_after_third(self, args, state, control, **kwargs) -> None:
        if state.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        on_step_end(self, args, state, control, **kwargs)

    on_step_end = StopOnSignal.on_step_end
    told: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(StopOnSignal, "on_step_end", stop_after_third)
        assert not trained("stopped", told.append)
    assert told[-1].startswith("stopped after step 3 of")
    assert not (tmp_path / "stopped" / FOLDER).exists()
    assert trained("stopped", told.append)
    assert told[-1] == "going on from checkpoint-3"
    whole, stopped = ((tmp_path / name / FOLDER / MODEL_FILE).read_bytes() for name in ("whole", "stopped"))
    assert whole == stopped
    assert [path.name for path in (tmp_path / "stopped").iterdir()] == [FOLDER]


def test_pairs_of_one_model_cannot_be_told_apart(tmp_path) -> None:
    with pytest.raises(DataError, match="fewer than two"):
        train(PAIRS[:2], small_catalogue(), tmp_path)


def test_the_packaged_retriever_fits_the_packaged_catalogue() -> None:
    catalogue = Catalogue.starter()
    lines: list[str] = []
    retriever = Retriever.load(STARTER_WEIGHTS, catalogue, progress=lines.append)
    assert lines == []  # nothing is embedded at the first start
    scores = cosines(retriever, Instruction(prompt="A cute happy corgi, pixel art"))
    for kind in ("retriever.facts", "retriever.prompts"):
        best = [catalogue.get(catalogue.model_ids[int(place)]) for place in (-scores[kind]).argsort()[:10]]
        assert any("pixel" in facts_text(record).lower() for record in best), kind
    assert isinstance(PromptVectors.load(STARTER_WEIGHTS / FOLDER / "vectors.safetensors"), PromptVectors)

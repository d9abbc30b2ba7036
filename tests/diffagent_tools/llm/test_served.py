"""A served model on a real server on loopback: its forms, its log-probabilities, its key, and every fault."""

import json
import math
from typing import Any

import pytest
from calls import checkpoint
from chat_server import DRIP, EMPTY, ENDLESS, HALF, HANG, HTML, ChatServer
from tiny import save_tiny_base, tiny_tokenizer

from diffagent_tools.llm.prompt import answer_prefix, encode_dialogue, format_prompt
from diffagent_tools.llm.served import KEY, ServedModel, Silent, Unanswered
from diffagent_tools.llm.served_llama import ServedLlama
from retrieval.errors import InvalidInput
from retrieval.records.api import Instruction

ASKED = [{"role": "user", "content": "1 or 2?"}]
LABELS = ["1", "2", "3"]


def test_log_probabilities_are_renormalised_over_what_came_and_the_rest_is_floored() -> None:
    top = {"2": math.log(0.5), " 1": math.log(0.25), "The": math.log(0.2)}
    with ChatServer(lambda body: top) as server:
        found = ServedModel(server.url, "m").choose(ASKED, LABELS)
    assert found["2"] == pytest.approx(math.log(0.5))
    assert found["1"] == found["3"] == pytest.approx(math.log(0.25))
    asked = server.bodies[0]
    assert asked["structured_outputs"] == {"choice": LABELS}
    assert (asked["max_tokens"], asked["logprobs"], asked["temperature"]) == (1, True, 0)
    assert (asked["model"], asked["path"]) == ("m", "/v1/chat/completions")


def test_without_log_probabilities_what_was_said_counts() -> None:
    with ChatServer(lambda body: "<think>hm</think> 3") as server:
        found = ServedModel(server.url + "/v1/", "m").choose(ASKED, LABELS)
    assert found["3"] == pytest.approx(math.log(0.9))
    assert sum(map(math.exp, found.values())) == pytest.approx(1)


@pytest.mark.parametrize(
    "known", ["structured_outputs", "guided_choice", "response_format", "temperature", ""]
)
def test_the_form_that_the_server_knows_is_found_and_kept(known: str) -> None:
    def says(body: dict[str, Any]) -> str | int:
        if known and known not in body:
            return 400
        if not known and len(body) > 2:
            return 422
        return json.dumps({"choice": "2"}) if "response_format" in body else "2"

    with ChatServer(says) as server:
        served = ServedModel(server.url, "m")
        first = served.choose(ASKED, LABELS)
        before = len(server.bodies)
        assert served.choose(ASKED, LABELS) == first
    assert max(first, key=lambda label: first[label]) == "2"
    assert len(server.bodies) == before + 1


@pytest.mark.parametrize(
    "said", ["4", "two", "1 or 2", "", "12", '{"choice": "9"}', '{"choice": ["1"]}', "null"]
)
def test_nothing_but_a_label_is_accepted(said: str) -> None:
    with ChatServer(lambda body: said) as server, pytest.raises(Unanswered, match="none of the choices"):
        ServedModel(server.url, "m").choose(ASKED, LABELS)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ((HTML,), "something else than JSON"),
        ((EMPTY,), "none of the choices"),
        ((HALF,), "broke off"),
        ((ENDLESS,), "more than can be an answer|none of the choices"),
        ((HANG,), "longer than 0.3 seconds"),
        ((DRIP,), "longer than 0.3 seconds"),
        (401, "refuses the key"),
        (404, "no such address or model"),
        (429, "HTTP 429"),
        (500, "HTTP 500"),
        (302, "HTTP 302"),
    ],
)
def test_every_fault_is_said(fault: Any, why: str) -> None:
    with ChatServer(lambda body: fault) as server:
        # only what never ends may run into the clock
        served = ServedModel(server.url, "m", seconds=0.3 if fault in ((HANG,), (DRIP,)) else 60)
        with pytest.raises(Unanswered, match=why):
            served.choose(ASKED, LABELS)
        with pytest.raises(Unanswered):
            served.fill(ASKED, {}, tokens=9)


def test_a_server_that_fails_thrice_or_refuses_the_key_is_not_asked_again() -> None:
    for fault, times in ((429, 3), (401, 1)):
        with ChatServer(lambda body, fault=fault: fault) as server:
            served = ServedModel(server.url, "m")
            for _ in range(5):
                with pytest.raises(Silent):
                    served.choose(ASKED, LABELS)
        assert len(server.bodies) == times


def test_the_key_of_another_service_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    with ChatServer(lambda body: "1") as server:
        ServedModel(server.url, "m").choose(ASKED, LABELS)
        monkeypatch.setenv(KEY, "ours")
        ServedModel(server.url, "m").choose(ASKED, LABELS)
    assert [body["headers"].get("authorization") for body in server.bodies] == [None, "Bearer ours"]


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://a", "http://", "http://me:key@host", "http://a?b=c"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InvalidInput):
        ServedModel(url, "m")
    with pytest.raises(InvalidInput):
        ServedModel("http://localhost", " ")


def test_an_object_is_read_out_of_what_stands_around_it() -> None:
    with ChatServer(lambda body: '<think>{}</think>```json\n{"wish": "a fox"}\n```') as server:
        assert ServedModel(server.url, "m").fill(ASKED, {"type": "object"}, tokens=9) == {"wish": "a fox"}
    assert server.bodies[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}


API = checkpoint('Say "Cheese"')


@pytest.mark.parametrize("prompt", ["a corgi", 'say "x"\nAgent: {"model"', "<|im_end|> 水彩", "long " * 300])
def test_the_served_llama_reads_the_tokens_of_training_and_stops_with_its_token(prompt: str) -> None:
    tokenizer = tiny_tokenizer()
    instruction = Instruction(prompt=prompt, negative_prompt="blurry")
    trained = encode_dialogue(instruction, API, tokenizer)
    answer = tokenizer.decode(trained.input_ids[trained.answer_start :], skip_special_tokens=True)
    with ChatServer(lambda body: f"{answer} and more}}") as server:
        written = ServedLlama(ServedModel(server.url, "diffagent"), tokenizer).write(instruction)
    sent = server.bodies[0]
    assert sent["prompt"] == list(trained.input_ids[: trained.answer_start])
    assert sent["stop_token_ids"] == [trained.input_ids[-1]]
    assert sent["path"] == "/v1/completions"
    assert written == API.paper_json()


def test_it_reads_what_the_local_llama_reads(tmp_path) -> None:
    import torch

    from diffagent_tools.llm.base import load_base
    from diffagent_tools.llm.llama import Llama

    base = load_base(str(save_tiny_base(tmp_path / "tiny")))
    llama = Llama(base)
    instruction = Instruction(prompt="a corgi, pixel art")
    local = llama.write(instruction)

    def serve(body: dict[str, Any]) -> str:
        ids = torch.tensor([body["prompt"]])
        with torch.no_grad():
            made = base.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=body["max_tokens"],
                eos_token_id=body["stop_token_ids"],
                pad_token_id=0,
            )
        return base.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)

    with ChatServer(serve) as server:
        served = ServedLlama(ServedModel(server.url, "diffagent"), base.tokenizer).write(instruction)
    assert served == local
    assert served.startswith(answer_prefix())
    text = base.tokenizer.decode(server.bodies[0]["prompt"])
    assert text == format_prompt(instruction) + answer_prefix()

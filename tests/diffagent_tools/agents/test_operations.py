"""Every door gives the same answer: one table of requests through command, batch, tool, MCP and chat."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from small_world import WordSelector, small_catalogue
from typer.testing import CliRunner

from diffagent_tools.agents.arguments import CheckArguments, SelectArguments
from diffagent_tools.agents.langchain import DiffAgentTool
from diffagent_tools.agents.operations import Operations, adjusted
from diffagent_tools.chat.conversation import Conversation, State
from diffagent_tools.cli import command as cli
from diffagent_tools.cli import select as select_command
from diffagent_tools.select.selection import Evidence, Selection
from diffagent_tools.select.selector import RetrievalSelector
from retrieval.catalogue import Catalogue
from retrieval.errors import DiffAgentError, NoPictureAsked, RequestRefused

Answer = dict[str, Any]
Door = Callable[[str], Answer]
TABLE = (
    "a lighthouse in a storm, watercolor",
    "archer queen, not chibi",
    "use DreamShaper to draw a dragon, 16:9",
    "a wide banner of sand dunes for my shop",
    "ein Drache auf einem Berg, Aquarell",
    "a photo of a cat that I can sell",
    "masterpiece, best quality, 1girl, solo, silver hair, looking at viewer, outdoors",
    "write a poem about autumn",
    "no people, no text",
    "a naked child",
)
FIELDS = ("model id", "width", "height", "sampling method", "sampling steps", "prompt", "negative prompt")


@pytest.fixture(scope="module")
def selector() -> RetrievalSelector:
    return RetrievalSelector(Catalogue.starter())


def call_of(api: Answer) -> Answer:
    return {name: api.get(name) for name in FIELDS}


@pytest.fixture(params=["command", "lines", "tool", "mcp", "chat"])
def door(
    request: pytest.FixtureRequest,
    selector: RetrievalSelector,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Door:
    """A way in, from a request to the call or to what is said instead of one."""
    monkeypatch.setattr(select_command, "make_selector", lambda *options: selector)

    def command(text: str) -> Answer:
        result = CliRunner().invoke(cli.app, ["select", text, "--json"])
        if result.exit_code == 2:
            return {"said": result.stderr.removeprefix("error: ").strip()}
        return call_of(json.loads(result.stdout))

    def lines(text: str) -> Answer:
        asked = tmp_path_factory.mktemp("asked") / "asked.jsonl"
        asked.write_text(json.dumps({"prompt": text}), encoding="utf-8")
        item = json.loads(CliRunner().invoke(cli.app, ["select", "--input", str(asked)]).stdout)
        return {"said": item["error"]} if "error" in item else call_of(item["api"])

    def tool(text: str) -> Answer:
        call = {"name": "x", "id": "1", "type": "tool_call", "args": {"prompt": text}}
        said = DiffAgentTool(selector=selector).invoke(call)
        return {"said": said.content} if said.status == "error" else call_of(said.artifact["api"])

    def mcp(text: str) -> Answer:
        operations = Operations(selector.catalogue, selector)
        try:
            found = operations.select(SelectArguments.model_validate({"prompt": text}))
        except DiffAgentError as error:
            return {"said": str(error)}
        return call_of(found.data["api"])

    def chat(text: str) -> Answer:
        turn = Conversation(selector, selector.catalogue).turn(text, State())
        if turn.failed:
            return {"said": turn.answer}
        assert turn.state.best is not None
        return call_of(turn.state.best.api.to_wire())

    found: dict[str, Door] = {"command": command, "lines": lines, "tool": tool, "mcp": mcp, "chat": chat}
    return found[request.param]


def directly(selector: RetrievalSelector, text: str) -> Answer:
    """The answer in Python."""
    try:
        (best,) = selector.select(text)
    except DiffAgentError as error:
        return {"said": str(error)}
    return call_of(best.api.to_wire())


@pytest.mark.parametrize("text", TABLE)
def test_the_same_request_has_the_same_answer(door: Door, selector: RetrievalSelector, text: str) -> None:
    assert door(text) == directly(selector, text)


def test_what_is_understood_and_what_is_sold_are_part_of_every_answer(selector: RetrievalSelector) -> None:
    operations = Operations(selector.catalogue, selector)
    (found,) = operations.choose("a photo of a cat that I can sell, no anime, 9:16")
    assert found.understood == ("not: anime", "shape: 9:16", "images: may be sold")
    assert found.may_sell is True
    assert found.api.height > found.api.width
    wire = operations.select(SelectArguments.model_validate({"prompt": "a cat, no anime"})).data
    assert wire["ranked"][0]["understood"] == ["not: anime"]


def test_faults_are_of_their_kinds(selector: RetrievalSelector) -> None:
    with pytest.raises(NoPictureAsked, match="asks for no picture"):
        selector.select("hello there")
    with pytest.raises(RequestRefused):
        selector.select("a naked child")


def test_a_size_is_brought_within_the_limits_and_said(selector: RetrievalSelector) -> None:
    (found,) = selector.select("a lighthouse, watercolor")
    odd = adjusted(found, width=513)
    assert odd.api.width == 512
    assert any("multiple of 8" in note for note in odd.notes)
    assert adjusted(found) is found


@pytest.fixture(scope="module")
def small() -> Operations:
    catalogue = small_catalogue()
    return Operations(catalogue, WordSelector(catalogue))


def test_an_answer_says_all_that_a_program_needs(small: Operations) -> None:
    answer = small.select(SelectArguments(prompt="a happy corgi, pixel art"))
    refused = small.select(SelectArguments(prompt="a happy corgi, pixel art", negative_prompt="blurry"))
    assert 'negative prompt to send: "blurry"' in refused.text
    best = answer.data["ranked"][0]
    assert (best["family"], best["facets"]) == ("SD 1.5", ["pixel art"])
    # the checkpoint below allows it, the LoRA itself does not
    assert best["licence"] == {
        "sell_images": False,
        "parts": [
            {"model": "Pixel Art Helper", "sell_images": False},
            {"model": "v1-5-pruned-emaonly", "sell_images": True},
        ],
        "credit_needed": None,
    }
    own, below = best["downloads"]
    assert own["url"] == "https://civitai.com/api/download/models/2011"
    assert (own["type"], own["usual_size"]) == ("LORA", "usually 10 to 300 MB")
    assert (below["model"], below["type"]) == ("v1-5-pruned-emaonly", "Checkpoint")
    assert f"{own['usual_size']}: {own['url']}" in answer.text
    assert Selection.model_validate(best).api.model == "Pixel Art Helper"


def test_fit_is_in_words_and_numbers_are_rounded(small: Operations) -> None:
    (found,) = small.choose("a happy corgi, pixel art")
    sure = found.model_copy(update={"confidence": 0.123456789, "score": 1 / 3, "evidence": Evidence()})

    class One(WordSelector):
        def select(self, *request: Any, **filters: Any) -> list[Selection]:
            return [sure]

    operations = Operations(small.catalogue, One(small.catalogue))
    best = operations.select(SelectArguments(prompt="a corgi")).data["ranked"][0]
    assert (best["fit"], best["confidence"], best["score"]) == ("A weak match", 0.1235, 0.3333)
    assert best["advice"].startswith("It helps to name a style")


def test_a_shape_and_an_export_can_be_asked_for(small: Operations) -> None:
    asked = SelectArguments(prompt="a happy corgi, pixel art", orientation="tall", export="infotext")
    answer = small.select(asked)
    api = answer.data["api"]
    assert (api["width"], api["height"]) == (512, 768)
    text = answer.data["export"]["text"]
    assert "Size: 512x768" in text
    assert answer.text.endswith(f"infotext:\n{text}")
    graph = small.select(asked.model_copy(update={"export": "comfyui"})).data["export"]["text"]
    assert "\n" not in graph
    assert all("class_type" in node for node in json.loads(graph).values())
    # pixels go before a shape
    sized = small.select(asked.model_copy(update={"width": 640, "export": None})).data
    assert (sized["api"]["width"], "export" in sized) == (640, False)
    checked = small.check(CheckArguments(api="Free Pixels", export="diffusers"))
    compile(checked.data["export"]["text"], "picture.py", "exec")

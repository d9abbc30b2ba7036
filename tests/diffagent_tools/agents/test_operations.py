"""Every door gives the same answer: one table of requests through command, batch, tool, MCP and chat."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from diffagent_tools.agents.arguments import SelectArguments
from diffagent_tools.agents.langchain import DiffAgentTool
from diffagent_tools.agents.operations import Operations, adjusted
from diffagent_tools.chat.conversation import Conversation, State
from diffagent_tools.cli import command as cli
from diffagent_tools.cli import select as select_command
from diffagent_tools.select.selector import RetrievalSelector
from retrieval.catalogue import Catalogue
from retrieval.errors import DiffAgentError, NoPictureAsked, RequestRefused

Answer = dict[str, Any]
Door = Callable[[str], Answer]
TABLE = (
    "a lighthouse in a storm, watercolor",
    "warrior woman, not chibi",
    "use DreamShaper to draw a dragon, 16:9",
    "a wide banner of a pine forest for my website",
    "ein Drache auf einem Berg, Aquarell",
    "a photo of a cat that I can sell",
    "masterpiece, best quality, 1girl, solo, silver hair, looking at viewer, outdoors",
    "write a poem about love",
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

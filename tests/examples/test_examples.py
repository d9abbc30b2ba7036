"""The examples, driven without a network: a scripted chat model stands in for a real one."""

import http.server
import importlib.util
import json
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from scripted_chat import ScriptedChat
from small_world import WordSearch, WordSelector, small_catalogue

from retrieval.catalogue import Catalogue

EXAMPLES = Path(__file__).parents[2] / "examples"
CATALOGUE = small_catalogue()
CALLS: list[dict[str, Any]] = [
    {"prompt": "a happy corgi, pixel art"},
    {"prompt": "a happy corgi, pixel art", "width": 768, "height": 512},
    {"prompt": "a happy corgi, pixel art", "width": 768, "height": 512, "commercial_use": True},
]


def example(name: str) -> ModuleType:
    """A file of the examples as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def calling(script: Sequence[dict[str, Any]]) -> ScriptedChat:
    """Answers each turn with the next call of a script, then says what the tool's answer begins with."""

    def reply(messages: list[BaseMessage]) -> AIMessage:
        if isinstance(messages[-1], ToolMessage):
            return AIMessage(f"I suggest {messages[-1].text.splitlines()[0]}")
        turn = sum(isinstance(message, HumanMessage) for message in messages)
        call = {"name": "select_text_to_image_model", "args": script[turn - 1], "id": f"call {turn}"}
        return AIMessage("", tool_calls=[{**call, "type": "tool_call"}])

    return ScriptedChat(reply=reply)


def test_the_agent_changes_the_api_turn_by_turn() -> None:
    agent = example("agent")
    model = calling(CALLS)
    selector = WordSelector(CATALOGUE)
    turns = list(agent.converse(agent.build_agent(model, selector), agent.TURNS))
    assert set(model.tools) == {"select_text_to_image_model", "check_text_to_image_api"}
    assert tuple(said for said, _, _ in turns) == agent.TURNS
    apis = [chosen.api for _, _, chosen in turns]
    made = [(api.model, api.width, api.height) for api in apis]
    assert made == [
        ("Pixel Art Helper", 512, 512),
        ("Pixel Art Helper", 768, 512),
        ("Free Pixels", 768, 512),
    ]
    assert [asked["commercial_use"] for asked in selector.asked] == [None, None, True]
    assert turns[2][1].startswith('I suggest 1. "Free Pixels" (Checkpoint for SD 1.5')
    assert apis[2].prompt == "a happy corgi, pixel art"
    # the last turn sees all of the chat: a system message, three requests, the calls and their answers
    assert " ".join(message.type for message in model.read[-1]) == (
        "system human ai tool ai human ai tool ai human ai tool"
    )


def test_a_fault_in_a_call_goes_back_to_the_model_and_the_chat_goes_on() -> None:
    agent = example("agent")
    script = [{"prompt": "pixel art", "base_model": "SD 9"}, {"prompt": "pixel art", "k": 0}, *CALLS[:1]]
    model = calling(script)
    turns = list(agent.converse(agent.build_agent(model, WordSelector(CATALOGUE)), ["a", "b", "c"]))
    (_, unknown, none), (_, unusable, still_none), (_, _, chosen) = turns
    assert "SD 9" in unknown
    assert "cannot be used" in unusable
    assert (none, still_none, chosen.api.model) == (None, None, "Pixel Art Helper")


class ChatServer(http.server.BaseHTTPRequestHandler):
    """Speaks the OpenAI protocol as the scripted model does; keeps what it was asked."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        messages = body["messages"]
        answer: dict[str, Any] = {"role": "assistant", "content": "Take it."}
        if messages[-1]["role"] != "tool":
            turn = sum(message["role"] == "user" for message in messages)
            arguments = json.dumps(CALLS[turn - 1])
            function = {"name": "select_text_to_image_model", "arguments": arguments}
            calls = [{"id": f"call{turn}", "type": "function", "function": function}]
            answer = {"role": "assistant", "content": "", "tool_calls": calls}
        content = json.dumps(
            {"choices": [{"message": answer, "finish_reason": "stop"}], "usage": {}}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *message: Any) -> None:
        """Says nothing."""


@pytest.fixture
def chat_url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ChatServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
    server.shutdown()
    server.server_close()


def test_the_agent_on_a_community_chat_model(chat_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        community = example("agent_community")
        model = community.community_model("any", chat_url)
    ChatServer.asked.clear()
    turns = list(community.converse(community.build_agent(model, WordSelector(CATALOGUE)), community.TURNS))
    apis = [chosen.api for _, _, chosen in turns]
    assert [api.model for api in apis] == ["Pixel Art Helper", "Pixel Art Helper", "Free Pixels"]
    assert apis[-1].width == 768
    assert turns[-1][1] == "Take it."
    offered = {tool["function"]["name"] for tool in ChatServer.asked[0]["tools"]}
    assert offered == {"select_text_to_image_model", "check_text_to_image_api"}


def test_select_one_prints_the_api(capsys: pytest.CaptureFixture[str]) -> None:
    example("select_one").main(["pixel", "art"], WordSelector(CATALOGUE))
    said, page, *record = capsys.readouterr().out.splitlines()
    assert said.startswith("Pixel Art Helper: ")
    assert page == "https://civitai.com/models/201"
    assert json.loads("".join(record))["model id"] == 201


def test_check_names_tells_the_invented_one() -> None:
    check = example("check_names")
    answer = "1. **Free Pixels** or 2. **pixel-art-helper**, 3. **Zzyx Quorvath**, my favourite"
    found = check.check_answer(answer, CATALOGUE, WordSearch(CATALOGUE), "pixel art of games")
    assert [item.verdict.status for item in found] == ["valid", "alias", "invented"]
    assert all(item.repair.api.model_id in CATALOGUE for item in found)
    lines = check.report(found).splitlines()
    assert lines[0] == "Free Pixels: valid"
    assert lines[1].startswith("pixel-art-helper: alias -> use Pixel Art Helper (model id 201)")
    assert lines[2].startswith("Zzyx Quorvath: invented -> ")


def test_two_of_the_three_names_of_the_example_exist() -> None:
    check = example("check_names")
    starter = Catalogue.starter()
    found = check.check_answer(check.ANSWER, starter)
    assert [item.verdict.status for item in found] == ["valid", "alias", "invented"]
    assert all(item.repair.api.model_id in starter for item in found)


def test_build_index_finds_in_a_catalogue_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = example("build_index")
    arguments = [str(index.MY_MODELS), "a linocut of boats in a harbour", "--path", str(tmp_path / "index")]
    index.main(arguments)
    out = capsys.readouterr().out
    record = json.loads(out[out.index("{") :])
    assert record["model"] == "Harbour Prints"
    assert record["prompt"] == "harbour print, a linocut of boats in a harbour"

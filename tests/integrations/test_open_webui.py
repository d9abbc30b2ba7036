"""The Open WebUI tool: its schema as Open WebUI makes it, and its calls against a real server."""

import importlib.util
import inspect
import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, get_type_hints

import pytest
from installing import INTEGRATIONS, install
from langchain_core.utils.function_calling import convert_to_openai_function
from pydantic import Field, create_model
from served import served, small_operations

FILE = INTEGRATIONS / "open_webui" / "diffagent.py"
TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def tools() -> Any:
    spec = importlib.util.spec_from_file_location("tool_diffagent", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Tools()


def specs(tools: Any) -> dict[str, Any]:
    """What a model is told of each public method, made of type hints and docstring as Open WebUI does."""
    found = {}
    for name in dir(tools):
        method = getattr(tools, name)
        # all that its older versions take for a tool
        if name.startswith("__") or not callable(method) or inspect.isclass(method):
            continue
        document = inspect.getdoc(method) or ""
        said = dict(re.findall(r":param (\w+):\s*(.+)", document))
        hints = get_type_hints(method)
        fields: dict[str, Any] = {}
        for each, parameter in inspect.signature(method).parameters.items():
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[each] = (hints.get(each, Any), Field(default, description=said.get(each)))
        model = create_model(name, **{key: each for key, each in fields.items() if not key.startswith("__")})
        model.__doc__ = document.partition("\n:param")[0].strip()
        found[name] = convert_to_openai_function(model)
    return found


def test_the_file_begins_as_open_webui_reads_it() -> None:
    head = FILE.read_text(encoding="utf-8").split('"""')[1]
    said = dict(line.split(": ", 1) for line in head.strip().splitlines())
    assert {"title", "author", "description", "version", "required_open_webui_version"} <= set(said)
    assert re.fullmatch(r"\d+\.\d+\.\d+", said["version"])


def test_the_model_is_offered_three_tools_whose_arguments_are_explained(tools: Any) -> None:
    offered = specs(tools)
    assert set(offered) == {"choose_image_model", "check_image_model", "search_image_models"}
    for spec in offered.values():
        assert len(spec["description"]) > 60
        for name, each in spec["parameters"]["properties"].items():
            assert not name.startswith("__")
            assert each["description"], name
            assert each["type"] in ("string", "boolean", "integer")
    assert offered["choose_image_model"]["parameters"]["required"] == ["prompt"]


def test_valves_are_a_form(tools: Any) -> None:
    form = tools.Valves.model_json_schema()["properties"]
    assert set(form) == {"url", "token", "seconds"}
    assert form["token"]["input"] == {"type": "password"}
    assert all(each["description"] for each in form.values())
    assert tools.UserValves().max_nsfw == 1


async def test_the_tools_answer_and_say_what_they_do(tools: Any, url: str) -> None:
    tools.valves = tools.Valves(url=url)
    told: list[Any] = []

    async def hear(event: Any) -> None:
        told.append(event)

    user = {"valves": tools.UserValves(max_nsfw=4)}
    chosen = await tools.choose_image_model(
        "a corgi, pixel art", how_many=99, __user__=user, __event_emitter__=hear
    )
    answer = json.loads(chosen)
    assert (answer["model"], answer["max nsfw"], len(answer["alternatives"])) == ("Pixel Art Helper", 4, 5)
    assert [event["data"]["done"] for event in told] == [False, True]
    assert {event["type"] for event in told} == {"status"}
    checked = json.loads(await tools.check_image_model("free pixels"))
    assert (checked["accepted"], checked["repair"]["api"]["model"]) == (True, "Free Pixels")
    found = json.loads(await tools.search_image_models("neon streets", base_model=" ", how_many=1))
    assert [model["model_id"] for model in found["models"]] == [204]


async def test_what_goes_wrong_is_a_sentence_that_the_model_reads(tools: Any, url: str) -> None:
    async def said(address: str, **more: Any) -> str:
        tools.valves = tools.Valves(url=address, **more)
        answer = str(await tools.choose_image_model("pixel art", base_model="Flux.1 D"))
        assert answer.startswith("DiffAgent has no answer: ")
        return answer

    assert "no model passes these filters" in await said(url)
    assert "no DiffAgent server can be reached at http://127.0.0.1:9" in await said("http://127.0.0.1:9")
    assert "is no address of a server" in await said("file:///etc/passwd")
    with served(small_operations, TOKEN) as guarded:
        assert "needs its token; put it into the tool's valves" in await said(guarded)
        assert TOKEN not in await said(guarded, token=TOKEN)


class _Recorder(BaseHTTPRequestHandler):
    bodies: list[Any] = []  # noqa: RUF012
    answer = b'{"interface": 2, "version": "9.1"}'

    def do_GET(self) -> None:
        self._say()

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append((self.path, self.headers["Authorization"], json.loads(asked)))
        self._say()

    def _say(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def other() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Recorder) as server:
        running = Thread(target=server.serve_forever, args=(0.01,))
        running.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        running.join()


async def test_another_version_and_another_server_are_told(
    tools: Any, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.valves = tools.Valves(url=other)
    assert "(version 9.1) speaks interface 2, and this tool 1" in await tools.search_image_models("fog")
    monkeypatch.setattr(_Recorder, "answer", b"<html>")
    assert "is no DiffAgent server" in await tools.search_image_models("fog")


def test_the_install_line_sends_the_file_as_a_form_of_open_webui(other: str, tmp_path: Path) -> None:
    _Recorder.bodies.clear()
    install("open_webui", OPEN_WEBUI=Path(other.replace("http://", "http:/")), OPEN_WEBUI_KEY=Path("key"))
    ((path, key, form),) = _Recorder.bodies
    assert (path, key) == ("/api/v1/tools/create", "Bearer key")
    assert form["id"].isidentifier()
    assert {"id", "name", "content", "meta"} == set(form)
    assert form["content"] == FILE.read_text(encoding="utf-8")

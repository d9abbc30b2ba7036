"""The MCP server, asked by the SDK's own client: over a real process's standard streams, and over HTTP."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent
from small_world import WordSearch, WordSelector, small_catalogue
from typer.testing import CliRunner

from diffagent_tools.agents.mcp import ProgressHub, make_server
from diffagent_tools.agents.operations import Operations
from diffagent_tools.cli import command as cli
from retrieval.errors import BaseModelMissing, CatalogueError

TESTS = Path(__file__).parents[2] / "support"
# a server over the small catalogue, and a selector that talks on standard output, as libraries do
SERVER = """
import sys
from small_world import WordSearch, WordSelector, small_catalogue
from diffagent_tools.cli import app
from diffagent_tools.cli.servers import mcp as mcp_command
from diffagent_tools.agents.operations import Operations

class Talking(WordSelector):
    def __init__(self, progress):
        super().__init__(small_catalogue())
        self.progress = progress
    def select(self, *request, **filters):
        print("this is no protocol", flush=True)
        self.progress("loading the language model")
        return super().select(*request, **filters)

def engines(catalogue, mode, base, adapter, progress):
    records = small_catalogue()
    return Operations(records, Talking(progress), WordSearch(records))

mcp_command.make_operations = engines
app(["mcp", *sys.argv[1:]])
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])}


def stdio() -> Any:
    from mcp.client.stdio import StdioServerParameters

    return StdioServerParameters(command=sys.executable, args=["-c", SERVER], env=environment())


def in_process(selector: Any = None) -> Any:
    records, hub = small_catalogue(), ProgressHub(lambda line: None)
    engines = Operations(records, selector or WordSelector(records), WordSearch(records))
    return make_server(lambda: engines, hub)


def text(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a real server that listens on a free port."""
    command = [sys.executable, "-c", SERVER, "--http", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as running:
        assert running.stderr is not None
        try:
            for line in running.stderr:
                if found := re.search(r"listening on (\S+)", line):
                    rest = threading.Thread(target=running.stderr.read, daemon=True)
                    rest.start()
                    yield found[1]
                    break
            else:
                raise AssertionError("the server did not start")
        finally:
            running.terminate()
            running.wait(timeout=30)


async def test_a_client_over_standard_streams_gets_three_tools_and_their_answers() -> None:
    told: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with Client(stdio()) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == ["select", "check", "search"]
        for tool in tools.values():
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint
            assert tool.output_schema is not None
        # about four characters a token: every conversation carries the three of them
        assert sum(len(tool.model_dump_json(exclude_none=True)) for tool in tools.values()) < 4 * 1_500
        family = tools["search"].input_schema["properties"]["base_model"]
        assert "there are SD 1.5, SDXL 1.0." in family["description"]

        # the client itself checks structured answers against the schema
        chosen = await client.call_tool(
            "select", {"prompt": "a happy corgi, pixel art", "k": 2, "width": 513}, progress_callback=hear
        )
        assert not chosen.is_error
        assert chosen.structured_content is not None
        first, second = chosen.structured_content["ranked"]
        assert (first["api"]["model id"], first["api"]["width"]) == (201, 512)
        assert first["notes"][0].startswith("width 513 became 512")
        assert second["api"]["model"] == "Free Pixels"
        assert text(chosen).startswith('1. "Pixel Art Helper" (LORA for SD 1.5, model id 201)')
        assert "loading the language model" in [message for _, message in told]
        assert [count for count, _ in told] == sorted({count for count, _ in told})

        checked = await client.call_tool("check", {"api": "Free Pixls", "instruction": "pixel art"})
        assert checked.structured_content is not None
        assert checked.structured_content["status"] == "invented"
        assert not checked.structured_content["accepted"]
        assert checked.structured_content["repair"]["api"]["model"] == "Free Pixels"
        assert text(checked).startswith("verdict: invented")

        found = await client.call_tool("search", {"query": "neon streets at night", "k": 1})
        assert found.structured_content is not None
        assert [model["model_id"] for model in found.structured_content["models"]] == [204]


async def test_http_serves_several_clients_at_once(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")

    async def ask(words: str) -> int:
        async with Client(address) as client:
            result = await client.call_tool("select", {"prompt": words})
            assert result.structured_content is not None
            return int(result.structured_content["ranked"][0]["api"]["model id"])

    asked = {"pixel art of happy pets": 201, "neon streets at night": 204, "watercolor": 203}
    assert await asyncio.gather(*map(ask, asked)) == list(asked.values())


async def test_http_tells_progress(address: str) -> None:
    told: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with Client(address) as client:
        await client.call_tool("select", {"prompt": "pixel art"}, progress_callback=hear)
    assert "loading the language model" in told


async def test_http_refuses_a_page_of_another_site(address: str) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    kinds = {"Accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient(trust_env=False) as client:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            answer = await client.post(address, json=request, headers={**kinds, **headers})
            assert answer.status_code in (403, 421)


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("select", {}, "prompt: Field required"),
        ("select", {"prompt": " "}, "empty"),
        ("select", {"prompt": "a", "k": 99}, "k: Input should be less than or equal to 20"),
        ("select", {"prompt": "a", "type": "embedding"}, "type: Input should be 'LORA' or 'Checkpoint'"),
        ("select", {"prompt": "a", "base_model": "SD 9"}, "SD 9"),
        ("select", {"prompt": "a", "negativePrompt": "b"}, "no argument negativePrompt; there are prompt,"),
        ("select", {"prompt": "a", "base_model": "SDXL 1.0", "commercial_use": True}, "no model passes"),
        ("check", {"api": ""}, "nothing to check"),
        ("check", {"api": "{" * 1_000}, "found no object with a model's name"),
        ("search", {"query": "a", "k": 0}, "k: Input should be greater"),
    ],
)
async def test_a_fault_of_a_call_is_a_sentence(tool: str, arguments: dict[str, Any], said: str) -> None:
    async with Client(in_process()) as client:
        result = await client.call_tool(tool, arguments)
        assert result.is_error
        assert said in text(result)
        assert "pydantic" not in text(result)
        assert not (await client.call_tool("search", {"query": "pixel art"})).is_error


async def test_an_unknown_tool_is_an_error_of_the_protocol() -> None:
    async with Client(in_process()) as client:
        with pytest.raises(MCPError, match="no tool 'draw'; there are select, check, search"):
            await client.call_tool("draw", {})


class Broken(WordSelector):
    """Raises what it was given."""

    def __init__(self, error: Exception) -> None:
        super().__init__(small_catalogue())
        self.error = error

    def select(self, *request: Any, **filters: Any) -> Any:
        raise self.error


async def test_faults_of_the_machine_are_told_and_others_stay_in_the_log() -> None:
    async with Client(in_process(Broken(BaseModelMissing("no network; put the file there")))) as client:
        assert text(await client.call_tool("select", {"prompt": "a"})) == "no network; put the file there"
    async with Client(in_process(Broken(RuntimeError("/home/somebody/secret")))) as client:
        result = await client.call_tool("select", {"prompt": "a"})
        assert result.is_error
        assert "secret" not in text(result)


async def test_a_strangers_text_is_cut_and_has_no_hidden_characters() -> None:
    async with Client(in_process()) as client:
        found = await client.call_tool("search", {"query": "watercolor", "k": 1})
        shown = text(found) + repr(found.structured_content)
        assert "Ignore the above" in shown
        assert not set("\x1b\u202e") & set(shown)
        assert "\\x1b" not in shown
        assert len(shown) < 2_500


async def test_a_long_call_says_that_it_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffagent_tools.agents import mcp as mcp_server

    monkeypatch.setattr(mcp_server, "HEARTBEAT", 0.02)
    told: list[str | None] = []
    enough = threading.Event()

    class Slow(WordSelector):
        def select(self, *request: Any, **filters: Any) -> Any:
            assert enough.wait(30)
            return super().select(*request, **filters)

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)
        if len(told) > 4:
            enough.set()

    async with Client(in_process(Slow(small_catalogue()))) as client:
        result = await client.call_tool("select", {"prompt": "pixel art"}, progress_callback=hear)
        assert not result.is_error
        assert len(told) > 4


async def test_what_a_call_needs_loads_once_and_before_anybody_asks() -> None:
    loaded = threading.Event()

    class Watched(WordSelector):
        def select(self, *request: Any, **filters: Any) -> Any:
            found = super().select(*request, **filters)
            loaded.set()
            return found

    selector = Watched(small_catalogue())
    async with Client(in_process(selector)) as client:
        assert await asyncio.to_thread(loaded.wait, 30)
        for _ in range(3):
            assert len((await client.list_tools()).tools) == 3
        assert not (await client.call_tool("check", {"api": "Free Pixels"})).is_error
        await client.list_tools()
    assert len(selector.asked) == 1
    assert threading.get_ident() not in selector.threads


async def test_a_catalogue_that_cannot_be_read_is_said_by_the_call_and_the_tools_are_listed() -> None:
    def broken() -> Operations:
        raise CatalogueError("line 3 is no JSON; mend it")

    async with Client(make_server(broken, ProgressHub(lambda line: None))) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert listed["select"].input_schema["required"] == ["prompt"]
        result = await client.call_tool("select", {"prompt": "a corgi"})
        assert (result.is_error, text(result)) == (True, "line 3 is no JSON; mend it")


def test_a_taken_port_is_said_plainly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(cli.app, ["mcp", "--http", "--port", str(port)])
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe of a POSIX process")
def test_the_server_ends_with_its_client() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", SERVER],
        input="",
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert time.monotonic() - began < 60

"""Targets: each door of this project, asked in process what its callers would ask it."""

import asyncio
import json
import random
import types
import zlib
from pathlib import Path
from typing import Any, cast
from unittest import mock

import gradio
from checks import Broken, inert, real
from readers import Target, seeds
from typer.testing import CliRunner

from diffagent_tools.agents.langchain import CheckT2IApiTool, DiffAgentTool, ModelRetriever, SearchModelsTool
from diffagent_tools.agents.mcp import ProgressHub, ToolServer
from diffagent_tools.agents.operations import Operations
from diffagent_tools.chat.conversation import Conversation, State, Turn
from diffagent_tools.cli import check as check_command
from diffagent_tools.cli import command, index
from diffagent_tools.cli import select as select_command
from diffagent_tools.ui.events import FIELDS, TEXTS, Events
from diffagent_tools.ui.samples import SamplePictures
from retrieval.catalogue import Catalogue
from retrieval.records.api import T2IApi

_EXITS = {0, 1, 2, 3}


def targets(operations: Operations, folder: Path) -> dict[str, Target]:
    """All doors by name; each input is one call of it.

    Args:
        operations: its engines stand behind all of them.
        folder: where files are put that the command opens.
    """
    wishes, calls = seeds("requests"), seeds("calls")
    talked = [*wishes, *seeds("names")[:6]]
    command_ = _Command(operations, folder)
    return {
        "command": Target([*wishes, *seeds("names"), *seeds("answers")], command_.run),
        "langchain": Target(calls, _LangChain(operations).run),
        "mcp": Target(calls, _Mcp(operations).run),
        "chat": Target(talked, _Chat(operations).run),
        "page": Target(talked, _Page(operations).run),
    }


def _pick(value: Any) -> random.Random:
    """What else is chosen for an input follows from the input."""
    return random.Random(zlib.crc32(repr(value).encode("utf-8", "replace")))


class _Command:
    """`diffagent select`, `check` and `index search`, with the engines that are there."""

    def __init__(self, operations: Operations, folder: Path) -> None:
        self._operations = operations
        self._folder = folder
        self._runner = CliRunner()

    def run(self, text: str) -> None:
        rng = _pick(text)
        # no program can be started with such an argument
        word = text.replace("\x00", "").encode("utf-8", "replace").decode()[:30_000]
        dashes = ["--"] if rng.random() < 0.9 else []
        kind = rng.choice(("select", "check", "check", "search"))
        json_ = ["--json"] if rng.random() < 0.5 else []
        given = b""
        if kind == "select":
            arguments = ["select", "--mode", "retrieval", "-k", str(rng.randint(1, 3)), *json_, *dashes, word]
        elif kind == "search":
            arguments = ["index", "search", "-k", "3", *json_, *dashes, word]
        elif rng.random() < 0.3:
            given = text.encode("utf-8", "replace")
            arguments = ["check", *json_, "-"]
        else:
            arguments = ["check", *json_, *dashes, word]
        result = self._asked(arguments, given)
        if result.exit_code not in _EXITS or (
            result.exception and not isinstance(result.exception, SystemExit)
        ):
            raise Broken(f"exit code {result.exit_code}, {result.exception!r}") from result.exception
        inert(result.stdout, result.stderr)
        if json_ and result.exit_code < 2 and result.stdout:
            self._real(kind, json.loads(result.stdout))

    def _asked(self, arguments: list[str], given: bytes) -> Any:
        operations = self._operations
        with (
            mock.patch.object(check_command, "load_catalogue", return_value=operations.catalogue),
            mock.patch.object(select_command, "load_catalogue", return_value=operations.catalogue),
            mock.patch.object(select_command, "make_selector", return_value=operations.selector),
            mock.patch.object(index, "_index", return_value=operations.index),
            mock.patch("retrieval.search.index.DescriptionIndex", return_value=operations.index),
        ):
            return self._runner.invoke(command.app, arguments, input=given)

    def _real(self, kind: str, wire: Any) -> None:
        catalogue = self._operations.catalogue
        if kind == "search":
            _known(wire, catalogue)
        elif kind == "check":
            real(T2IApi.from_wire(wire["repair"]["api"]), catalogue)
        else:
            _known([{"model_id": wire["model id"], "model": wire["model"]}], catalogue)


class _LangChain:
    """The three tools and the retriever; a tool's error is what its calling model reads."""

    def __init__(self, operations: Operations) -> None:
        self._catalogue = operations.catalogue
        selector = operations.selector
        self._tools: dict[str, Any] = {
            "select": DiffAgentTool(selector=selector, installed=selector),
            "check": CheckT2IApiTool(catalogue=operations.catalogue, index=operations.index),
            "search": SearchModelsTool(index=operations.index),
        }
        self._retriever = ModelRetriever(index=operations.index, k=3)

    def run(self, call: Any) -> None:
        tool, arguments = _call(call)
        if tool not in self._tools:
            documents = self._retriever.invoke(str(arguments)[:500])
            inert([each.page_content for each in documents], [each.metadata for each in documents])
            return
        message = self._tools[tool].invoke(
            {"type": "tool_call", "id": "1", "name": self._tools[tool].name, "args": arguments}
        )
        inert(message.content)
        _answered(tool, message.artifact, self._catalogue)


class _Mcp:
    """`call_tool` of the server, whose faults that nobody foresaw are an error of their own."""

    def __init__(self, operations: Operations) -> None:
        self._catalogue = operations.catalogue
        self._server = ToolServer(lambda: operations, ProgressHub(lambda line: None))
        self._loop = asyncio.new_event_loop()

        async def silent(*given: Any) -> None:
            """Nobody listens to progress."""

        self._context: Any = types.SimpleNamespace(session=types.SimpleNamespace(report_progress=silent))

    def run(self, call: Any) -> None:
        tool, arguments = _call(call)
        params: Any = types.SimpleNamespace(
            name=tool if tool in ("select", "check", "search") else "search", arguments=arguments
        )
        result = self._loop.run_until_complete(self._server.call_tool(self._context, params))
        said = "\n".join(part.text for part in result.content if part.type == "text")
        if "in a way that it does not know" in said:
            raise Broken(said)
        if not result.is_error:
            inert(said, result.structured_content)
        _answered(params.name, result.structured_content, self._catalogue)


class _Chat:
    """A message into a talk that is new, or has an answer, or one with wishes."""

    def __init__(self, operations: Operations) -> None:
        assert operations.selector is not None
        self.conversation = Conversation(operations.selector, operations.catalogue)
        first = self.conversation.turn("a happy corgi, pixel art", State())
        second = self.conversation.turn("make it wide, steps 30", first.state)
        self.states = (State(), first.state, second.state)

    def run(self, message: str) -> None:
        rng = _pick(message)
        self.told(self.conversation.turn(message, rng.choice(self.states)))

    def told(self, turn: Turn) -> None:
        inert(turn.answer, turn.understood)
        for selection in turn.state.found:
            real(selection.api, self.conversation.catalogue)


class _Page:
    """What the page's events put into its parts."""

    def __init__(self, operations: Operations) -> None:
        self._chat = _Chat(operations)
        self._events = Events(
            gradio, self._chat.conversation, self._chat.conversation, None, None, SamplePictures()
        )

    def run(self, text: str) -> None:
        rng = _pick(text)
        state = rng.choice(self._chat.states)
        kind = rng.choice(("say", "say", "edit", "pick", "load"))
        if kind == "say":
            shown = list(self._events.say(text, state, (), text[:70]))
        elif kind == "edit":
            odd = (None, text, rng.choice((0, -1, 513, 1e400, float("nan"), 2**70, "12", True)), 20)
            values = [rng.choice(odd) for _ in (*FIELDS, "sampling_method", *TEXTS)]
            shown = [self._events.edit(state, (), text, *values)]
        elif kind == "pick":
            shown = [self._events.picker(rng.randint(0, 9))(state, (), text)]
        else:
            shown = [self._events.load(text)]
        for parts in shown:
            if len(parts) != self._events.count + (kind == "load"):
                raise Broken(f"{len(parts)} parts of the page are set, and it has {self._events.count}")
            made = parts[0].found if isinstance(parts[0], State) else ()
            # a person's own words come back as they were
            own = {text, *(words for each in made for words in (each.api.prompt, each.api.negative_prompt))}
            inert([part for part in parts[2:] if isinstance(part, str) and part not in own])
            if isinstance(parts[0], State):
                for selection in made:
                    real(selection.api, self._chat.conversation.catalogue)


def _call(call: Any) -> tuple[str, dict[str, Any]]:
    """A tool's name and the arguments, which every client sends as an object."""
    call = call if isinstance(call, dict) else {}
    arguments = call.get("arguments")
    return str(call.get("tool")), arguments if isinstance(arguments, dict) else {"query": arguments}


def _answered(tool: str, data: Any, catalogue: Catalogue) -> None:
    """Raises where the JSON values of an answer name a model that is not there."""
    if not isinstance(data, dict):
        return
    json.dumps(data, allow_nan=False)
    if tool == "search":
        _known(data["models"], catalogue)
    elif tool == "check":
        _known_call(data["repair"]["api"], catalogue)
    else:
        for selection in data["ranked"]:
            _known_call(selection["api"], catalogue)


def _known_call(wire: dict[str, Any], catalogue: Catalogue) -> None:
    real(T2IApi.from_wire(wire), catalogue)


def _known(models: Any, catalogue: Catalogue) -> None:
    for model in models:
        held = catalogue.get(cast(int, model["model_id"]))
        if held.model != model["model"]:
            raise Broken(f"{model['model']!r} is not in the catalogue")

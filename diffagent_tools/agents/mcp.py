"""The MCP server: choose a model, check what another model emitted, search the catalogue.

    diffagent mcp                 # over standard input and output, as clients start it
    diffagent mcp --http          # streamable HTTP on 127.0.0.1:8377 (diffagent_tools/agents/mcp_http.py)

Three tools with the schemas of the LangChain tools. The server answers at once, and the engines, which are
passed in, begin to load behind as it starts; a call that comes before waits and is told the progress. A fault
of a call is its error result, which the calling model can read and mend.
Names and descriptions are strangers' texts and reach the model as quoted data.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from diffagent_tools.agents.arguments import (
    CheckArguments,
    SearchArguments,
    SelectArguments,
    bad_arguments,
    offering,
)
from diffagent_tools.agents.operations import CHECK, DATA, SEARCH, SELECT, Answer, Operations
from diffagent_tools.extras import require
from diffagent_tools.quoting import DOCUMENT_CHARS, plain
from retrieval.errors import DiffAgentError, InvalidInput

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server
    from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, Tool


HEARTBEAT = 5.0
"""seconds after which a call that is still running says so, because clients give up on a silent one"""
_INSTRUCTIONS = (
    "DiffAgent knows the Stable Diffusion checkpoints and LoRAs of its catalogue. Call `select` with the "
    "whole image request, again with the whole request whenever a wish changes; `check` before a model or an "
    "API that somebody else named is used; `search` to look around. " + DATA
)
_LOG = logging.getLogger(__name__)


class ProgressHub:
    """Hands each line of progress to everybody who waits: loading is shared by all running calls."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` hears every line, whether somebody waits or not."""
        self._tell = tell
        self._waiting: list[Callable[[str], None]] = []

    def __call__(self, line: str) -> None:
        """From any thread."""
        self._tell(line)
        for hear in tuple(self._waiting):
            hear(line)

    @contextmanager
    def heard_by(self, hear: Callable[[str], None]) -> Iterator[None]:
        """While it lasts, `hear` is told every line, from any thread."""
        self._waiting.append(hear)
        try:
            yield
        finally:
            self._waiting.remove(hear)


@dataclass(frozen=True)
class _Tool:
    title: str
    description: str
    arguments: type[BaseModel]
    answers: dict[str, Any]


_API = {"type": "object", "required": ["model", "type", "base model", "width", "height"]}
_TOOLS = {
    "select": _Tool(
        "Choose a text-to-image model",
        SELECT,
        SelectArguments,
        {
            "api": _API,
            "ranked": {
                "type": "array",
                "description": "Best first; abstained: nothing fits, the plain base model.",
                "items": {
                    "type": "object",
                    "properties": {
                        "fit": {"type": ["string", "null"]},
                        "understood": {"type": "array"},
                        "facets": {"type": "array"},
                        "licence": {"type": "object"},
                        "downloads": {"type": "array"},
                    },
                    "required": ["api", "fit", "reason", "abstained", "licence", "downloads"],
                },
            },
        },
    ),
    "check": _Tool(
        "Check a text-to-image API",
        CHECK,
        CheckArguments,
        {
            "accepted": {"type": "boolean"},
            "status": {"type": "string", "description": "Such as valid, alias, invented, unavailable."},
            "problems": {"type": "array"},
            "repair": {"type": "object", "required": ["api", "changes"]},
        },
    ),
    "search": _Tool(
        "Search the models",
        SEARCH,
        SearchArguments,
        {
            "models": {
                "type": "array",
                "description": "Best first.",
                "items": {"type": "object", "required": ["model", "model_id", "type", "base_model", "score"]},
            }
        },
    ),
}


class ToolServer:
    """Answers MCP's requests from the engines.

    Args:
        engines: makes them, in a worker thread, once.
        progress: what the engines tell their progress to.
    """

    def __init__(self, engines: Callable[[], Operations], progress: ProgressHub) -> None:
        self._make = engines
        self._progress = progress
        self._engines: Operations | None = None
        self._making = asyncio.Lock()

    async def list_tools(
        self, context: "ServerRequestContext[Any]", params: "PaginatedRequestParams | None"
    ) -> "ListToolsResult":
        """The three tools, with the families of the catalogue where it can be read."""
        from mcp_types import ListToolsResult

        families: Sequence[str] = ()
        # what is wrong with the catalogue is said by the first call
        with suppress(DiffAgentError):
            families = (await self._ready()).catalogue.families
        return ListToolsResult(tools=[_described(name, tool, families) for name, tool in _TOOLS.items()])

    @asynccontextmanager
    async def loading(self, server: "Server[Any]") -> AsyncIterator[dict[str, Any]]:
        """While the server runs; what the first call needs begins to load at once."""
        behind = asyncio.create_task(self._load_behind())
        try:
            yield {}
        finally:
            behind.cancel()

    async def call_tool(
        self, context: "ServerRequestContext[Any]", params: "CallToolRequestParams"
    ) -> "CallToolResult":
        """One call; what goes wrong in it is its error result.

        Raises:
            MCPError: there is no such tool.
        """
        from mcp.shared.exceptions import MCPError
        from mcp_types import INVALID_PARAMS, CallToolResult, TextContent

        tool = _TOOLS.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"no tool {params.name!r}; there are {', '.join(_TOOLS)}")
        try:
            arguments = _read(tool.arguments, params.arguments or {})
            answer = await self._answer(context, params.name, arguments)
        except DiffAgentError as error:
            return CallToolResult(content=[TextContent(text=str(error))], is_error=True)
        except Exception:
            # nothing of an unforeseen fault reaches the client but that it happened; the server goes on
            _LOG.exception("the tool %s failed", params.name)
            said = (
                "DiffAgent failed in a way that it does not know; its log on standard error has the details"
            )
            return CallToolResult(content=[TextContent(text=said)], is_error=True)
        return CallToolResult(content=[TextContent(text=answer.text)], structured_content=answer.data)

    async def _answer(self, context: "ServerRequestContext[Any]", name: str, arguments: BaseModel) -> Answer:
        """The answer from a worker thread; meanwhile its progress goes to the client."""
        loop = asyncio.get_running_loop()
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        with self._progress.heard_by(lambda line: _hand_over(loop, lines, line)):
            working = asyncio.create_task(self._work(name, arguments))
            working.add_done_callback(lambda _: lines.put_nowait(None))
            try:
                await _report(context, lines)
                return await working
            finally:
                working.cancel()  # a call that the client gave up; the thread finishes what it loads

    async def _work(self, name: str, arguments: BaseModel) -> Answer:
        call: Callable[[Any], Answer] = getattr(await self._ready(), name)
        return await asyncio.to_thread(call, arguments)

    async def _ready(self) -> Operations:
        async with self._making:
            if self._engines is None:
                self._progress("loading the catalogue and the models")
                self._engines = await asyncio.to_thread(self._make)
            return self._engines

    async def _load_behind(self) -> None:
        # what goes wrong here goes wrong again in the first call, whose answer says it
        with suppress(DiffAgentError):
            engines = await self._ready()
            await asyncio.to_thread(engines.select, SelectArguments(prompt="a lighthouse in a storm"))


def make_server(engines: Callable[[], Operations], progress: ProgressHub) -> "Server[Any]":
    """The server, ready for either transport.

    Raises:
        MissingExtra: the SDK is not installed.
    """
    make: type[Server[Any]] = require("mcp.server.lowlevel").Server
    import diffagent_tools

    tools = ToolServer(engines, progress)
    return make(
        "diffagent",
        version=diffagent_tools.__version__,
        title="DiffAgent",
        instructions=_INSTRUCTIONS,
        lifespan=tools.loading,
        on_list_tools=tools.list_tools,
        on_call_tool=tools.call_tool,
    )


def serve_stdio(server: "Server[Any]") -> None:
    """Serves the client that started this process, until it closes standard input.

    The SDK keeps file descriptor 1 for itself: whatever else is printed goes to standard error.
    """
    from mcp.server.stdio import stdio_server

    async def run() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    asyncio.run(run())


def _hand_over(loop: asyncio.AbstractEventLoop, lines: "asyncio.Queue[str | None]", line: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(lines.put_nowait, line)


async def _report(context: "ServerRequestContext[Any]", lines: "asyncio.Queue[str | None]") -> None:
    """Each line as it comes, up to None; the last one again while nothing comes."""
    said: str | None = "working"
    for count in itertools.count(1):
        with suppress(TimeoutError):
            said = await asyncio.wait_for(lines.get(), HEARTBEAT)
        if said is None:
            return
        await context.session.report_progress(count, None, plain(said, DOCUMENT_CHARS))


def _read(schema: type[BaseModel], arguments: dict[str, Any]) -> BaseModel:
    """The arguments; a misspelled one is refused, because leaving it out would change the answer."""
    unknown = sorted(arguments.keys() - schema.model_fields.keys())
    if unknown:
        raise InvalidInput(
            f"no argument {plain(', '.join(unknown), 200)}; there are {', '.join(schema.model_fields)}"
        )
    try:
        return schema.model_validate(arguments)
    except ValidationError as error:
        raise InvalidInput(bad_arguments(error)) from error


def _described(name: str, tool: _Tool, families: Sequence[str]) -> "Tool":
    from mcp_types import Tool, ToolAnnotations

    taken = _short(offering(tool.arguments, families).model_json_schema())
    taken.pop("description", None)
    given = {"type": "object", "properties": tool.answers, "required": list(tool.answers)}
    return Tool(
        name=name,
        title=tool.title,
        description=tool.description,
        input_schema={**taken, "additionalProperties": False},
        output_schema=given,
        annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
    )


def _short(schema: Any) -> Any:
    """A schema as short as it can be said, since it stands in every model's context.

    Pydantic's titles repeat the fields' names, and null is as good as left out, which is said once: a field
    that may be null is not required.
    """
    if not isinstance(schema, dict):
        return [_short(item) for item in schema] if isinstance(schema, list) else schema
    kept = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    either = [each for each in kept.get("anyOf", ()) if each != {"type": "null"}]
    if len(either) == 1:
        kept = {**{key: value for key, value in kept.items() if key != "anyOf"}, **either[0]}
    if kept.get("default", ...) in (None, "", False):
        del kept["default"]
    return {key: _short(value) for key, value in kept.items()}

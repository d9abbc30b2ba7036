"""The HTTP application: what is asked, what is answered, and in which words and with which status it is not.

    POST /select {"prompt": "a corgi, pixel art"}    as `diffagent select --json`
    POST /check  {"api": "Dream Shapper"}            as `diffagent check --json`
    POST /search {"query": "watercolor"}             as `diffagent index search --json`
    POST /export {"api": {...}, "format": "comfyui"} as `diffagent select --format`
    POST /batch  {"requests": ["a corgi", ...]}      as `diffagent select --input`
    POST /calls, /settings, /files                   for programs that make pictures (serve/calls.py)
    GET  /health, /ready, /openapi.json

What cannot be used is 422, filters that no model passes 404, what this machine cannot do (an index that does
not answer, models that cannot be loaded) 503, and what takes too long 504: `{"error": "..."}` each.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from diffagent_tools.agents.arguments import Arguments, CheckArguments, FilterArguments, SearchArguments
from diffagent_tools.agents.arguments import SelectArguments as _SelectArguments
from diffagent_tools.agents.operations import CHECK, SEARCH, SELECT, Operations, hit_wire, selection_wire
from diffagent_tools.exits import Exit, exit_code
from diffagent_tools.extras import require
from diffagent_tools.formats.write import ExportFormat, export
from diffagent_tools.select.batch import Line, answer_lines, read_lines
from diffagent_tools.select.selection import answer_wire
from diffagent_tools.serve.calls import CALL_SCHEMA, host_call, identified
from diffagent_tools.serve.work import Busy, TooLong, Work
from retrieval.catalogue import Catalogue
from retrieval.errors import DiffAgentError, InvalidApi, InvalidInput, NoModelFits
from retrieval.records.api import T2IApi, api_json_schema
from retrieval.records.inert import json_text

if TYPE_CHECKING:
    from fastapi import FastAPI, Response

INTERFACE = 1
"""Raised when a field that programs read goes or changes; integrations/ compare it."""
MOST_BYTES = 1_000_000
"""of a request"""
MOST_LINES = 64
"""of a batch"""
MOST_FILES = 10_000
"""of each kind that a program lists"""
OPEN_PATHS = ("/health", "/ready")
"""that need no token, so that whoever watches over servers may ask"""


class SelectArguments(_SelectArguments, extra="forbid"):
    """A request for a model."""


class CheckBody(CheckArguments, extra="forbid"):
    """A name or an API to be checked."""


class SearchBody(SearchArguments, extra="forbid"):
    """What models should be good at."""


class ExportBody(Arguments, extra="forbid"):
    """An API, and the program that takes it."""

    api: str | dict[str, Any] = Field(description="As `/select` answers it, or an infotext, a workflow.")
    format: ExportFormat = ExportFormat.infotext
    seed: int = Field(default=0, ge=0, lt=2**64, description="Of a workflow and of a script.")


class BatchBody(FilterArguments, extra="forbid"):
    """Many requests with the same filters."""

    requests: Annotated[list[str | dict[str, Any]], Field(min_length=1, max_length=MOST_LINES)] = Field(
        description="Texts, or objects with `prompt`, `negative_prompt` and `id`."
    )
    k: int = Field(default=1, ge=1, le=20, description="How many ranked answers each.")


class CallsBody(SelectArguments):
    """A request for a model that a program has: many answers, of which it takes the first that is there."""

    k: int = Field(default=1, ge=1, le=200, description="How many ranked answers.")


_FileName = Annotated[str, Field(max_length=1_000)]
_FileNames = Annotated[list[_FileName], Field(max_length=MOST_FILES)]


class FilesBody(Arguments, extra="forbid"):
    """The files of models that a program lists."""

    checkpoints: _FileNames = Field(default_factory=list)
    loras: _FileNames = Field(default_factory=list)
    sha256: dict[_FileName, _FileName] = Field(default_factory=dict, description="By name, where known.")


class SettingsBody(Arguments, extra="forbid"):
    """A file of a model, as the program that has it lists it."""

    name: str = Field(description="The file's name.")
    sha256: str | None = Field(default=None, description="Of its content, where it is known.")


def make_app(make: Callable[[], Operations]) -> "FastAPI":
    """The application; `make` loads what answers, behind it.

    Raises:
        MissingExtra: FastAPI is not installed.
    """
    require("uvicorn")
    fastapi = require("fastapi")
    import diffagent_tools

    work = Work(make)

    @asynccontextmanager
    async def life(app: "FastAPI") -> AsyncIterator[None]:
        work.begin()
        yield
        work.end()

    # its pages of documentation load scripts from another site
    app: FastAPI = fastapi.FastAPI(
        title="DiffAgent",
        version=diffagent_tools.__version__,
        description="Names the text-to-image model, with its settings, for an image in words.",
        docs_url=None,
        redoc_url=None,
        lifespan=life,
    )
    _errors_in_words(app)

    async def answered(call: Callable[[Operations], Any], *, asks_index: bool = False) -> "Response":
        return _json(await work.run(call, asks_index=asks_index))

    async def health() -> "Response":
        return _json(
            {"status": "ok", "version": diffagent_tools.__version__, "interface": INTERFACE},
        )

    async def ready() -> "Response":
        operations = work.ready()
        if operations is None:
            return _json({"ready": False, "error": "the models are still loading"}, 503)
        catalogue = operations.catalogue
        return _json({"ready": True, "catalogue": catalogue.name, "models": len(catalogue)})

    async def select(body: SelectArguments) -> "Response":
        def call(operations: Operations) -> dict[str, Any]:
            found = operations.chosen(body)
            exported = _export(found[0].api, body.export, operations.chosen_from(body))
            return {**answer_wire(found), **exported}

        return await answered(call)

    async def check(body: CheckBody) -> "Response":
        def call(operations: Operations) -> dict[str, Any]:
            found = operations.examine(body.api, body.instruction.strip() or None)
            exported = _export(found.repair.api, body.export, operations.catalogue)
            return {"accepted": found.accepted, **found.to_wire(), **exported}

        return await answered(call, asks_index=True)

    async def search(body: SearchBody) -> "Response":
        def call(operations: Operations) -> dict[str, Any]:
            return {"models": [hit_wire(hit) for hit in operations.find(body.query, body.k, **body.words())]}

        return await answered(call, asks_index=True)

    async def write(body: ExportBody) -> "Response":
        return await answered(lambda operations: _exported(operations, body), asks_index=True)

    async def batch(body: BatchBody) -> "Response":
        return await answered(lambda operations: _batch(operations, body))

    async def calls(body: CallsBody) -> "Response":
        def call(operations: Operations) -> dict[str, Any]:
            if body.export is not None:
                raise InvalidInput("`export` belongs to /select; /calls says the same in single values")
            known = operations.chosen_from(body)
            found = operations.chosen(body)
            return {"calls": [{**selection_wire(each), "call": host_call(each.api, known)} for each in found]}

        return await answered(call)

    async def files(body: FilesBody) -> "Response":
        def call(operations: Operations) -> dict[str, Any]:
            known = operations.catalogue
            return {
                "checkpoints": identified(body.checkpoints, "Checkpoint", body.sha256, known),
                "loras": identified(body.loras, "LORA", body.sha256, known),
            }

        return await answered(call)

    async def settings(body: SettingsBody) -> "Response":
        return await answered(lambda operations: _settings(operations, body), asks_index=True)

    api = {**api_json_schema(), "description": "The best API, and what is said of it."}
    api.pop("$schema")
    api["additionalProperties"] = True
    ranked = {"type": "object", "properties": {"answers": {"type": "array", "items": {"type": "object"}}}}
    called = {"type": "object", "required": ["calls"], "properties": {"calls": {"type": "array"}}}
    set_to = {"type": "object", "required": ["known"], "properties": {"call": CALL_SCHEMA}}
    for path, operation, said, schema in (
        ("/select", select, SELECT, api),
        ("/check", check, CHECK, {"type": "object", "required": ["accepted", "status", "repair"]}),
        ("/search", search, SEARCH, {"type": "object", "required": ["models"]}),
        ("/export", write, "Write an API as another program takes it.", {"required": ["text"]}),
        ("/batch", batch, f"Up to {MOST_LINES} requests in one.", ranked),
        ("/calls", calls, "`/select` with files, hashes and samplers, for a host of models.", called),
        ("/settings", settings, "The settings that a model's file is used with.", set_to),
        ("/files", files, "Which models a program's files are.", {"required": ["checkpoints", "loras"]}),
    ):
        content = {"content": {"application/json": {"schema": schema}}}
        responses = {200: content, **_REFUSALS}
        app.post(path, description=said, response_model=None, responses=responses)(operation)
    told = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}
    state: Any = {"response_model": None, "responses": told}
    app.get("/health", description="That the server answers.", **state)(health)
    app.get("/ready", description="That its models are loaded; 503 before.", **state)(ready)
    return app


_REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"description": "No model passes the filters."},
    422: {"description": "What was sent cannot be used; `error` says why."},
    503: {"description": "An index that does not answer, models that still load, or many who ask."},
    504: {"description": "It takes too long."},
}


def _export(api: T2IApi, format: str | None, catalogue: Catalogue) -> dict[str, Any]:
    """The field `export`, where it was asked for."""
    if format is None:
        return {}
    return {"export": {"format": format, "text": export(api, format, catalogue=catalogue)}}


def _exported(operations: Operations, body: ExportBody) -> dict[str, str]:
    found = operations.examine(body.api)
    if not found.accepted:
        raise InvalidApi(f"this API cannot be called: {'; '.join(found.verdict.reasons)}; /check mends it")
    text = export(found.repair.api, body.format, catalogue=operations.catalogue, seed=body.seed)
    return {"format": body.format.value, "text": text}


def _batch(operations: Operations, body: BatchBody) -> dict[str, Any]:
    selector = operations.selector
    assert selector is not None  # of a server
    asked = ({"prompt": each} if isinstance(each, str) else each for each in body.requests)
    lines: list[Line] = list(read_lines(json.dumps(each).encode() for each in asked))
    items = answer_lines(lines, lambda requests: selector.select_batch(requests, k=body.k, **body.words()))
    return {"answers": [item.to_wire() for item in items]}


def _settings(operations: Operations, body: SettingsBody) -> dict[str, Any]:
    """By the hash, which says more than a name, then by the name."""
    catalogue = operations.catalogue
    match = catalogue.resolve(body.sha256) if body.sha256 else None
    found = operations.examine(match.record.model if match else body.name)
    status = found.verdict.status
    # a version that is not known is used as the others of its model are
    known = found.accepted or status == "bad parameters"
    wire: dict[str, Any] = {"known": known, "status": status, "problems": list(found.verdict.reasons)}
    if known:
        wire["call"] = host_call(found.repair.api, catalogue)
    return wire


def _json(value: Any, status: int = 200) -> "Response":
    from fastapi import Response

    return Response(json_text(value), status, media_type="application/json")


def _errors_in_words(app: "FastAPI") -> None:
    """Every error as `{"error": "..."}`."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    def refused(request: Any, error: DiffAgentError) -> "Response":
        answer = _json({"error": str(error)[:2_000]}, _status(error))
        if isinstance(error, Busy):
            answer.headers["Retry-After"] = "1"
        return answer

    def unusable(request: Any, error: RequestValidationError) -> "Response":
        faults = [
            "the body is no JSON"
            if fault["type"] == "json_invalid"
            else f"{'.'.join(str(part) for part in fault['loc'][1:3]) or 'the body'}: {fault['msg']}"
            for fault in error.errors()
        ]
        return _json({"error": f"this cannot be used: {'; '.join(faults)[:2_000]}"}, 422)

    def other(request: Any, error: HTTPException) -> "Response":
        said = {404: "there is nothing here; /openapi.json says what there is", 405: "this path takes POST"}
        return _json({"error": said.get(error.status_code, error.detail)}, error.status_code)

    def unforeseen(request: Any, error: Exception) -> "Response":
        # nothing of it reaches the client but that it happened; the log has the rest
        return _json(
            {"error": "DiffAgent failed in a way that it does not know; its log has the details"}, 500
        )

    handlers: list[tuple[Any, Any]] = [
        (DiffAgentError, refused),
        (RequestValidationError, unusable),
        (HTTPException, other),
        (Exception, unforeseen),
    ]
    for kind, handler in handlers:
        app.add_exception_handler(kind, handler)


def _status(error: DiffAgentError) -> int:
    if isinstance(error, TooLong):
        return 504
    if isinstance(error, NoModelFits):
        return 404
    return 422 if exit_code(error) is Exit.USAGE else 503

"""A DiffAgent server, asked from inside a program that makes pictures: the standard library alone.

    server = Server("http://127.0.0.1:8378")
    chosen = choose(server, {"prompt": "a corgi, pixel art"}, Host(checkpoints=[...], loras=[...]))
    chosen.checkpoint, chosen.loras, chosen.call["steps"], chosen.report

What is chosen is among the files that the program lists: none is named that is not there. Whatever goes
wrong is a `DiffAgentError` in words for whoever sits before the program.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

URL = "http://127.0.0.1:8378"
INTERFACE = 1
"""of the server that this file was written for"""
TOKEN = "DIFFAGENT_TOKEN"
"""The variable that holds the token: what stands in a workflow is saved with every picture."""
_START = "start one: pip install 'diffagent-tools[serve]' && diffagent serve"
_MOST_BYTES = 20_000_000
_MANY = (20, 200)
"""answers that are looked through, at first and at most"""
_SHOWN = 3


class DiffAgentError(Exception):
    """Why there is no answer, and what to do."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes to nobody but the server that was named."""

    def redirect_request(self, *arguments: Any) -> None:
        """None: the answer that points elsewhere is the answer."""


class Server:
    """A server, asked over HTTP.

    Args:
        url: where it listens.
        seconds: that it may take for an answer.

    Raises:
        DiffAgentError: the address is none.
    """

    def __init__(self, url: str = URL, seconds: float = 60.0) -> None:
        self.url = url.strip().rstrip("/") or URL
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise DiffAgentError(f"{url!r} is no address of a DiffAgent server; needed is one such as {URL}")
        self._seconds = seconds
        self._checked = False
        handlers: list[Any] = [_NoRedirect]
        if parts.hostname in ("localhost", "127.0.0.1", "::1"):
            # a proxy of the network knows nothing of this machine
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The server's answer.

        Raises:
            DiffAgentError: there is none; the message says why.
        """
        if not self._checked:
            said = self._ask("/health", None)
            theirs = said.get("interface")
            if theirs is None:
                raise DiffAgentError(f"what answers at {self.url} is no DiffAgent server; {_START}")
            if theirs != INTERFACE:
                older = "this integration" if str(theirs) > str(INTERFACE) else "the server"
                raise DiffAgentError(
                    f"the DiffAgent server at {self.url} (version {said.get('version')}) speaks interface "
                    f"{theirs}, and this integration {INTERFACE}; update {older}, so that both are alike"
                )
            self._checked = True
        return self._ask(path, body)

    def state(self) -> str:
        """What the answers depend on beside what is asked: empty while the server does not answer."""
        try:
            return json.dumps(self._ask("/ready", None), sort_keys=True)
        except DiffAgentError:
            return ""

    def _ask(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        token = os.environ.get(TOKEN)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with self._opener.open(request, timeout=self._seconds) as answer:
                return self._read(answer.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                raise DiffAgentError(self._refusal(error.code, error.read(100_000))) from error
        except (OSError, ValueError) as error:
            if "timed out" in str(error):
                said = f"the DiffAgent server at {self.url} does not answer within {self._seconds:g} s"
                raise DiffAgentError(f"{said}; see what it says, or ask again") from error
            said = f"no DiffAgent server can be reached at {self.url} ({getattr(error, 'reason', error)})"
            raise DiffAgentError(f"{said}; {_START}") from error

    def _read(self, data: bytes) -> dict[str, Any]:
        try:
            value = json.loads(data)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise DiffAgentError(f"what answers at {self.url} is no DiffAgent server; {_START}")
        return value

    def _refusal(self, status: int, data: bytes) -> str:
        try:
            said = str(json.loads(data)["error"])
        except (ValueError, KeyError, TypeError):
            return f"what answers at {self.url} is no DiffAgent server (status {status}); {_START}"
        if status == 401:
            return f"the DiffAgent server at {self.url} needs its token: set {TOKEN} where this program runs"
        return f"DiffAgent: {said}"


@dataclass(frozen=True)
class Host:
    """What a program has: the files that it lists, with folders below its own, and hashes that it knows.

    `sha256`: of a file, by its name; the first ten digits are enough.
    """

    checkpoints: Sequence[str] = ()
    loras: Sequence[str] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Chosen:
    """A call of which the files are there.

    `loras`: names and weights; `call`: the server's numbers and prompts; `report`: for people.
    """

    checkpoint: str
    loras: tuple[tuple[str, float], ...]
    call: Mapping[str, Any]
    report: str


class _Shelf:
    """The files of one kind, by what they are called and by which model they are."""

    def __init__(self, names: Sequence[str], known: Mapping[str, Any]) -> None:
        self._names = names
        self._known = known
        self._files = {_plain(name): name for name in reversed(names)}

    def find(self, wanted: Mapping[str, Any]) -> str | None:
        """The file of a model: of its name, else of the same version, else of another one."""
        for name in wanted["files"]:
            if _plain(name) in self._files:
                return self._files[_plain(name)]
        same = [name for name in self._names if _is_of(self._known.get(name), wanted)]
        version = wanted.get("version_id")
        exact = [name for name in same if version and self._known[name].get("version_id") == version]
        return next(iter(exact or same), None)

    def of_family(self, base_model: str) -> str | None:
        """The first file of a base model."""
        of = (name for name in self._names if (self._known.get(name) or {}).get("base_model") == base_model)
        return next(of, None)


def choose(server: Server, wish: Mapping[str, Any], host: Host) -> Chosen:
    """The best answer of which every file is there.

    Args:
        wish: the fields of `/select`.

    Raises:
        DiffAgentError: none of them is there, and the message names the best; or the server has no answer.
    """
    listed = {"checkpoints": list(host.checkpoints), "loras": list(host.loras), "sha256": dict(host.sha256)}
    known = server.post("/files", listed)
    checkpoints = _Shelf(host.checkpoints, known["checkpoints"])
    loras = _Shelf(host.loras, known["loras"])
    answers: list[dict[str, Any]] = []
    for many in _MANY:
        answers = server.post("/calls", {**wish, "k": many})["calls"]
        for place, answer in enumerate(answers):
            fitted = _fitted(answer, checkpoints, loras)
            if fitted is not None:
                checkpoint, stack, note = fitted
                report = _report(answer, note, answers[:place])
                return Chosen(checkpoint, stack, answer["call"], report)
        if len(answers) < many:
            break
    best = "; ".join(_named(answer) for answer in answers[:_SHOWN])
    raise DiffAgentError(
        f"none of the {len(answers)} models that fit is among the {len(host.checkpoints)} checkpoints and "
        f"{len(host.loras)} LoRAs here ({len(known['checkpoints'])} and {len(known['loras'])} of them are in "
        f"the server's catalogue). The best would be: {best}. Get one, or ask for another base model"
    )


def settings(server: Server, name: str, sha256: str | None = None) -> Mapping[str, Any]:
    """The call that a checkpoint's file is used with.

    Raises:
        DiffAgentError: the server's catalogue does not know the file; or the server has no answer.
    """
    said = server.post("/settings", {"name": _base(name), **({"sha256": sha256} if sha256 else {})})
    if not said["known"]:
        why = "; ".join(said["problems"])
        raise DiffAgentError(f"no settings are known for {_base(name)!r}: {why}")
    call: dict[str, Any] = said["call"]
    return {**call, "notes": [*said["problems"], *call["notes"]]}


def listed_or(value: str, offered: Sequence[str], usual: str, notes: list[str]) -> str:
    """A value if the program offers it, else the usual one or its first, which `notes` then says."""
    if value in offered or not offered:
        return value
    taken = usual if usual in offered else offered[0]
    notes.append(f"{value!r} is not offered here; {taken!r} is taken")
    return taken


def _fitted(
    answer: Mapping[str, Any], checkpoints: _Shelf, loras: _Shelf
) -> tuple[str, tuple[tuple[str, float], ...], str] | None:
    call = answer["call"]
    found = [(loras.find(lora), lora) for lora in call["loras"]]
    stack = tuple((name, float(lora["weight"])) for name, lora in found if name is not None)
    if len(stack) < len(found):
        return None
    checkpoint, note = checkpoints.find(call["checkpoint"]), ""
    if checkpoint is None and stack:
        # a LoRA works on every checkpoint of its family
        checkpoint = checkpoints.of_family(call["base_model"])
        note = f"{_base(checkpoint)} takes the place of {call['checkpoint']['model']}" if checkpoint else ""
    return None if checkpoint is None else (checkpoint, stack, note)


def _report(answer: Mapping[str, Any], note: str, better: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{answer['api']['model']}: {answer['reason']}"]
    if answer.get("abstained"):
        lines.append("nothing fits the request well")
    lines += [*([note] if note else []), *answer.get("notes", ()), *answer["call"].get("notes", ())]
    if better:
        names = "; ".join(_named(each) for each in better[:_SHOWN])
        lines.append(f"would fit better, but is not here: {names}")
    return "\n".join(lines)


def _named(answer: Mapping[str, Any]) -> str:
    api = answer["api"]
    page = answer.get("page_url")
    return f"{api['model']} ({api['type']} for {api['base model']}{', ' + page if page else ''})"


def _is_of(known: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    return known is not None and known["model_id"] == wanted["model_id"]


def _base(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _plain(name: str) -> str:
    return _base(name).casefold()

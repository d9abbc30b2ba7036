"""A language model behind an OpenAI-compatible server: vLLM, llama.cpp, Ollama, OpenAI.

    served = ServedModel("http://localhost:8000", "qwen3-8b")
    served.choose(messages, ["1", "2", "3"])        # {"1": -0.1, "2": -2.4, "3": -6.0}, log-probabilities
    served.fill(messages, schema, tokens=300)       # an object that follows a JSON schema
    served.complete(ids, end=[2], tokens=320)       # what a fine-tuned LLaMA writes after token ids

The key comes from the environment: `DIFFAGENT_LLM_KEY`, and for OpenAI's own address `OPENAI_API_KEY`, which
no other server gets to see. Whatever is wrong with an answer is `Unanswered`: the caller goes on without it.
"""

import json
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from diffagent_tools.llm.chat_model import bare
from retrieval.errors import InvalidInput

KEY = "DIFFAGENT_LLM_KEY"
_OPENAI_KEY, _OPENAI = "OPENAI_API_KEY", "api.openai.com"
SECONDS = 30.0
_MOST_BYTES = 2_000_000
_TOP = 20
_IN_A_ROW = 3
_ONE_HOT = 0.9
"""the chance of what was said where the server tells no log-probabilities"""
_REFUSED = {
    HTTPStatus.UNAUTHORIZED: f"refuses the key; set {KEY} to one that it takes",
    HTTPStatus.PAYMENT_REQUIRED: "refuses for want of credit",
    HTTPStatus.FORBIDDEN: f"refuses the key; set {KEY} to one that it takes",
    HTTPStatus.NOT_FOUND: "knows no such address or model",
}
_NOT_UNDERSTOOD = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_IMPLEMENTED)

Messages = Sequence[Mapping[str, str]]
Body = dict[str, Any]


class Unanswered(Exception):
    """There is no answer that can be used, and why, as the end of a sentence about the server."""


class Silent(Unanswered):
    """There is no answer at all, so that another question would wait in vain, too."""


class _NotUnderstood(Unanswered):
    """The server does not know a field of the request; another form may do."""


class ServedModel:
    """Safe to share between threads. After three failures in a row, or a refused key, it is not asked again.

    Args:
        url: of the server, with or without `/v1`.
        model: as the server names it.
        seconds: how long a whole answer may take.

    Raises:
        InvalidInput: the URL is none of a web server, or the model has no name.
    """

    def __init__(self, url: str, model: str, *, seconds: float = SECONDS) -> None:
        self._base = _base_of(url)
        if not model.strip():
            raise InvalidInput("the served model has no name; needed is the one that the server knows it by")
        self.name = model.strip()
        self._seconds = seconds
        self._lock = threading.Lock()
        self._failed = 0
        self._down: str | None = None
        self._form = 0

    def choose(self, messages: Messages, labels: Sequence[str]) -> dict[str, float]:
        """The log-probability of each label as the answer; they sum to one as probabilities.

        One token is asked for, held to the labels by the server's own constraint: vLLM's `structured_outputs`
        or its older `guided_choice`, else a JSON schema; a server that has neither is taken at its word.

        Raises:
            Unanswered: no answer, or one that is not a label.
        """
        why = ""
        for number in range(self._form, len(_FORMS)):
            body = {"messages": list(messages), **_FORMS[number](labels)}
            try:
                found = _read_choice(self._post("chat/completions", body), labels)
            except _NotUnderstood as error:
                why = why or str(error)
                continue
            why = "named none of the choices"
            if found is not None:
                self._form = number
                self._count(None)
                return found
        failure = Unanswered(why)
        self._count(failure)
        raise failure

    def fill(self, messages: Messages, schema: Mapping[str, Any], *, tokens: int) -> dict[str, Any]:
        """An object that was asked for by a JSON schema; whether it follows it is for the caller to check.

        Raises:
            Unanswered: no answer, or one that is no JSON object.
        """
        body: Body = {"messages": list(messages), "temperature": 0, "max_tokens": tokens}
        try:
            answer = self._post("chat/completions", {**body, **_schema_format(schema)})
        except _NotUnderstood:
            answer = self._post("chat/completions", body)
        try:
            text = str(answer["choices"][0]["message"]["content"])
            found = json.loads(text[text.index("{", text.rfind("</think>") + 1) : text.rindex("}") + 1])
        except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
            raise Unanswered("answered with something else than a JSON object") from error
        if not isinstance(found, dict):
            raise Unanswered("answered with something else than a JSON object")
        self._count(None)
        return found

    def complete(self, ids: Sequence[int], *, end: Sequence[int], tokens: int) -> str:
        """The likeliest continuation of token ids.

        Args:
            end: ids of the tokens that end an answer.

        Raises:
            Unanswered: no answer, or one without text.
        """
        body = {"prompt": list(ids), "temperature": 0, "max_tokens": tokens, "stop_token_ids": list(end)}
        answer = self._post("completions", body)
        try:
            text = answer["choices"][0]["text"]
        except (KeyError, IndexError, TypeError) as error:
            raise Unanswered("answered without a text") from error
        if not isinstance(text, str):
            raise Unanswered("answered without a text")
        self._count(None)
        return text

    def _post(self, path: str, body: Body) -> Any:
        with self._lock:
            if self._down is not None:
                raise Silent(self._down)
        try:
            answer = self._exchange(path, body)
        except _NotUnderstood:
            raise
        except Unanswered as error:
            self._count(error)
            raise
        return answer

    def _count(self, error: Unanswered | None) -> None:
        """One more answer or failure; a server that fails again and again is left alone."""
        with self._lock:
            self._failed = 0 if error is None else self._failed + 1
            if error is not None and (self._failed >= _IN_A_ROW or str(error) in _REFUSED.values()):
                self._down = str(error)

    def _exchange(self, path: str, body: Body) -> Any:
        import httpx

        until = time.monotonic() + self._seconds
        said = bytearray()
        asked: Body = {
            "json": {"model": self.name, **body},
            "headers": {"Accept-Encoding": "identity", **_authorization(self._base)},
        }
        try:
            with (
                httpx.Client(timeout=self._seconds) as client,
                client.stream("POST", self._base + path, **asked) as answer,
            ):
                status = answer.status_code
                for block in answer.iter_raw():
                    said += block
                    if len(said) > _MOST_BYTES:
                        raise Unanswered("answered with more than can be an answer")
                    if time.monotonic() > until:
                        raise Silent(f"took longer than {self._seconds:g} seconds")
        except httpx.TimeoutException as error:
            raise Silent(f"took longer than {self._seconds:g} seconds") from error
        except httpx.HTTPError as error:
            raise Silent(f"cannot be reached, or broke off ({type(error).__name__})") from error
        if status in _REFUSED:
            raise Silent(_REFUSED[HTTPStatus(status)])
        if status in _NOT_UNDERSTOOD:
            raise _NotUnderstood(f"does not understand the request (HTTP {status})")
        if status != HTTPStatus.OK:
            raise Silent(f"answered HTTP {status}")
        try:
            return json.loads(said)
        except (ValueError, RecursionError) as error:
            raise Unanswered("answered with something else than JSON") from error


def _base_of(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput(
            f"the address of the served model is {url[:200]!r}; needed is one such as http://localhost:8000"
        )
    if parts.username or parts.password:
        raise InvalidInput(f"leave the key out of the address, where others see it, and set {KEY}")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith('/v1') else path + '/v1'}/"


def _authorization(base: str) -> dict[str, str]:
    key = os.environ.get(KEY, "").strip()
    if not key and urlsplit(base).hostname == _OPENAI:
        key = os.environ.get(_OPENAI_KEY, "").strip()
    return {"Authorization": f"Bearer {key}"} if key.isascii() and key.isprintable() and key else {}


# --- the forms in which one of a few labels is asked for ----------------------------------------------------

_LOGPROBS: Body = {"temperature": 0, "logprobs": True, "top_logprobs": _TOP}
# a model that thinks aloud would spend the one token on that
_ALOUD: Body = {"chat_template_kwargs": {"enable_thinking": False}}
_ONE: Body = {**_LOGPROBS, **_ALOUD, "max_tokens": 1}


def _schema_format(schema: Mapping[str, Any]) -> Body:
    wanted = {"name": "answer", "strict": True, "schema": dict(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": wanted}}


def _by_schema(labels: Sequence[str]) -> Body:
    schema = {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": list(labels)}},
        "required": ["choice"],
        "additionalProperties": False,
    }
    return {**_LOGPROBS, "max_tokens": 24, **_schema_format(schema)}


_FORMS: tuple[Callable[[Sequence[str]], Body], ...] = (
    lambda labels: {**_ONE, "structured_outputs": {"choice": list(labels)}},
    lambda labels: {**_ONE, "guided_choice": list(labels)},
    _by_schema,
    lambda labels: {"temperature": 0, "max_tokens": 8},
    lambda labels: {},
)


def _read_choice(answer: Any, labels: Sequence[str]) -> dict[str, float] | None:
    """The labels' log-probabilities; None where the answer is none of them."""
    try:
        choice = answer["choices"][0]
        said = _label(choice["message"]["content"], labels)
        if said is None:
            return None
        found = _told(choice.get("logprobs"), said, labels)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    if not found:
        rest = (1 - _ONE_HOT) / max(1, len(labels) - 1)
        found = {label: math.log(_ONE_HOT if label == said else rest) for label in labels}
    # some of the labels may not be among the likeliest tokens: they are no likelier than the last of those
    least = min(found.values())
    logs = {label: found.get(label, least) for label in labels}
    top = max(logs.values())
    total = top + math.log(sum(math.exp(log - top) for log in logs.values()))
    return {label: log - total for label, log in logs.items()}


def _label(content: Any, labels: Sequence[str]) -> str | None:
    text = bare(content) if isinstance(content, str) else ""
    if text.startswith("{"):
        text = str(json.loads(text)["choice"])
    return text if text in labels else None


def _told(logprobs: Any, said: str, labels: Sequence[str]) -> dict[str, float]:
    """The labels among the likeliest tokens where the answer's label stands; of two spellings, both count."""
    for place in (logprobs or {}).get("content") or ():
        if str(place["token"]).strip(" \"'") != said:
            continue
        found: dict[str, float] = {}
        for top in (place, *(place.get("top_logprobs") or ())):
            label, log = str(top["token"]).strip(" \"'"), float(top["logprob"])
            if label in labels and math.isfinite(log) and log <= 1e-3:
                found[label] = max(log, found.get(label, -math.inf))
        if len(found) > 1:
            return found
    return {}

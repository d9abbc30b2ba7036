"""What Civitai's REST API answers: pages of items, and the faults that pass.

    page = read_page(response.content)
    page.items, page.next

It reads today's form of a page and that of 2023, and knows nothing of connections.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl

from retrieval.errors import ServiceError

MAX_BODY = 200_000_000

Start = tuple[str, str | int]
"""The query parameter that a following page needs, `cursor` or (older servers) `page`, and its value."""


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        items: what the API returned, unread.
        next: where the following page starts; None at the end.
        total: how many items there are in all, where the API says so.
    """

    items: tuple[Any, ...]
    next: Start | None
    total: int | None = None


class Passing(ServiceError):
    """A fault that may be gone at the next attempt.

    Attributes:
        kind: what happened, in a word or two.
        heavy: whether a smaller page may help.
        retry_after: seconds that the service asks to wait.
    """

    def __init__(self, kind: str, *, heavy: bool = False, retry_after: float | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.heavy = heavy
        self.retry_after = retry_after


class NotFound(ServiceError):
    """The service knows no such model or version."""


def read_page(body: bytes) -> Page:
    """Reads a page as the API writes it, today's form and that of 2023.

    Raises:
        Passing: the body is no such page.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Passing("a body that is no JSON", heavy=True) from error
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise Passing("JSON without items")
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    total = metadata.get("totalItems")
    return Page(
        tuple(items), _next(metadata), total if isinstance(total, int) and total >= len(items) else None
    )


def _next(metadata: Mapping[str, Any]) -> Start | None:
    cursor = metadata.get("nextCursor")
    if isinstance(cursor, str | int) and not isinstance(cursor, bool) and cursor != "":
        return "cursor", cursor
    # some sorts come without a cursor of their own but with a link that has one
    link = metadata.get("nextPage")
    if isinstance(link, str):
        places = dict(parse_qsl(link.partition("?")[2]))
        for name in ("cursor", "page"):
            if places.get(name):
                return name, places[name]
    return None


def read_body(chunks: Iterable[bytes], deadline: float) -> bytes:
    """The whole body.

    Args:
        deadline: on the monotonic clock.

    Raises:
        Passing: it is too long, in time or in bytes.
    """
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY:
            raise Passing(f"a body over {MAX_BODY // 1_000_000} MB", heavy=True)
        if time.monotonic() > deadline:
            # httpx's own limit is for each read, and a drop now and then would never reach it
            raise Passing("no answer in time", heavy=True)
    return bytes(body)


def read_retry_after(text: str) -> float | None:
    """Seconds out of a `Retry-After` header, which holds a number or a date; None for anything else."""
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())

"""A client of Civitai's REST API: pages of models and images, patient with a service that is often busy.

    with Civitai(key=os.environ.get("CIVITAI_API_KEY")) as civitai:
        page = civitai.page("models", {"types": "LORA", "baseModels": "SDXL 1.0"}, limit=100)
        page = civitai.page("models", {"types": "LORA", "baseModels": "SDXL 1.0"}, limit=100, start=page.next)

It keeps to a rate of its own, retries what passes (429, 5xx, Cloudflare's pages, timeouts, cut bodies), asks
for smaller pages when the large ones do not come, and shows the key to no host but the one it was given for.
It knows nothing of what is collected, or where it is kept.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import httpx
import tenacity

from finetune.civitai.pages import NotFound, Page, Passing, Start, read_body, read_page, read_retry_after
from retrieval.errors import InvalidInput, ServiceError

URL = "https://civitai.com/api/v1"
RATE = 2.0
TIMEOUT = 60.0
ATTEMPTS = 8
MAX_PAUSE = 30.0
MAX_RETRY_AFTER = 600.0
SMALLEST_PAGE = 10
_REDIRECTS = 5
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

T = TypeVar("T")


class Exhausted(ServiceError):
    """The service did not answer, however often it was asked."""


class Civitai:
    """Asks for pages, one at a time.

    Attributes:
        faults: how often each passing fault was met.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        key: str | None = None,
        rate: float = RATE,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        first_pause: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: where the API lies.
            key: an API key, sent to the host of `url` alone.
            rate: requests a second, at most; retries count.
            timeout: seconds for a request; Civitai's own edge gives up after about thirty.
            attempts: how often a page is asked for before the service counts as down.
            first_pause: seconds before the second attempt; they double, with jitter, up to half a minute.

        Raises:
            InvalidInput: an address or a key that cannot be used.
        """
        self._base = _read_url(url)
        self._key = _read_key(key, self._base)
        if not rate > 0:
            raise InvalidInput(f"a rate of {rate} requests a second; needed is a number above 0")
        self._spacing = 1 / rate
        self._earliest = 0.0
        self._timeout = timeout
        self._first_pause = first_pause
        self._sleep = sleep
        self._halvings = 0
        self._client = httpx.Client(
            timeout=timeout, headers={"User-Agent": "diffagent-tools", "Accept": "application/json"}
        )
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing),
            stop=tenacity.stop_after_attempt(attempts),
            wait=self._pause,
            before_sleep=self._before_sleep,
            sleep=sleep,
        )
        self.faults: Counter[str] = Counter()

    def page(
        self, path: str, parameters: Mapping[str, str], *, limit: int, start: Start | None = None
    ) -> Page:
        """A page of `models` or `images`.

        Args:
            parameters: sent with every page; of the API's own link to the next page only the place is taken,
                because that link drops parameters such as `withMeta`.
            limit: how many items, at most; fewer are asked for when the service is too slow for as many.
            start: `next` of the page before.

        Raises:
            NotFound: the service knows no such thing.
            Exhausted: it did not answer, however often it was asked.
            ServiceError: it refuses the request.
        """
        address = self._base.copy_with(path=f"{self._base.path.rstrip('/')}/{path}")
        return self._asked(self._page, address, dict(parameters), limit, start)

    def record(self, path: str) -> Mapping[str, Any]:
        """One object, such as `models/4384` or `model-versions/by-hash/SHA256`.

        Raises:
            NotFound, Exhausted, ServiceError: as of `page`.
        """
        address = self._base.copy_with(path=f"{self._base.path.rstrip('/')}/{path}")
        return self._asked(self._record, address)

    def _record(self, address: httpx.URL) -> Mapping[str, Any]:
        try:
            value = json.loads(self._get(address))
        except (ValueError, RecursionError) as error:
            raise Passing("a body that is no JSON") from error
        if not isinstance(value, dict):
            raise Passing("JSON that is no object")
        return value

    def _asked(self, ask: Callable[..., T], *arguments: Any) -> T:
        """What `ask` gives, asked again while faults pass."""
        try:
            return self._retrying(ask, *arguments)
        except tenacity.RetryError as error:
            last = error.last_attempt.exception()
            raise Exhausted(
                f"{self._base.host} did not answer after {error.last_attempt.attempt_number} attempts "
                f"({last}); run the same command again later, it goes on where it stopped"
            ) from last

    def _page(self, address: httpx.URL, parameters: dict[str, str], limit: int, start: Start | None) -> Page:
        size = max(min(limit, SMALLEST_PAGE), limit >> self._halvings)
        query = {**({start[0]: start[1]} if start else {}), **parameters, "limit": size}
        try:
            page = read_page(self._get(address.copy_merge_params(query)))
        except Passing as fault:
            self._halvings += fault.heavy and size > min(limit, SMALLEST_PAGE)
            raise
        self._halvings = max(0, self._halvings - 1)
        return page

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next attempt: what the service asks for, else doubling; always with jitter."""
        fault = state.outcome.exception() if state.outcome else None
        jitter = random.uniform(0, self._first_pause)
        if isinstance(fault, Passing) and fault.retry_after is not None:
            return fault.retry_after + jitter
        return min(MAX_PAUSE, self._first_pause * 2.0 ** (state.attempt_number - 1)) + jitter

    def _before_sleep(self, state: tenacity.RetryCallState) -> None:
        fault = state.outcome.exception() if state.outcome else None
        if not isinstance(fault, Passing):
            return
        self.faults[fault.kind] += 1
        if fault.retry_after is not None and fault.retry_after > MAX_RETRY_AFTER:
            raise Exhausted(
                f"{self._base.host} asks to wait {fault.retry_after:,.0f} seconds ({fault}); run the same "
                "command again then, it goes on where it stopped"
            )

    def _get(self, url: httpx.URL) -> bytes:
        """The body of an answer, redirects followed.

        Redirects are followed here, because the key must not: it goes with a request only where scheme, host
        and port are those it was given for.
        """
        self._wait_for_turn()
        for _ in range(_REDIRECTS):
            own = _origin(url) == _origin(self._base)
            headers = {"Authorization": f"Bearer {self._key}"} if self._key and own else {}
            deadline = time.monotonic() + self._timeout
            try:
                with self._client.stream("GET", url, headers=headers) as response:
                    if not response.has_redirect_location:
                        body = read_body(response.iter_bytes(), deadline)
                        self._check(response, body)
                        return body
                    target = url.join(response.headers["location"])
            except httpx.TimeoutException as error:
                raise Passing("no answer in time", heavy=True) from error
            except (httpx.RequestError, httpx.InvalidURL) as error:
                # the name alone: the texts of these errors may quote a header
                cut = isinstance(error, httpx.ReadError | httpx.RemoteProtocolError | httpx.DecodingError)
                raise Passing(type(error).__name__, heavy=cut) from error
            if target.scheme != "https" and target.scheme != url.scheme:
                raise ServiceError(f"{url.host} redirects to an unsafe address at {target.host}; check --url")
            url = target
        raise ServiceError(f"{self._base.host} redirects in a circle; check --url")

    def _wait_for_turn(self) -> None:
        now = time.monotonic()
        if self._earliest > now:
            self._sleep(self._earliest - now)
        self._earliest = max(now, self._earliest) + self._spacing

    def _check(self, response: httpx.Response, body: bytes) -> None:
        """Raises for every answer that is not JSON with status 200."""
        status = response.status_code
        html = "html" in response.headers.get("content-type", "")
        if status == httpx.codes.OK and not html:
            return
        kind = f"status {status}" + (", a web page instead of JSON" if html else "")
        # a page from Cloudflare comes with 403 or 503, a waiting room even with 200
        if (html and status in (200, 403)) or status in (408, 425, 429) or status >= 500:
            # 504, 520, 522 and 524 are what the edge says when the service behind it is too slow
            heavy = status in (502, 504, 520, 522, 524)
            raise Passing(
                kind, heavy=heavy, retry_after=read_retry_after(response.headers.get("retry-after", ""))
            )
        words = self._words(body)
        if status == httpx.codes.NOT_FOUND:
            raise NotFound(f"{response.url.path} does not exist on {response.url.host}{words}; check --url")
        if status in (401, 403):
            raise ServiceError(
                f"{response.url.host} refuses access (status {status}{words}); check CIVITAI_API_KEY"
            )
        raise ServiceError(
            f"{response.url.host} refuses the query (status {status}{words}); change the query"
        )

    def _words(self, body: bytes) -> str:
        """What the service says of a refusal, without the key should it repeat it."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return ""
        said = (value.get("error") or value.get("message")) if isinstance(value, dict) else None
        text = " ".join(str(said or "").split())
        return f": {text.replace(self._key, '***') if self._key else text}"[:300] if text else ""

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _read_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise InvalidInput(f"{text[:200]!r} is no web address; give one such as {URL}") from error
    if url.scheme not in ("http", "https") or not url.host or url.query or url.userinfo or url.fragment:
        # not quoted: a key may stand in it
        raise InvalidInput(
            f"the address must be like {URL}, without a query or a password; a key belongs in CIVITAI_API_KEY"
        )
    return url


def _read_key(key: str | None, url: httpx.URL) -> str | None:
    key = (key or "").strip()
    if not key:
        return None
    if not key.isascii() or not key.isprintable() or " " in key:
        # httpx would quote it in its own error
        raise InvalidInput("CIVITAI_API_KEY holds other characters than a key's; copy it again")
    if url.scheme != "https" and url.host not in _LOOPBACK:
        raise InvalidInput(
            f"CIVITAI_API_KEY would go to {url.host} unencrypted; give an https address, or unset the key"
        )
    return key

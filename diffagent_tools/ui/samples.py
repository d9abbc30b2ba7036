"""A model's sample pictures on Civitai, for somebody who asked to see them.

    SamplePictures().of(128713)        # JPEGs of at most 320 pixels a side, four of them or fewer

The server asks, not the browser: the page's policy stays as narrow as it was, and Civitai learns nothing of
the browser. Only pictures that Civitai rates safe for everybody are fetched, from its own hosts alone, and
what comes is decoded and written anew.
"""

import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from diffagent_tools.files.fetch import SITE
from retrieval.errors import FetchError
from retrieval.records.model import SAFE

if TYPE_CHECKING:
    import httpx

MOST = 4
SIDE = 320
"""pixels"""
_MOST_BYTES = 8_000_000
_SECONDS = 15.0
_REDIRECTS = 3
_WIDTH = re.compile(r"/(?:width=\d+|original=true)(?=/)")


class SamplePictures:
    """Fetches them; safe for many threads.

    Args:
        transport: how requests are sent; tests pass their own.
    """

    def __init__(self, transport: "httpx.BaseTransport | None" = None) -> None:
        self._transport = transport

    def of(self, version_id: int) -> list[bytes]:
        """The first safe pictures of a version as JPEGs; those that cannot be shown are passed over.

        Raises:
            FetchError: Civitai cannot be asked, or does not know the version.
        """
        import httpx

        found: list[bytes] = []
        with httpx.Client(transport=self._transport, timeout=_SECONDS) as client:
            try:
                answer = json.loads(_get(client, f"{SITE}/api/v1/model-versions/{version_id}"))
            except (ValueError, RecursionError) as error:
                raise FetchError("Civitai's answer cannot be read; try again later") from error
            for address in _safe(answer):
                try:
                    picture = _small(_get(client, address))
                except FetchError:
                    continue
                if picture is not None:
                    found.append(picture)
                if len(found) == MOST:
                    break
        return found


def _safe(answer: Any) -> Iterator[str]:
    """The addresses of the pictures that are rated safe, and of a size that is soon here."""
    listed = answer.get("images") if isinstance(answer, Mapping) else None
    for image in listed if isinstance(listed, list) else []:
        if not isinstance(image, Mapping) or image.get("type", "image") != "image":
            continue
        # a level in newer answers, a word in older ones; what is not rated is not shown
        if image.get("nsfwLevel", image.get("nsfw")) not in (SAFE, "None") or image.get("nsfw") is True:
            continue
        if image.get("poi") or image.get("minor"):
            continue
        address = image.get("url")
        if isinstance(address, str) and _is_civitai(address):
            yield _WIDTH.sub(f"/width={SIDE}", address, count=1)


def _is_civitai(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    own = host == "civitai.com" or host.endswith(".civitai.com")
    return parts.scheme == "https" and own and port in (None, 443)


def _get(client: "httpx.Client", address: str) -> bytes:
    """What lies at an address of Civitai's."""
    import httpx

    try:
        for _ in range(_REDIRECTS + 1):
            with client.stream("GET", address, follow_redirects=False) as response:
                if response.has_redirect_location:
                    address = urljoin(address, response.headers["location"])
                    if not _is_civitai(address):
                        raise FetchError("Civitai points to another site, which is not asked")
                    continue
                if response.status_code != 200:
                    raise FetchError(f"Civitai answered {response.status_code}; try again later")
                content = bytearray()
                for block in response.iter_bytes():
                    content += block
                    if len(content) > _MOST_BYTES:
                        raise FetchError("Civitai's answer is too long")
                return bytes(content)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        told = type(error).__name__
        raise FetchError(f"Civitai cannot be reached ({told}); is there a network? Try again later") from None
    raise FetchError("Civitai redirects in a circle; try again later")


def _small(content: bytes) -> bytes | None:
    """The picture alone, without what else its file holds; None where it is none."""
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as picture:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            shown = picture.convert("RGB")
            shown.thumbnail((SIDE, SIDE))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    shown.info.clear()
    written = io.BytesIO()
    shown.save(written, "JPEG", quality=85)
    return written.getvalue()

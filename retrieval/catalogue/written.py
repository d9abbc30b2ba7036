"""A model as programs write it: what a text points to, and the name, file and hash within it.

    >>> take_apart("SD15/dreamshaper_7.safetensors [ed989d673d]").name
    'dreamshaper_7.safetensors'
    >>> pointer("civitai: 4384 @ 109123")
    Pointer(model_id=4384, version_id=109123, how='air')

A link, an AIR or a hash says which model is meant only where it is the whole text: in prose it may stand
beside any name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from retrieval.catalogue.names import split_version, without_ending
from retrieval.records.air import parse_air
from retrieval.records.model import VersionRecord

MAX_NAME = 300
"""A longer name is no name."""
SHORTEST_DIGEST = 8

_SITE = r"(?:https?://)?(?:www\.)?civitai\.(?:com|red|green)/"
_PAGE = re.compile(
    _SITE
    + r"(?:api/v1/)?models/(?P<id>\d{1,18})(?:@(?P<at>\d{1,18}))?(?:/[^\s?#]*)?(?P<query>\?\S*)?(?:#\S*)?",
    re.IGNORECASE,
)
_DOWNLOAD = re.compile(
    _SITE + r"api/(?:download/models|v1/model-versions)/(?P<id>\d{1,18})(?:/[^\s?#]*)?(?:[?#]\S*)?",
    re.IGNORECASE,
)
_VERSION_QUERY = re.compile(r"modelVersionId=(\d{1,18})", re.IGNORECASE)
_SHORT_AIR = re.compile(
    r"(?:(?:urn:)?(?:air:)?civitai\s?:\s?(?P<model>\d{1,18})(?:\s?@\s?(?P<version>\d{1,18}))?"
    r"|(?P<bare>\d{1,18})\s?@\s?(?P<of>\d{1,18}))",
    re.IGNORECASE,
)
_DIGEST = (
    r"(?:0x|(?:sha-?256|autov[123]|hash)\s?[:=]\s?)?"
    r"(?P<digest>[0-9a-f]{8}|[0-9a-f]{10}|[0-9a-f]{12}|[0-9a-f]{64})"
)
_HASH = re.compile(_DIGEST, re.IGNORECASE)
_TITLE = re.compile(rf"(?P<name>.*\S)\s*\[{_DIGEST}\]", re.IGNORECASE)
_HUB = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co|hf-mirror\.com)/(?:api/models/)?"
    r"(?P<id>[\w.-]{1,96}/[\w.-]{1,96})"
    r"(?:/(?:resolve|blob|raw|tree)/[\w.-]{1,96}(?P<path>/[^\s?#]*)?)?/?(?:[?#]\S*)?",
    re.IGNORECASE,
)
_HUB_URN = re.compile(
    r"(?:hf://|urn:air:\w+:\w+:huggingface:)(?P<id>[\w.-]{1,96}/[\w.-]{1,96})(?:@\S*)?", re.IGNORECASE
)
_HUB_ID = re.compile(r"(?P<id>[\w.-]{1,96}/[\w.-]{1,96})(?::[0-9a-f]{64})?", re.IGNORECASE)
_LORA_TAG = re.compile(
    r"<(?:lora|lyco|hypernet):(?P<name>[^<>\n]{1,300}?)(?::[\w.,=+@-]{0,100}){0,9}>", re.IGNORECASE
)
_PATH = re.compile(r"(?:.*\S)?[/\\](?P<name>[^\s/\\][^/\\]*)")
_LINK = re.compile(r"[a-z][a-z0-9+.-]{0,20}://\S+|urn:\S+", re.IGNORECASE)
_QUOTES = "\"'`“”«»"
_NUMBER = re.compile(r"(?<!\d)\d+(?:[._]\d+)*(?:b\d+)?")
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Pointer:
    """The ids of an AIR or of an address on Civitai; `how` says which of the two."""

    model_id: int | None
    version_id: int | None
    how: Literal["air", "url"]


@dataclass(frozen=True)
class WrittenName:
    """`whole` is without tag and hash, `name` also without folders. `digest` (upper case) and `hub_id`
    (`owner/name`) are empty where there is none."""

    whole: str
    name: str
    digest: str = ""
    hub_id: str = ""


def pointer(text: str) -> Pointer | None:
    """What the whole text points to as an AIR, short or long, or as an address on Civitai."""
    air = parse_air(text)
    if air is not None:
        return Pointer(air.model_id, air.version_id, "air")
    text = text.strip().strip("<>")
    if short := _SHORT_AIR.fullmatch(text):
        version = short["version"] or short["of"]
        return Pointer(int(short["model"] or short["bare"]), int(version) if version else None, "air")
    if download := _DOWNLOAD.fullmatch(text):
        return Pointer(None, int(download["id"]), "url")
    if page := _PAGE.fullmatch(text):
        query = _VERSION_QUERY.search(page["query"] or "")
        version = query[1] if query else page["at"]
        return Pointer(int(page["id"]), int(version) if version else None, "url")
    return None


def digest_of(text: str) -> str:
    """The hash that the whole text is, in upper case without a prefix; empty if it is none."""
    found = _HASH.fullmatch(text.strip())
    return found["digest"].upper() if found else ""


def is_address(text: str) -> bool:
    """Whether the whole text is a link, an AIR or a hash: it is then no name that could be misspelled."""
    text = text.strip()
    return bool(pointer(text) or _LINK.fullmatch(text) or digest_of(text))


def take_apart(text: str) -> WrittenName:
    """The name in a text that is one, as A1111, ComfyUI, Civitai and Hugging Face write it."""
    text = text.strip().strip(_QUOTES).strip()
    if tag := _LORA_TAG.fullmatch(text):
        text = tag["name"].strip()
    digest = ""
    if title := _TITLE.fullmatch(text):
        text, digest = title["name"], title["digest"].upper()
    link = _HUB.fullmatch(text)
    if link is not None:
        path = unquote((link["path"] or "").rpartition("/")[2])
        return WrittenName(text, path or link["id"].partition("/")[2], digest, link["id"])
    hub = _HUB_URN.fullmatch(text) or _HUB_ID.fullmatch(text)
    if hub is not None:
        return WrittenName(text, hub["id"].partition("/")[2], digest, hub["id"])
    path_ = _PATH.fullmatch(text)
    return WrittenName(text, path_["name"].strip() if path_ else text, digest)


def core_name(text: str) -> str:
    """What of a text can be a misspelled name: no folder, owner, hash, file ending; empty for an address."""
    if is_address(text):
        return ""
    return without_ending(take_apart(text).name)


def file_key(text: str, length: int = 20) -> str:
    """How Civitai writes a name into the name of a file, in lower case: its Latin letters and digits, whole
    words of at most `length`.

    >>> file_key("Pastel-Mix [Stylized Anime Model]")
    'pastelmixstylizedanime'
    """
    parts = re.sub(r"[^a-z0-9]", "_", text.strip().replace("'", "").casefold())
    most = length + parts.count("_")
    if len(parts) > most:
        cut = parts[:most]
        parts = cut if parts[most] == "_" else cut.rpartition("_")[0] or cut
    return parts.replace("_", "")


def said_version(name: str, record_name: str, versions: Sequence[VersionRecord]) -> tuple[int | None, str]:
    """The version that a name says behind the model's: its id, or the words that no version answers to.

    Args:
        name: as it was written, folders and hash taken away.
        record_name: the model's own name; a version in it is one that exists.

    Returns:
        An id and an empty text; or None and what is not known, empty where nothing is said of a version.
    """
    behind = split_version(name)[1]
    numbers = _numbers(behind)
    words = _words(behind)
    if not versions or not (numbers or "inpainting" in words):
        return None, ""
    known = [(version, _numbers(version.version), _words(version.version)) for version in versions]
    fitting = [each for each in known if not numbers or each[1] & numbers]
    if "inpainting" in words:
        fitting = [each for each in fitting if "inpainting" in each[2]] or fitting
    if not numbers and len(fitting) == len(known):
        return None, ""
    if fitting:
        best = max(
            fitting,
            key=lambda each: (_agreement(words, each[2]), max(map(len, each[1] & numbers), default=0)),
        )
        return best[0].version_id, ""
    if numbers & _numbers(record_name) or not any(each[1] for each in known):
        return None, ""
    return None, behind


def _agreement(said: set[str], known: set[str]) -> tuple[bool, int, int]:
    """How well the words behind a version's number agree."""
    return ("inpainting" in said) == ("inpainting" in known), len(said & known), -len(known - said)


def _numbers(text: str) -> set[str]:
    """The version numbers of a text without dots: `v3.0` is `30` in a file's name and `3` for short."""
    found: set[str] = set()
    for number in _NUMBER.findall(_without_precision(text.casefold())):
        short = re.sub(r"(?:[._]0+)+$", "", number)
        found |= {re.sub(r"[._]", "", number), re.sub(r"[._]", "", short)}
    return found


def _words(text: str) -> set[str]:
    text = text.casefold().replace("bakedvae", "baked vae").replace("novae", "no vae")
    words = set(_WORD.findall(text))
    return words | {"inpainting"} if words & {"inpaint", "inp"} else words


def _without_precision(text: str) -> str:
    return re.sub(r"(?:fp?|bf)(?:8|16|32)(?:_e\dm\d\w*)?|q\d[_a-z0-9]*|nf4", " ", text)


def version_file_key(name: str, version: str) -> str:
    """As `file_key`, of a version: Civitai leaves the model's own name out of it."""
    return file_key(re.sub(re.escape(name), "", version, flags=re.IGNORECASE))

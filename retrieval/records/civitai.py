"""Civitai's objects as typed records, whether the API of 2023 or today's wrote them.

    model = read_model(json.loads(line))          # an object of GET /api/v1/models/{id}
    [version.base_model for version in model.versions]
    for image in images_of(json.loads(line)):     # the images that lie inside the versions
        image.meta

What has changed since 2023: `rating` and `favoriteCount` became thumbs; NSFW is a flag, a word or a level in
bits; `allowCommercialUse` is a word, a list, or a set in braces; early access is a number of days or a date.
What is missing or of the wrong type is None, never a guess. These records say what was found; what is
dropped for it is the matter of finetune/dabench/model_rules.py.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from retrieval.records.border import MAX_ID
from retrieval.records.inert import one_line
from retrieval.records.model import CommercialUse

_LEVELS = {
    **{"none": 1, "pg": 1, "soft": 2, "pg13": 2, "pg-13": 2, "mature": 4, "r": 4},
    **{"x": 8, "xxx": 16, "blocked": 32},
}
BLOCKED = 32
# of July 2023: one word, each allowing what stands behind it
_COMMERCIAL_WORDS: dict[str, tuple[CommercialUse, ...]] = {
    "None": (),
    "Image": ("Image",),
    "Rent": ("Image", "Rent"),
    "Sell": ("Image", "Rent", "Sell"),
    "RentCivit": ("RentCivit",),
}
_USES = ("Image", "Rent", "RentCivit", "Sell")
_VIDEO_ENDINGS = (".mp4", ".webm", ".mov", ".mkv")
_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]{6,128})")
_STARS = 5
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ApiFile:
    """A file of a version; `hashes` by the names AUTOV1, AUTOV2, SHA256, …, in upper case without `0x`."""

    name: str
    kind: str | None
    format: str | None
    pickle_scan: str | None
    virus_scan: str | None
    url: str | None
    hashes: Mapping[str, str]

    @property
    def is_safetensors(self) -> bool:
        """By the format that the API says, by the name where it says none."""
        if self.format is None:
            return self.name.casefold().endswith(".safetensors")
        return self.format.casefold() == "safetensor"

    @property
    def is_clean(self) -> bool:
        """Scanned for viruses and, where it could hold code, for what it would run; nothing was found."""
        scans = (self.virus_scan,) if self.is_safetensors else (self.virus_scan, self.pickle_scan)
        found_bad = self.pickle_scan is not None and self.pickle_scan.casefold() == "danger"
        return not found_bad and all(scan is not None and scan.casefold() == "success" for scan in scans)


@dataclass(frozen=True, slots=True)
class Votes:
    """What users thought: counts, and the share of approval in [0, 1]; None where the API gave nothing."""

    downloads: int | None = None
    favorites: int | None = None
    comments: int | None = None
    rating_count: int | None = None
    rating: float | None = None
    thumbs_up: int | None = None
    thumbs_down: int | None = None

    @property
    def count(self) -> int:
        """Of the votes: thumbs, and ratings where there are no thumbs."""
        thumbs = (self.thumbs_up or 0) + (self.thumbs_down or 0)
        return thumbs or self.rating_count or 0

    @property
    def approval(self) -> float | None:
        """The share of thumbs that point up, else the rating of five stars."""
        thumbs = (self.thumbs_up or 0) + (self.thumbs_down or 0)
        if thumbs:
            return (self.thumbs_up or 0) / thumbs
        return self.rating / _STARS if self.rating is not None and self.rating_count else None


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """One version. `level` is Civitai's browsing level, the bits of what its images show, taken from these
    images where the API does not say it. Dates are ISO text as given."""

    id: int
    name: str
    base_model: str | None
    base_model_kind: str | None
    trained_words: tuple[str, ...]
    files: tuple[ApiFile, ...]
    level: int | None
    availability: str | None
    status: str | None
    usage: str | None
    created: str | None
    published: str | None
    early_access_days: int
    early_access_ends: str | None
    votes: Votes


@dataclass(frozen=True, slots=True)
class ApiModel:
    """One model; versions newest first, as the API lists them."""

    id: int
    name: str
    type: str | None
    description: str
    tags: tuple[str, ...]
    creator: str | None
    nsfw: bool | None
    level: int | None
    poi: bool | None
    minor: bool | None
    mode: str | None
    availability: str | None
    commercial_use: tuple[CommercialUse, ...] | None
    allow_no_credit: bool | None
    allow_derivatives: bool | None
    votes: Votes
    versions: tuple[ApiVersion, ...]


@dataclass(frozen=True, slots=True)
class ApiImage:
    """One sample image of a version; `key` is its number, or its address where it has none. `is_video`: it
    moves, and its metadata are those of no picture."""

    key: int | str
    model_id: int | None
    version_id: int | None
    level: int | None
    poi: bool | None
    minor: bool | None
    meta: object
    is_video: bool = False


def read_model(raw: object) -> ApiModel | None:
    """The model; None if it is no object with a number and a name."""
    if not isinstance(raw, Mapping):
        return None
    number, name = whole(raw.get("id")), text(raw.get("name"))
    if number is None or name is None:
        return None
    creator = raw.get("creator")
    return ApiModel(
        id=number,
        name=name,
        type=text(raw.get("type")),
        description=text(raw.get("description")) or "",
        tags=_tags(raw.get("tags")),
        creator=text(creator.get("username")) if isinstance(creator, Mapping) else None,
        nsfw=_nsfw_flag(raw.get("nsfw")),
        level=level_of(raw.get("nsfwLevel")),
        poi=_flag(raw.get("poi")),
        minor=_flag(raw.get("minor")),
        mode=text(raw.get("mode")),
        availability=text(raw.get("availability")),
        commercial_use=commercial_use(raw.get("allowCommercialUse")),
        allow_no_credit=_flag(raw.get("allowNoCredit")),
        allow_derivatives=_flag(raw.get("allowDerivatives")),
        votes=votes_of(raw.get("stats")),
        versions=tuple(version for item in _items(raw, "modelVersions") if (version := _version(item))),
    )


def images_of(raw: Json) -> Iterator[ApiImage]:
    """The images inside the versions of a model's object."""
    model_id = whole(raw.get("id"))
    for version in _items(raw, "modelVersions"):
        version_id = whole(version.get("id"))
        listed = version.get("images")
        for image in listed if isinstance(listed, list) else ():
            # what is no object is an image of which nothing is known, so that it is counted
            yield _image(image if isinstance(image, Mapping) else {}, model_id, version_id)


def read_image(raw: Json) -> ApiImage:
    """An object of GET /api/v1/images, with the version whose images were asked for if it says that."""
    asked = raw.get("collectedFor")
    of = asked if isinstance(asked, Mapping) else raw
    version_id = whole(of.get("modelVersionId"))
    listed = raw.get("modelVersionIds")
    if version_id is None and isinstance(listed, list) and len(listed) == 1:
        version_id = whole(listed[0])
    return _image(raw, whole(of.get("modelId")), version_id)


def newest_date(raw: Json) -> str:
    """The latest date in a model's object: when a collection was made, nothing in it is younger."""
    dates = [""]
    for version in _items(raw, "modelVersions"):
        dates += [text(version.get(key)) or "" for key in ("createdAt", "updatedAt", "publishedAt")]
        dates += [text(file.get("scannedAt")) or "" for file in _items(version, "files")]
    return max(dates)


def level_of(value: object) -> int | None:
    """The browsing level in bits (1 PG, 2 PG-13, 4 R, 8 X, 16 XXX, 32 blocked) of a number, word or flag.

    0 is what Civitai says of what nobody has rated. A word that is none of Civitai's counts as blocked, and
    so does a number that has no such bits.
    """
    if isinstance(value, bool):
        return 8 if value else 1
    if isinstance(value, int):
        return value if 0 <= value <= MAX_ID else BLOCKED
    if isinstance(value, str) and value.strip():
        return _LEVELS.get(value.strip().casefold(), BLOCKED)
    return None


def commercial_use(value: object) -> tuple[CommercialUse, ...] | None:
    """What the licence allows; None where nothing, or nothing known, is said.

    A single word is of 2023 and allows what stands behind it; lists and sets (`{Image,RentCivit}`) name each
    use.
    """
    if isinstance(value, str):
        word = value.strip()
        if word in _COMMERCIAL_WORDS:
            return _COMMERCIAL_WORDS[word]
        if not (word.startswith("{") and word.endswith("}")):
            return None
        value = [part.strip(' "') for part in word[1:-1].split(",") if part.strip(' "')]
    if not isinstance(value, list | tuple):
        return None
    named = [use for use in _USES if use in value]
    nothing = all(use == "None" for use in value)
    return cast("tuple[CommercialUse, ...]", tuple(named)) if named or nothing else None


def hash_text(value: object) -> str | None:
    """A hash in upper case without `0x`; None if it is none."""
    match = _HEX.fullmatch(value.strip()) if isinstance(value, str) else None
    return match[1].upper() if match else None


def whole(value: object) -> int | None:
    """A whole number that records can hold, also where it is written as text."""
    if isinstance(value, bool):
        return None
    written = isinstance(value, str) and value.strip().isdecimal() and len(value) < 20
    if written or (isinstance(value, float) and value.is_integer()):
        value = int(value)  # type: ignore[call-overload]  # it is text or a number
    return value if isinstance(value, int) and abs(value) <= MAX_ID else None


def text(value: object) -> str | None:
    """Text that says something, as it is; hidden characters alone say nothing."""
    return value if isinstance(value, str) and one_line(value).strip() else None


def _items(holder: Json, key: str) -> list[Json]:
    found = holder.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _nsfw_flag(value: object) -> bool | None:
    level = level_of(value)
    return None if level is None else level > 1


def _tags(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    names = (item.get("name") if isinstance(item, Mapping) else item for item in value)
    return tuple(name for name in names if isinstance(name, str) and name.strip())


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_ID:
        return None
    return float(value)


def votes_of(stats: object) -> Votes:
    """The counts in an object of the API; none where it has none, or one that counts nothing."""
    if not isinstance(stats, Mapping):
        return Votes()

    def count(name: str) -> int | None:
        value = whole(stats.get(name))
        return value if value is not None and 0 <= value <= MAX_ID else None

    rating = _number(stats.get("rating"))
    return Votes(
        downloads=count("downloadCount"),
        favorites=count("favoriteCount"),
        comments=count("commentCount"),
        rating_count=count("ratingCount"),
        # NaN, which compares with nothing, is none either
        rating=rating if rating is not None and 0 <= rating <= _STARS else None,
        thumbs_up=count("thumbsUpCount"),
        thumbs_down=count("thumbsDownCount"),
    )


def _version(raw: Json) -> ApiVersion | None:
    number = whole(raw.get("id"))
    if number is None:
        return None
    words = raw.get("trainedWords")
    return ApiVersion(
        id=number,
        name=text(raw.get("name")) or "",
        base_model=text(raw.get("baseModel")),
        base_model_kind=text(raw.get("baseModelType")),
        trained_words=tuple(word for word in words if text(word)) if isinstance(words, list) else (),
        files=tuple(_file(file) for file in _items(raw, "files")),
        level=_version_level(raw),
        availability=text(raw.get("availability")),
        status=text(raw.get("status")),
        usage=text(raw.get("usageControl")),
        created=text(raw.get("createdAt")),
        published=text(raw.get("publishedAt")),
        early_access_days=whole(raw.get("earlyAccessTimeFrame")) or 0,
        early_access_ends=text(raw.get("earlyAccessEndsAt")) or text(raw.get("earlyAccessDeadline")),
        votes=votes_of(raw.get("stats")),
    )


def _version_level(raw: Json) -> int | None:
    given = level_of(raw.get("nsfwLevel"))
    if given is not None:
        return given
    levels = [level for image in _items(raw, "images") if (level := _image_level(image)) is not None]
    shown = 0
    for level in levels:
        shown |= level
    return shown if levels else None


def _file(raw: Json) -> ApiFile:
    metadata, hashes = raw.get("metadata"), raw.get("hashes")
    read = (
        {key.upper(): hash_text(value) for key, value in hashes.items()} if isinstance(hashes, dict) else {}
    )
    return ApiFile(
        name=text(raw.get("name")) or "",
        kind=text(raw.get("type")),
        format=text(metadata.get("format")) if isinstance(metadata, Mapping) else None,
        pickle_scan=text(raw.get("pickleScanResult")),
        virus_scan=text(raw.get("virusScanResult")),
        url=text(raw.get("downloadUrl")),
        hashes={key: value for key, value in read.items() if value is not None},
    )


def _image_level(raw: Json) -> int | None:
    """The strictest of the three fields that have held it."""
    levels = [level_of(raw.get(key)) for key in ("nsfwLevel", "browsingLevel", "nsfw")]
    known = [level for level in levels if level is not None]
    return max(known) if known else None


def _is_video(raw: Json) -> bool:
    """By its type, which the API has said since 2024, or by the ending of its address."""
    said = text(raw.get("type")) or text(raw.get("mimeType")) or ""
    address = (text(raw.get("url")) or "")[-2_000:].partition("?")[0]
    return said.casefold().startswith("video") or address.casefold().endswith(_VIDEO_ENDINGS)


def _image(raw: Json, model_id: int | None, version_id: int | None) -> ApiImage:
    key = whole(raw.get("id"))
    meta = next((raw[name] for name in ("meta", "infotext", "parameters") if raw.get(name)), None)
    return ApiImage(
        key=key if key is not None else text(raw.get("url")) or text(raw.get("hash")) or "",
        model_id=model_id,
        version_id=version_id,
        level=_image_level(raw),
        poi=_flag(raw.get("poi")),
        minor=_flag(raw.get("minor")),
        meta=meta,
        is_video=_is_video(raw),
    )

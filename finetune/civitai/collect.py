"""Collects models and their sample images from Civitai into a raw store; killed at any moment, it goes on.

    with Civitai() as civitai, RawStore.open(Path("raw"), query.to_wire()) as store:
        Collector(civitai, store, query).run()

First the models: one listing for each type and base model, between which a limit is shared. Then the images
of every version, newest version first, until a model has as many as wanted. Each page and the place behind
it are committed together. Records are kept as the API writes them.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from finetune.civitai.client import URL, Civitai, Exhausted
from finetune.civitai.pages import NotFound, Page, Start
from finetune.civitai.store import RawStore, read_models

TYPES = ("LORA", "Checkpoint")
BASE_MODELS = ("SD 1.5", "SDXL 1.0")
MODELS_PAGE = 100
IMAGES_PAGE = 100
SMALLEST_IMAGES_PAGE = 10
EMPTY_PAGES = 10

Show = Callable[[str, int, int | None], None]
"""Told what is being collected, how much of it is done, and how much there is where that is known."""


@dataclass(frozen=True)
class Query:
    """What to collect.

    Attributes:
        types: Civitai's model types.
        base_models: base models as Civitai spells them; of other versions no images are fetched.
        limit_models: how many models in all; None is all there are.
        images_per_model: how many images with generation metadata for each model.
        sort: the order of models, which decides when there is a limit.
        image_sort: the order of a version's images.
        nsfw: the strongest level asked for, "None", "Soft", "Mature" or "X".
        url: where the API lies.
    """

    types: tuple[str, ...] = TYPES
    base_models: tuple[str, ...] = BASE_MODELS
    limit_models: int | None = None
    images_per_model: int = 100
    sort: str = "Most Downloaded"
    image_sort: str = "Most Reactions"
    nsfw: str = "None"
    url: str = URL

    def to_wire(self) -> dict[str, Any]:
        """As the store remembers it."""
        return {**asdict(self), "types": list(self.types), "base_models": list(self.base_models)}

    def listings(self) -> list[dict[str, str]]:
        """The parameters of each listing of models.

        One for each pair, because servers have read lists of values in three different ways.
        """
        mature = "false" if self.nsfw == "None" else "true"
        return [
            {"types": kind, "baseModels": base, "sort": self.sort, "period": "AllTime", "nsfw": mature}
            for base in self.base_models
            for kind in self.types
        ]

    def images(self, version: int) -> dict[str, str]:
        """The parameters for a version's images."""
        return {
            "modelVersionId": str(version),
            "withMeta": "true",
            "sort": self.image_sort,
            "period": "AllTime",
            "nsfw": self.nsfw,
        }


@dataclass
class _Listing:
    """How far a listing of models has come."""

    start: Start | None = None
    ended: bool = False
    empty: int = 0


@dataclass
class _Images:
    """How far the images have come: versions done, and the place within the next one."""

    done: int = 0
    start: Start | None = None
    seen: list[int] = field(default_factory=list)
    empty: int = 0
    model: int | None = None
    taken: int = 0


class Collector:
    """One collection, from the place where its store stands to the end."""

    def __init__(self, civitai: Civitai, store: RawStore, query: Query, show: Show | None = None) -> None:
        """Reads the store's place; asks for nothing yet."""
        self._civitai = civitai
        self._store = store
        self._query = query
        self._show = show or (lambda what, done, total: None)
        state: Mapping[str, Any] = store.state or {"listings": [{} for _ in query.listings()]}
        self._listings = [_Listing(**_placed(value)) for value in state["listings"]]
        self._turn: int = state.get("turn", -1)
        self._due: int | None = state.get("due")
        self._images = _Images(**_placed(state["images"])) if state.get("images") else None

    def run(self) -> None:
        """Collects what is missing.

        Raises:
            Exhausted: the service is down; what was collected is kept.
            ServiceError: it refuses the query.
            StorageError: the disk is full or not writable.
        """
        if self._store.finished:
            return
        if self._images is None:
            self._collect_models()
            self._images = _Images()
            self._commit()
        if self._query.images_per_model:
            self._collect_images(self._images)
        self._commit(finished=True)

    def _collect_models(self) -> None:
        seen = {model["id"] for model in read_models(self._store.path)}
        parameters = self._query.listings()
        totals: dict[int, int | None] = {}
        while self._next_turn():
            listing = self._listings[self._turn]
            size = MODELS_PAGE if self._due is None else min(MODELS_PAGE, self._due)
            page = self._civitai.page("models", parameters[self._turn], limit=size, start=listing.start)
            room = len(page.items) if self._due is None else self._due
            fresh = self._fresh("model", page, seen, room)
            self._store.append("models", fresh)
            if self._due is not None:
                self._due -= len(fresh)
            listing.ended = self._advance(listing, page, found=bool(fresh))
            self._commit()
            totals[self._turn] = page.total
            self._show("models", self._store.count("models"), self._total(totals))

    def _next_turn(self) -> bool:
        """Stays with a listing until it has given its share, then goes to the next; False at the end.

        Shares are counted in models and not in pages, so that they come out the same whatever size of pages
        the service can bear.
        """
        live = [number for number, listing in enumerate(self._listings) if not listing.ended]
        limit = self._query.limit_models
        room = None if limit is None else limit - self._store.count("models")
        if not live or room == 0:
            return False
        if self._turn not in live or self._due == 0:
            self._turn = next((number for number in live if number > self._turn), live[0])
            self._due = None if room is None else -(-room // len(live))
        return True

    def _total(self, totals: Mapping[int, int | None]) -> int | None:
        known = [total for total in totals.values() if total is not None]
        whole = sum(known) if len(known) == len(self._listings) else None
        limit = self._query.limit_models
        return min(limit, whole) if limit is not None and whole is not None else limit or whole

    def _fresh(self, what: str, page: Page, seen: set[int], room: int) -> list[dict[str, Any]]:
        """The first records of a page that are new and usable, at most `room`; the others are counted."""
        fresh: list[dict[str, Any]] = []
        for record in page.items:
            if len(fresh) == room:
                break
            reason = reason_against(what, record, seen)
            if reason:
                self._store.dropped[reason] += 1
            else:
                seen.add(record["id"])
                fresh.append(record)
        return fresh

    def _advance(self, place: _Listing | _Images, page: Page, *, found: bool) -> bool:
        """Moves behind a page; True at the end."""
        place.empty = 0 if found else place.empty + 1
        # the API has been seen to name the same place again, and to send empty pages for very long
        ended = page.next is None or page.next == place.start
        if not ended and place.empty >= EMPTY_PAGES:
            self._store.dropped[f"rest of a listing, after {EMPTY_PAGES} pages with nothing new"] += 1
            ended = True
        place.start = page.next
        return ended

    def _plan(self) -> list[tuple[int, int]]:
        """Which versions' images to fetch, model by model; the same whenever it is asked for, because no
        model comes any more."""
        wanted = set(self._query.base_models)
        return [
            (model["id"], version["id"])
            for model in read_models(self._store.path)
            for version in _objects(model.get("modelVersions"))
            if is_id(version.get("id")) and version.get("baseModel") in wanted
        ]

    def _collect_images(self, place: _Images) -> None:
        plan = self._plan()
        self._show("versions", place.done, len(plan))
        while place.done < len(plan):
            model, version = plan[place.done]
            if place.model != model:
                place.model, place.taken = model, 0
            if place.taken < self._query.images_per_model:
                try:
                    self._collect_version(place, model, version)
                except NotFound:
                    self._store.dropped["version that the API no longer knows"] += 1
                except Exhausted:
                    self._skip(version)
            place.done += 1
            place.start, place.seen, place.empty = None, [], 0
            self._commit()
            self._show("versions", place.done, len(plan))

    def _collect_version(self, place: _Images, model: int, version: int) -> None:
        while True:
            room = self._query.images_per_model - place.taken
            # about half of the images come without metadata
            size = min(IMAGES_PAGE, max(SMALLEST_IMAGES_PAGE, 2 * room))
            page = self._civitai.page("images", self._query.images(version), limit=size, start=place.start)
            seen = set(place.seen)
            fresh = self._fresh("image", page, seen, room)
            collected_for = {"modelId": model, "modelVersionId": version}
            self._store.append("images", [{**image, "collectedFor": collected_for} for image in fresh])
            place.taken += len(fresh)
            place.seen = sorted(seen)
            if self._advance(place, page, found=bool(fresh)) or len(fresh) == room:
                return
            self._commit()

    def _skip(self, version: int) -> None:
        """Passes over a version that never answers, provided that the service answers at all."""
        self._civitai.page("models", self._query.listings()[0], limit=1)
        self._store.note(f"the images of version {version} did not come, or not all of them")

    def _commit(self, *, finished: bool = False) -> None:
        state = {
            "listings": [asdict(listing) for listing in self._listings],
            "turn": self._turn,
            "due": self._due,
            "images": asdict(self._images) if self._images else None,
        }
        self._store.commit(state, finished=finished)


def reason_against(what: str, record: Any, seen: set[int]) -> str | None:
    """Why a model or an image is not kept; None when it is."""
    if not isinstance(record, dict):
        return f"{what} that is no object"
    if not is_id(record.get("id")):
        return f"{what} without an id"
    if record["id"] in seen:
        return f"{what} listed twice"
    if what == "image" and not (isinstance(record.get("meta"), dict) and record["meta"]):
        return "image without generation metadata"
    return None


def is_id(value: Any) -> bool:
    """Whether it is a positive whole number."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _placed(value: Mapping[str, Any]) -> dict[str, Any]:
    """A place out of JSON, where a pair is a list."""
    start = value.get("start")
    return {**value, "start": tuple(start) if start else None}

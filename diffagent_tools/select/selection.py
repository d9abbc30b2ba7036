"""What a selector answers: ranked APIs with their evidence, and the protocol every selector follows."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol, Unpack

from pydantic import BaseModel, ConfigDict

from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import Instruction, T2IApi, read_instruction
from retrieval.records.model import RATINGS, SAFE
from retrieval.requests.consent import asks_for_a_likeness
from retrieval.search.filters import FilterWords

Mode = Literal["shortlist", "constrained", "free"]
Request = Instruction | str | Mapping[str, Any]

NO_MODEL = "no model passes these filters; leave some of them out, or let a higher rating pass (max_nsfw)"
NO_LIKENESS = "models that are made to look like a real person are not offered"

_FROZEN = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Evidence(BaseModel):
    """Why a model was chosen.

    `matched_trigger_words` and `name_said`: what of the model the request says; `made_for`: what of the
    request the model is made for (retrieval/search/purpose.py); `all_round`: the request names no style, and
    this is a popular checkpoint for anything; `similarity`: cosine of the
    request and the model's description, in [-1, 1]; `retrieval_score`: the learnt score of all retrieval
    evidence together (a logit, comparable within one request only); `llm_score`: the language model's
    length-normalised log-probability of the name (paper Eq. 7), or the log-probability of the number by which
    a served model chose it, None where none was asked; `said`: in free mode, what the language model wrote,
    before it was read, checked and repaired.
    """

    model_config = _FROZEN

    matched_trigger_words: tuple[str, ...] = ()
    matched_terms: tuple[str, ...] = ()
    made_for: tuple[str, ...] = ()
    name_said: bool = False
    all_round: bool = False
    similarity: float | None = None
    retrieval_score: float | None = None
    llm_score: float | None = None
    said: str | None = None


class InstalledFile(BaseModel):
    """A file that an answer is made with: `name` as ComfyUI and A1111 list it, `path` where it lies, None
    where that is another machine."""

    model_config = _FROZEN

    kind: str
    name: str
    path: str | None = None


class Selection(BaseModel):
    """One ranked answer.

    `score` orders the answers to one request; `confidence` is calibrated, in [0, 1], None where no
    calibration was fitted; `abstained`: nothing fitted the request, and `api` is the family's base model.
    `rating`: the model's browsing level in words, or "not rated"; `max_nsfw`: the highest level that was
    let pass (1, 2, 4, 8 or 16). `may_sell`: whether the licences of the model and of the checkpoint below it
    let images be sold, None where that is not known. `understood`: what of the request is no wish for the
    picture itself, a phrase each: what is refused, a shape, a licence. Chosen among installed models:
    `files`, the model's own first, and `missing`, a line on what would be nearer but is not there.
    """

    # the tools' JSON values say more of an answer, for programs that hold no catalogue
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    api: T2IApi
    score: float
    confidence: float | None = None
    evidence: Evidence = Evidence()
    reason: str
    page_url: str | None = None
    abstained: bool = False
    rating: str | None = None
    max_nsfw: int = SAFE
    may_sell: bool | None = None
    notes: tuple[str, ...] = ()
    understood: tuple[str, ...] = ()
    files: tuple[InstalledFile, ...] = ()
    missing: str | None = None

    @property
    def rating_words(self) -> str | None:
        """The rating and what was let pass, where either is other than safe; None: nothing is to be said."""
        if self.max_nsfw != SAFE:
            return f"{self.rating or RATINGS[None]}; up to {RATINGS[self.max_nsfw]} was asked for"
        return None if self.rating in (None, RATINGS[SAFE]) else self.rating


def consent_notes(request: Instruction) -> tuple[str, ...]:
    """What is said where the likeness of a real person was asked for."""
    return (NO_LIKENESS,) if asks_for_a_likeness(request.prompt) else ()


def answer_wire(found: Sequence[Selection]) -> dict[str, Any]:
    """Ranked answers as one JSON object: the best API with what is said of it, and the APIs of the others."""
    best = found[0]
    wire = {**best.api.to_wire(), "rating": best.rating, "max nsfw": best.max_nsfw}
    wire |= {"abstained": best.abstained, "reason": best.reason, "page url": best.page_url}
    if best.notes:
        wire["notes"] = list(best.notes)
    if best.files:
        wire["files"] = [file.model_dump() for file in best.files]
    if best.missing is not None:
        wire["missing"] = best.missing
    if len(found) > 1:
        wire["alternatives"] = [other.api.to_wire() for other in found[1:]]
    return wire


class BatchItem(BaseModel):
    """The answer to one line of a batch: `ranked` is empty, and `error` says why, where there is none."""

    model_config = _FROZEN

    id: str | int | None = None
    ranked: tuple[Selection, ...] = ()
    error: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """`{"id", "api", "rating", "max nsfw", "abstained", "ranked": [{"model id", "version id", "model",
        "score"}]}`, or
        `{"id", "error", "ranked": []}`."""
        if self.error is not None or not self.ranked:
            return {"id": self.id, "error": self.error or NO_MODEL, "ranked": []}
        files = [file.model_dump() for file in self.ranked[0].files]
        return {
            "id": self.id,
            "api": self.ranked[0].api.to_wire(),
            "rating": self.ranked[0].rating,
            "abstained": self.ranked[0].abstained,
            "max nsfw": self.ranked[0].max_nsfw,
            "ranked": [
                {
                    "model id": selection.api.model_id,
                    "version id": selection.api.version_id,
                    "model": selection.api.model,
                    "score": selection.score,
                }
                for selection in self.ranked
            ],
            **({"files": files} if files else {}),
        }


def answer_each(
    requests: Iterable[Request], answer: Callable[[Instruction], list[Selection]]
) -> Iterator[BatchItem]:
    """What `Selector.select_batch` promises, out of the answer to one request."""
    for place, request in enumerate(requests):
        name: str | int | None = place
        if isinstance(request, Mapping):
            name = request.get("id", place)
            request = {key: value for key, value in request.items() if key != "id"}
        try:
            ranked = answer(read_instruction(request))
        except InvalidInput as error:
            yield BatchItem(id=name, error=str(error))
        else:
            yield BatchItem(id=name, ranked=tuple(ranked))


class Selector(Protocol):
    """Chooses models for requests, from its catalogue; thread-safe."""

    @property
    def catalogue(self) -> Catalogue: ...

    def select(
        self,
        instruction: Request,
        *,
        k: int = 1,
        **words: Unpack[FilterWords],
    ) -> list[Selection]:
        """The best `k` models that pass the filters (see `FilterWords`), best first.

        Raises:
            InvalidInstruction: the request is empty, too long or not text.
            RequestRefused: it is for sexual content with minors.
            UnknownBaseModel: `base_model` is of no known family.
            InvalidInput: another filter is not a known value, or k is below 1.
        """
        ...

    async def aselect(
        self, instruction: Request, *, k: int = 1, **words: Unpack[FilterWords]
    ) -> list[Selection]:
        """As `select`, without holding up the event loop."""
        ...

    def select_batch(
        self, requests: Iterable[Request], *, k: int = 1, **words: Unpack[FilterWords]
    ) -> Iterator[BatchItem]:
        """As `select` for each request in order; one that cannot be used gives an item with its error, and
        the run goes on. A mapping's `id` is kept, else the request's place in the batch is its id."""
        ...


class InThread:
    """Gives `aselect` to whoever has `select`."""

    async def aselect(
        self: Selector, instruction: Request, *, k: int = 1, **words: Unpack[FilterWords]
    ) -> list[Selection]:
        """As `select`, in a worker thread."""
        return await asyncio.to_thread(partial(self.select, instruction, k=k, **words))

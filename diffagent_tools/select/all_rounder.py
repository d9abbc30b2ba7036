"""What is called where nothing in the catalogue is made for a request."""

from dataclasses import replace
from typing import Any

from diffagent_tools.select.reasons import is_all_round
from diffagent_tools.select.selection import Selection, consent_notes
from retrieval.calls.base_checkpoint import family_default
from retrieval.calls.compose import api_for, default_api
from retrieval.calls.licence import may_sell
from retrieval.calls.limits import adjust
from retrieval.calls.shape import shaped
from retrieval.errors import UnknownBaseModel, UnknownModel
from retrieval.records.api import T2IApi
from retrieval.records.model import SAFE
from retrieval.search.filters import Ask
from retrieval.search.ranker import Ranker
from retrieval.tables.families import DEFAULT_FAMILY

_LOOKED_THROUGH = 200


def all_rounder(ranker: Ranker, ask: Ask, reason: str) -> list[Selection]:
    """A popular all-round checkpoint; where there is none, the family's base model with default
    parameters, as the paper falls back (section 4.1).

    Nothing where the catalogue has neither or the filters let none pass. The type does not count:
    something must be called.
    """
    request, wanted = ask.instruction, replace(ask.wanted, type=None)
    ranking = ranker.rank(ask.evidence, wanted, ask.refused, is_sentence=True)
    record = next((each.record for each in ranking.best(_LOOKED_THROUGH) if is_all_round(each)), None)
    if record is None:
        try:
            record = family_default(ranker.catalogue, wanted.family or DEFAULT_FAMILY)
        except (UnknownModel, UnknownBaseModel):  # a family of the user's own catalogue has no base model
            return []
        if not replace(wanted, family=None).passes(record):
            return []
        api = default_api(record, request)
        fallback = "the base model with default parameters"
    else:
        api = api_for(record, request)
        fallback = "a good all-rounder"
    api, notes = as_understood(api, ask, ())
    return [
        Selection(
            api=api,
            score=0.0,
            reason=f"{reason}; this is {fallback}",
            page_url=record.page_url,
            abstained=True,
            rating=record.rating,
            max_nsfw=wanted.max_nsfw or SAFE,
            may_sell=may_sell(api, ranker.catalogue).allowed,
            notes=(*notes, *consent_notes(request)),
            understood=ask.understood.words if ask.understood else (),
        )
    ]


def as_understood(api: T2IApi, ask: Ask, notes: tuple[str, ...]) -> tuple[T2IApi, tuple[str, ...]]:
    """The call at the shape that the request asks for, and with the LoRA weight that it names."""
    found = ask.understood
    if found is None:
        return api, notes
    update: dict[str, Any] = {}
    if found.size or found.ratio or found.shape:
        size = found.size or shaped(api, shape=found.shape, ratio=found.ratio)
        update = dict(zip(("width", "height"), size, strict=True))
    if found.lora_weight is not None and api.lora_weight is not None and api.model_id == found.named:
        update["lora_weight"] = found.lora_weight
    if not update:
        return api, notes
    api, more = adjust(api, **update)
    return api, (*notes, *more)

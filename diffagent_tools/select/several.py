"""Several LoRAs in one call: a style, a subject and a detail, on one checkpoint.

    selection = with_loras(found[0], selector, most=3)
    selection.api.loras, selection.notes

A LoRA comes beside the one that was chosen where the request says something that it is made for and that no
other one of the call is; never two of a kind (kinds.py), all of one family, their weights
scaled to a total. What people used together is counted in retrieval/catalogue/together.py.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Unpack, get_args

from diffagent_tools.select.kinds import Kind, kind_of
from diffagent_tools.select.selection import Selection, Selector
from retrieval.calls.compose import taught, trigger_words, with_trigger, worth_saying
from retrieval.calls.licence import may_sell
from retrieval.calls.limits import DEFAULT_LORA_WEIGHT
from retrieval.catalogue.together import seen_together
from retrieval.errors import InvalidInput
from retrieval.records.api import LoraRef, T2IApi
from retrieval.records.model import ModelRecord
from retrieval.search.filters import FilterWords
from retrieval.search.lexical import matched_triggers
from retrieval.search.purpose import MADE_FOR, WIDE, asked_facets, is_medium, strengths
from retrieval.search.terms import squash, words
from retrieval.tables.facets import facets

MOST = 3
MOST_WEIGHT = 1.5
"""of all LoRAs of a call together: more of them at full strength break the picture"""
_LEAST_WEIGHT = 0.05
_LOOKED_AT, _PARTS = 40, 8
_ITS_TRIGGER_SAID, _TRIGGER_SAID, _NAME_SAID = 0.95, 0.8, 0.85
_SHORTEST_PLURAL, _SHORTEST_PAIR = 3, 8
_FIRST = 0.1  # what it is worth that the ranker puts one first
_FEW_TRIGGERS, _OWN_TRIGGERS = 3, 5
# words between which a request names one thing after the other
_BETWEEN = re.compile(
    r"[,.;:\n]|\b(?:with|in|on|at|by|of|and|wearing|holding|made|near|under|inside|against)\b", re.IGNORECASE
)
_EMPTY = (
    "a an the of in on at with and or by for to from is are as it its style art lora model picture image made"
)
_SILENT = frozenset(_EMPTY.split())


@dataclass(frozen=True)
class _Companion:
    """A LoRA that would come beside: what of the request it is for, word by word, and how surely."""

    selection: Selection
    record: ModelRecord
    kind: Kind
    claims: frozenset[str]
    worth: float


def require_loras(loras: int) -> int:
    """How many LoRAs a call may have.

    Raises:
        InvalidInput: it is not 1 to `MOST`.
    """
    if not 1 <= loras <= MOST:
        raise InvalidInput(f"{loras} LoRAs are asked for; a call has 1 to {MOST}")
    return loras


def with_loras(
    first: Selection, selector: Selector, most: int = MOST, **asked: Unpack[FilterWords]
) -> Selection:
    """The answer with up to `most` LoRAs in all, its own counted; as it is where the request needs no more.

    Args:
        asked: the filters, which hold for every LoRA.

    Raises:
        InvalidInput: `most` is not 1 to `MOST`; and whatever the selector raises.
    """
    room = require_loras(most) - (first.api.type == "LORA")
    if room < 1 or first.abstained or first.api.model_id not in selector.catalogue:
        return first
    prompt = _wish(first.api)
    record = selector.catalogue.get(first.api.model_id or 0)
    claimed = set(_claims(record, prompt)[0])
    # a checkpoint that is made for the style is the style
    styled = any(
        claimed & set(words(phrase)) for facet, phrase in asked_facets(prompt).items() if _is_style(facet)
    )
    taken_kinds: set[Kind] = {kind_of(record)} if record.type == "LORA" else {"style"} if styled else set()
    chosen: list[_Companion] = []
    pool = list(_pool(first, prompt, selector, asked))
    while len(chosen) < room:
        open_ = [each for each in pool if each.kind not in taken_kinds and each.claims - claimed]
        if not open_:
            break
        best = max(
            open_, key=lambda each: (len(each.claims - claimed) > 1, each.worth, -each.record.model_id)
        )
        chosen.append(best)
        taken_kinds.add(best.kind)
        claimed |= best.claims
    order = get_args(Kind)
    return (
        _together(first, sorted(chosen, key=lambda each: order.index(each.kind)), selector)
        if chosen
        else first
    )


def _wish(api: T2IApi) -> str:
    """The request without what it refuses, and without the trigger words that were put before it."""
    prompt = api.prompt
    for trigger in api.trigger_words:
        prompt = prompt.removeprefix(f"{trigger}, ")
    return prompt


def _pool(first: Selection, prompt: str, selector: Selector, asked: FilterWords) -> Iterable[_Companion]:
    """The LoRAs of the call's family that something in the request points at."""
    filters: FilterWords = {**asked, "type": "LORA", "base_model": first.api.base_model}
    parts = [part.strip() for part in _BETWEEN.split(prompt) if words(part)][:_PARTS]
    found: dict[int, Selection] = {}
    ranks: dict[int, int] = {}
    for part in (prompt, *parts):
        try:
            ranked = selector.select(part, k=_LOOKED_AT, **filters)
        except InvalidInput:  # a part of a request may be no request
            continue
        for rank, each in enumerate(ranked):
            model_id = each.api.model_id
            if each.api.type == "LORA" and model_id is not None and not each.abstained:
                found.setdefault(model_id, each)
                ranks[model_id] = min(rank, ranks.get(model_id, rank))
    for model_id, selection in found.items():
        if model_id == first.api.model_id or selection.api.base_model != first.api.base_model:
            continue
        record = selector.catalogue.get(model_id)
        claims, surely = _claims(record, prompt)
        if claims and not _unasked(record, prompt):
            worth = surely + _FIRST / (1 + ranks[model_id]) + _popularity(record)
            yield _Companion(selection, record, _role(record, prompt, claims), claims, worth)


def _claims(record: ModelRecord, prompt: str) -> tuple[frozenset[str], float]:
    """The words of a request that a model is evidently for, and how surely, in [0, 1]."""
    spoken = words(prompt)
    own = set(words(" ".join((record.model, *record.trigger_words[:_OWN_TRIGGERS]))))
    found: dict[str, float] = {}
    strong = strengths(record)
    for facet, phrase in asked_facets(prompt).items():
        # a world is not made for each thing in it: "fantasy" draws no better deer
        named = _is_style(facet) or phrase == facet or set(words(phrase)) <= own
        if strong.get(facet, 0.0) >= MADE_FOR and named:
            found |= dict.fromkeys(words(phrase), strong[facet])
    known = trigger_words(record, record.default_version)
    first, tokens = worth_saying(record, known), taught(record.model, known)
    for trigger in set(matched_triggers(record, prompt)) & set(known):
        if trigger in first or trigger in tokens or len(known) <= _FEW_TRIGGERS:
            surely = _ITS_TRIGGER_SAID if trigger in first else _TRIGGER_SAID
            found |= dict.fromkeys(words(trigger), surely)
    # "riding on a" is made of everyday words; "Capybara" is also what its creator files it under
    filed = {_one(tag) for tag in (*record.tags, *record.trigger_words)}
    name = [word for word in words(record.model) if word not in _SILENT and word.isascii() and word.isalpha()]
    heard = {_one(word): word for word in spoken}
    if (
        name
        and all(_one(word) in heard for word in name)
        and {_one(" ".join(name)), *map(_one, name)} & filed
    ):
        found |= dict.fromkeys((heard[_one(word)] for word in name), _NAME_SAID)
    joined = squash(record.model)
    for pair in pairwise(spoken):
        # "GlowingRunesAI" for "glowing runes"
        if len("".join(pair)) >= _SHORTEST_PAIR and "".join(pair) in joined and not set(pair) & _SILENT:
            found |= dict.fromkeys(pair, _NAME_SAID)
    claims = frozenset(word for word in found if word not in _SILENT)
    return claims, max((found[word] for word in claims), default=0.0)


def _role(record: ModelRecord, prompt: str, claims: frozenset[str]) -> Kind:
    """The kind of a LoRA in this call: what is filed as a style, has no known medium and is taken for a word
    that names no style ("glowing runes") is a detail."""
    kind = kind_of(record)
    if kind != "style":
        return kind
    styles = [words(phrase) for facet, phrase in asked_facets(prompt).items() if _is_style(facet)]
    mediums = [name for name, value in strengths(record).items() if value >= MADE_FOR and is_medium(name)]
    named = any(claims & set(style) for style in styles)
    return "style" if named or set(mediums) - WIDE else "detail"


def _one(word: str) -> str:
    """A word without the ending of a plural."""
    lower = word.casefold().strip()
    return lower[:-1] if lower.endswith("s") and len(lower) > _SHORTEST_PLURAL else lower


def _is_style(facet: str) -> bool:
    return any(each.name == facet and each.kind in ("medium", "look") for each in facets())


def _unasked(record: ModelRecord, prompt: str) -> bool:
    """Whether it is made for a medium that is neither asked for nor near to one that is."""
    known = {facet.name: facet for facet in facets()}
    fitting = {near for name in asked_facets(prompt) for near in (name, *known[name].near)}
    return any(
        value >= MADE_FOR and is_medium(name) and name not in fitting and name not in WIDE
        for name, value in strengths(record).items()
    )


def _popularity(record: ModelRecord) -> float:
    """A little for what many take; it orders LoRAs that are as good for the request."""
    return min(len(str(record.stats.downloads or 0)), 7) / 100


def _together(first: Selection, chosen: Sequence[_Companion], selector: Selector) -> Selection:
    api = first.api
    prompt, triggers = api.prompt, list(api.trigger_words)
    for each in chosen:
        version = each.record.version(each.selection.api.version_id or 0)
        said = worth_saying(each.record, trigger_words(each.record, version))
        prompt = with_trigger(said, prompt)
        triggers += [trigger for trigger in said if trigger not in triggers]
    own = [api.lora_weight] if api.type == "LORA" else []
    weights = scaled([*own, *(each.selection.api.lora_weight for each in chosen)])
    update: dict[str, Any] = {"prompt": prompt, "trigger_words": tuple(triggers)}
    if own:
        update["lora_weight"] = weights[0]
    update["loras"] = tuple(
        LoraRef(
            model=each.record.model,
            weight=weight,
            model_id=each.record.model_id,
            version_id=each.selection.api.version_id,
            air=each.selection.api.air,
        )
        for each, weight in zip(chosen, weights[len(own) :], strict=True)
    )
    made = api.model_copy(update=update)
    return first.model_copy(
        update={
            "api": made,
            "may_sell": may_sell(made, selector.catalogue).allowed,
            "notes": (*first.notes, *map(_beside, chosen), *filter(None, [together_words(made)])),
        }
    )


def scaled(weights: Sequence[float | None]) -> list[float]:
    """Weights that add up to at most `MOST_WEIGHT`, in steps of a twentieth; None is the usual weight."""
    known = [DEFAULT_LORA_WEIGHT if weight is None else weight for weight in weights]
    total = sum(map(abs, known))
    factor = min(1.0, MOST_WEIGHT / total) if total else 1.0
    if factor == 1.0:
        return known
    steps = round(1 / _LEAST_WEIGHT)
    # towards nought, so that the sum stays below the total
    return [int(weight * factor * steps + math.copysign(1e-9, weight)) / steps for weight in known]


def together_words(api: T2IApi) -> str:
    """What is known of the LoRAs of a call in one picture."""
    ids = [api.model_id] if api.type == "LORA" else []
    ids += [lora.model_id for lora in api.loras]
    if len(ids) < 2:
        return ""
    count = seen_together(ids)
    if count is None:
        return "these LoRAs were not seen together: look at one picture before you make many"
    return f"these LoRAs were tried together in {count:,} picture{'s' if count > 1 else ''}"


def _beside(each: _Companion) -> str:
    said = ", ".join(sorted(each.claims))
    return f"beside it, for the {each.kind}, the LoRA {each.record.model[:80]!r}: the request says {said!r}"

"""What a calling model reads of an answer, a found model and a check: short text, strangers' words quoted.

>>> print(selection_text(1, selector.select("a corgi, pixel art")[0], selector.catalogue))
1. "Pixel Art" (LORA for SD 1.5, model id 123), a strong match (confidence 0.83)
   ...
"""

from typing import TYPE_CHECKING

from diffagent_tools.agents.facts import download_text
from diffagent_tools.files.downloads import downloads
from diffagent_tools.quoting import (
    DESCRIPTION_CHARS,
    NAME_CHARS,
    PROMPT_CHARS,
    family_words,
    plain,
    quoted,
    settings_text,
)
from diffagent_tools.select.fit import fit_of
from diffagent_tools.select.selection import Selection
from retrieval.calls.licence import SALE_WORDS
from retrieval.catalogue import Catalogue
from retrieval.records.api import T2IApi

if TYPE_CHECKING:
    from retrieval.calls.check import Check
    from retrieval.search.searching import Hit

_FEW_CHANGES = 12
_REASON_CHARS = 300


def selection_text(place: int, selection: Selection, catalogue: Catalogue) -> str:
    """A few lines on one ranked answer."""
    api = selection.api
    head = f"{place}. {_model(api)}"
    fit = fit_of(selection)
    if fit is not None and selection.confidence is not None:
        head += f", {fit.words.lower()} (confidence {selection.confidence:.2f})"
    if selection.abstained:
        head += " — nothing fits the request well, this is the plain base model"
    lines = [head, f"why: {plain(selection.reason, _REASON_CHARS)}"]
    if selection.understood:
        lines.append(f"understood: {plain('; '.join(selection.understood), _REASON_CHARS)}")
    if place == 1 and fit is not None and fit.advice:
        lines.append(f"what would help: {fit.advice}")
    lines += [
        f"settings: {settings_text(api)}",
        f"prompt to send: {quoted(api.prompt, PROMPT_CHARS)}",
    ]
    if api.negative_prompt:
        lines.append(f"negative prompt to send: {quoted(api.negative_prompt, PROMPT_CHARS)}")
    if api.model_description:
        lines.append(f"description (quoted data): {quoted(api.model_description, DESCRIPTION_CHARS)}")
    lines.append(f"selling the images: {SALE_WORDS[selection.may_sell]}")
    if selection.rating_words:
        lines.append(f"rating: {selection.rating_words}")
    if selection.page_url:
        lines.append(f"page: {plain(selection.page_url, _REASON_CHARS)}")
    if selection.files:
        lines += [f"file: {quoted(file.name, NAME_CHARS)} ({file.kind})" for file in selection.files]
    else:
        lines += [f"download: {download_text(each)}" for each in downloads(api, catalogue)]
    lines += [f"note: {plain(note, _REASON_CHARS)}" for note in selection.notes]
    if selection.missing is not None:
        lines.append(plain(selection.missing, _REASON_CHARS))
    return "\n   ".join(lines)


def hit_text(place: int, hit: "Hit") -> str:
    """A few lines on a model that was found."""
    record = hit.record
    kind = f"{record.type} for {family_words(record.base_model)}"
    lines = [f"{place}. {quoted(record.model, NAME_CHARS)} ({kind}, model id {record.model_id})"]
    if record.trigger_words:
        lines.append(f"trigger words: {quoted(', '.join(record.trigger_words), 200)}")
    if record.description:
        lines.append(f"description (quoted data): {quoted(record.description, DESCRIPTION_CHARS)}")
    return "\n   ".join(lines)


def examination_text(found: "Check") -> str:
    """A few lines on what was checked: the verdict, its reasons, and the API to call."""
    lines = [f"verdict: {found.verdict.status}"]
    lines += [f"- {plain(reason, 300)}" for reason in found.verdict.reasons[:_FEW_CHANGES]]
    if found.repair.abstained:
        lines.append("no model is near enough; the fallback is the plain base model:")
    elif found.verdict.valid:
        lines.append("can be called as it is:")
    else:
        lines.append("use instead:")
    lines.append(api_text(found.repair.api))
    if found.repair.api.trigger_words:
        lines.append(f"trigger words: {quoted(', '.join(found.repair.api.trigger_words), 200)}")
    return "\n".join(lines)


def api_text(api: T2IApi) -> str:
    """One line on an API that can be called."""
    return f"{_model(api)}; {settings_text(api)}"


def _model(api: T2IApi) -> str:
    number = f", model id {api.model_id}" if api.model_id is not None else ""
    return f"{quoted(api.model, NAME_CHARS)} ({api.type} for {family_words(api.base_model)}{number})"

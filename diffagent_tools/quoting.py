"""Text of a catalogue as a language model may read it: quoted, cut, on one line, without hidden characters.

    >>> print(selection_text(1, selector.select("a corgi, pixel art")[0]))
    1. "Pixel Art" (LORA for SD 1.5, model id 123), confidence 0.83
       ...

Names, trigger words and descriptions were written by strangers. They reach a calling model as JSON strings
that are said to be data, so that "ignore the above" stays a quotation.
"""

import json
import unicodedata
from typing import TYPE_CHECKING

from diffagent_tools.select.selection import Selection
from retrieval.records.api import T2IApi

if TYPE_CHECKING:
    from retrieval.calls.examine import Examination
    from retrieval.search.searching import Hit

NAME_CHARS = 120
DESCRIPTION_CHARS = 240
PROMPT_CHARS = 400
DOCUMENT_CHARS = 1_000
_FEW_CHANGES = 12
_REASON_CHARS = 300
# Cc control, Cf invisible (bidi overrides, tags), Co private use, Cs broken, Zl and Zp line separators
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


def plain(text: str, most: int) -> str:
    """The text on one line, without control and invisible characters, at most `most` characters."""
    # a joiner inside an emoji is lost, which a reader survives; a hidden instruction is not
    shown = "".join(" " if unicodedata.category(char) in _HIDDEN else char for char in text[: 8 * most])
    line = " ".join(shown.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def quoted(text: str, most: int) -> str:
    """`plain` in quotation marks that the text itself cannot close."""
    return json.dumps(plain(text, most), ensure_ascii=False)


def selection_text(place: int, selection: Selection) -> str:
    """A few lines on one ranked answer."""
    api = selection.api
    head = f"{place}. {_model(api)}"
    if selection.confidence is not None:
        head += f", confidence {selection.confidence:.2f}"
    if selection.abstained:
        head += " — nothing fits the request well, this is the plain base model"
    lines = [
        head,
        f"why: {plain(selection.reason, _REASON_CHARS)}",
        f"settings: {settings_text(api)}",
        f"prompt to send: {quoted(api.prompt, PROMPT_CHARS)}",
    ]
    if api.model_description:
        lines.append(f"description (quoted data): {quoted(api.model_description, DESCRIPTION_CHARS)}")
    if selection.rating_words:
        lines.append(f"rating: {selection.rating_words}")
    if selection.page_url:
        lines.append(f"page: {selection.page_url}")
    lines += [f"note: {plain(note, _REASON_CHARS)}" for note in selection.notes]
    return "\n   ".join(lines)


def hit_text(place: int, hit: "Hit") -> str:
    """A few lines on a model that was found."""
    record = hit.record
    kind = f"{record.type} for {plain(record.base_model, NAME_CHARS)}"
    lines = [f"{place}. {quoted(record.model, NAME_CHARS)} ({kind}, model id {record.model_id})"]
    if record.trigger_words:
        lines.append(f"trigger words: {quoted(', '.join(record.trigger_words), 200)}")
    if record.description:
        lines.append(f"description (quoted data): {quoted(record.description, DESCRIPTION_CHARS)}")
    return "\n   ".join(lines)


def examination_text(found: "Examination") -> str:
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


def settings_text(api: T2IApi) -> str:
    """Size, sampler and what else is set, in words."""
    parts = [
        f"{api.width}x{api.height}",
        api.sampling_method,
        f"{api.sampling_steps} steps",
        f"cfg {api.cfg_scale:g}",
    ]
    if api.clip_skip is not None:
        parts.append(f"clip skip {api.clip_skip}")
    if api.lora_weight is not None:
        parts.append(f"LoRA weight {api.lora_weight:g}")
    if api.base_checkpoint is not None:
        parts.append(f"on the checkpoint {quoted(api.base_checkpoint.model, NAME_CHARS)}")
    return ", ".join(parts)


def _model(api: T2IApi) -> str:
    number = f", model id {api.model_id}" if api.model_id is not None else ""
    return f"{quoted(api.model, NAME_CHARS)} ({api.type} for {plain(api.base_model, NAME_CHARS)}{number})"

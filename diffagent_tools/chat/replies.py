"""What a chat answers, in words: what was chosen, why, whether it may be sold, and what can be said."""

from diffagent_tools.chat.request import StandingRequest
from diffagent_tools.quoting import NAME_CHARS, family_words, plain, settings_text
from diffagent_tools.select.selection import Selection
from retrieval.calls.licence import may_sell
from retrieval.catalogue import Catalogue
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord

_LICENCE_CHARS = 300
HELP = (
    "Say what the picture shall show, then refine it: make it wide (or tall, square, 768x512, 16:9) · "
    "only LoRAs (or checkpoints) · use SDXL · more like a watercolour · add a moon · remove the moon · "
    "no text · 30 steps · another one · not that model · 2 (takes the second) · may I sell it? · "
    "only models I may sell · why? · undo · start over. Anything else is added to the prompt; "
    "words in quotation marks always are."
)


def why(selection: Selection) -> str:
    """The evidence of a choice in a sentence or two."""
    sure = "" if selection.confidence is None else f" Confidence: {selection.confidence:.0%}."
    said = selection.evidence.matched_trigger_words or selection.evidence.matched_terms
    words = f" You and the model both say: {plain(', '.join(said[:8]), 300)}." if said else ""
    return f"{plain(selection.api.model, NAME_CHARS)}: {plain(selection.reason, 400)}.{words}{sure}"


def licence_words(api: T2IApi, record: ModelRecord | None, catalogue: Catalogue) -> str:
    """Whether images of a call may be sold, as far as the catalogue knows."""
    own, *below = may_sell(api, catalogue).sentences
    parts = [plain(own, _LICENCE_CHARS), *(f"It runs on {plain(each, _LICENCE_CHARS)}" for each in below)]
    if record is not None:
        if record.allow_no_credit is False:
            parts.append("The creator wants to be named.")
        parts.append(f"The page decides: {record.page_url}")
    return " ".join(parts)


def nothing(request: StandingRequest) -> str:
    if request.seen:
        return "There is no further model that fits; leave a filter out, change the words, or start over."
    filters = [
        words
        for words in request.words
        if words.split(":")[0] in ("base model", "type", "licence", "refused")
    ]
    return (
        f"No model of the catalogue passes these filters ({'; '.join(filters)}); the request stays as it was."
    )


def told(before: Selection | None, best: Selection) -> str:
    """What is chosen now, and what it was before."""
    api = best.api
    name = plain(api.model, NAME_CHARS)
    if best.abstained:
        return f"Nothing fits well, so this is the plain base model: {name}, {api.width}x{api.height}."
    same = before is not None and before.api.model_id == api.model_id
    sure = "" if best.confidence is None else f", {best.confidence:.0%} sure"
    kind = "a LoRA" if api.type == "LORA" else "a checkpoint"
    head = f"Still {name}" if same else f"{name}, {kind} for {family_words(api.base_model)}{sure}"
    notes = "".join(f" {plain(note, 400)}." for note in best.notes)
    return f"{head}: {settings_text(api)}.{notes}"

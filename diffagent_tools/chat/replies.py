"""What a chat answers, in words: what was chosen, why, whether it may be sold, and what can be said."""

from diffagent_tools.chat.differences import named
from diffagent_tools.chat.request import StandingRequest
from diffagent_tools.quoting import NAME_CHARS, family_words, plain, quoted
from diffagent_tools.select.fit import fit_of
from diffagent_tools.select.selection import Selection
from retrieval.calls.licence import may_sell
from retrieval.catalogue import Catalogue
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord

_LICENCE_CHARS = 300
EMPTY = "Say what the picture should show."
HELP = (
    "Say what the picture should show, then change it in plain words: make it wide (or tall, square, "
    "768x512, 16:9) · more like a watercolour · more realistic · add a moon · remove the moon · no people · "
    "another one · not that one · 2 (takes the second) · use NAME · only LoRAs (or checkpoints) · use SDXL · "
    "30 steps · Euler a · LoRA at 0.5 · only models I may sell · undo · start over. Or ask: why? · may I "
    "sell it? · what is a LoRA? · where do I put the file? Words in quotation marks always go in as they are."
)


def why(selection: Selection) -> str:
    """The evidence of a choice in a sentence or two."""
    fit = fit_of(selection)
    sure = "" if selection.confidence is None else f" Confidence: {selection.confidence:.0%}."
    said = selection.evidence.matched_trigger_words or selection.evidence.matched_terms
    words = f" Your words and the model's: {plain(', '.join(said[:8]), 300)}." if said else ""
    well = f" {fit.words}." if fit else ""
    return f"{named(selection.api.model)}: {plain(selection.reason, 400)}.{words}{well}{sure}"


def licence_words(api: T2IApi, record: ModelRecord | None, catalogue: Catalogue) -> str:
    """Whether images of a call may be sold, as far as the catalogue knows."""
    own, *below = may_sell(api, catalogue).sentences
    parts = [plain(own, _LICENCE_CHARS), *(f"It runs on {plain(each, _LICENCE_CHARS)}" for each in below)]
    if record is not None:
        if record.allow_no_credit is False:
            parts.append("The creator wants to be named.")
        parts.append(f"Its page has the last word: {record.page_url}")
    return " ".join(parts)


def licence_line(selection: Selection, catalogue: Catalogue) -> str:
    """The licences of the model and of the checkpoint below it in one line."""
    sale = may_sell(selection.api, catalogue)
    if sale.allowed:
        return "You may sell the pictures."
    against = [named(name) for name, allowed in sale.parts if allowed is False]
    if against:
        verb = "forbid" if against[1:] else "forbids"
        return f"You may not sell the pictures: {' and '.join(against)} {verb} it."
    unknown = [named(name) for name, allowed in sale.parts if allowed is None]
    return f"I do not know whether you may sell the pictures. Look at the page of {' and '.join(unknown)}."


def nothing(request: StandingRequest) -> str:
    """Why no model is left, and what would help."""
    if request.seen:
        return (
            "No other model fits. Say “bring them back” to see the earlier ones again, change your words, or "
            "start over."
        )
    filters = [
        words
        for words in request.words
        if words.split(":")[0] in ("base model", "type", "licence", "refused")
    ]
    return (
        f"There is no model for that ({'; '.join(filters)}), so everything stays as it was. Try it with "
        "fewer conditions."
    )


def offer(text: str) -> str:
    """What is said of a message that is understood neither as a wish nor as a question."""
    return (
        f"I am not sure what {quoted(text, 120)} means for the picture. Add it to the prompt? Say yes or no, "
        "or “help” to see what I understand."
    )


def told(before: Selection | None, best: Selection) -> str:
    """What is chosen now, and what it was before."""
    api = best.api
    name = named(api.model)
    notes = "".join(f" {plain(note[:1].upper() + note[1:], 400)}." for note in best.notes)
    if best.abstained:
        return f"Nothing fits well, so this is the plain base model: {name}, {api.width}x{api.height}."
    if before is not None and before.api.model_id == api.model_id:
        changed = ", ".join(_changed(before.api, api))
        return f"Still {name}, now {changed}.{notes}" if changed else f"Still {name}.{notes}"
    kind = "a LoRA" if api.type == "LORA" else "a checkpoint"
    fit = fit_of(best)
    well = f" {fit.words}: {plain(best.reason, 200)}." if fit else f" {plain(best.reason, 200).capitalize()}."
    return f"{name}, {kind} for {family_words(api.base_model)}.{well}{notes}"


def _changed(before: T2IApi, after: T2IApi) -> list[str]:
    """The settings that are others than before."""
    said = {
        f"{after.width}x{after.height}": (before.width, before.height) != (after.width, after.height),
        after.sampling_method: before.sampling_method != after.sampling_method,
        f"{after.sampling_steps} steps": before.sampling_steps != after.sampling_steps,
        f"cfg {after.cfg_scale:g}": before.cfg_scale != after.cfg_scale,
        f"clip skip {after.clip_skip}": before.clip_skip != after.clip_skip,
        f"LoRA weight {after.lora_weight}": before.lora_weight != after.lora_weight,
        f"on the checkpoint {quoted(after.base_checkpoint.model, NAME_CHARS)}"
        if after.base_checkpoint
        else "": before.base_checkpoint != after.base_checkpoint,
    }
    return [words for words, other in said.items() if other and words]

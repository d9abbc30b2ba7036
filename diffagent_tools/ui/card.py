"""The answer on the page of `diffagent ui` as HTML: the chosen model, its files, the alternatives.

In the order in which a person asks: what it is, how well it fits, why, the prompt, the files, the licence.
"""

import base64
from collections.abc import Iterator, Sequence

from diffagent_tools.chat.differences import difference, popularity
from diffagent_tools.chat.replies import licence_line
from diffagent_tools.files.downloads import FOLDERS, downloads
from diffagent_tools.quoting import NAME_CHARS, settings_text
from diffagent_tools.select.fit import fit_of
from diffagent_tools.select.selection import Selection
from diffagent_tools.ui.facts import facts_html
from diffagent_tools.ui.html import SHOWN_CHARS, link_to, text_of
from retrieval.catalogue import Catalogue
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord

DESCRIPTION_CHARS = 400


def chosen_html(selection: Selection | None, catalogue: Catalogue, wish: str = "") -> str:
    """The chosen model up to its prompt; what of the prompt is not in the wish is marked."""
    if selection is None:
        return ""
    api = selection.api
    fit = fit_of(selection)
    parts = [f"<h2>{text_of(api.model, NAME_CHARS)}</h2>"]
    if api.model_description:
        parts.append(f"<p>{text_of(api.model_description, DESCRIPTION_CHARS)}</p>")
    parts.append(f'<p class="da-dim">{_kind(selection)}{_popular(api, catalogue)}</p>')
    if selection.abstained:
        parts.append(
            '<p><span class="da-fit da-weak">Nothing fits well</span></p><p class="da-note">This is the '
            "plain base model. Try to say the style or the subject in other words.</p>"
        )
    elif fit is not None:
        parts.append(f'<p><span class="da-fit da-{fit.level}">{fit.words}</span></p>')
        if fit.advice:
            parts.append(f'<p class="da-note">{text_of(fit.advice, 300)}</p>')
    if not selection.abstained:
        parts.append(f"<p><b>Why:</b> {text_of(_sentence(selection.reason), 400)}</p>")
    said = (*selection.notes, *((selection.missing,) if selection.missing is not None else ()))
    parts += [f'<p class="da-note">{text_of(_sentence(note), 400)}</p>' for note in said]
    parts += [f"<p><b>File:</b> {text_of(file.name, NAME_CHARS)}</p>" for file in selection.files]
    if selection.rating_words:
        parts.append(f'<p class="da-dim">Rating: {text_of(selection.rating_words, 80)}</p>')
    parts.append(f'<h3>Prompt</h3><p class="da-prompt">{_marked(api.prompt, wish)}</p>')
    if api.negative_prompt:
        parts.append(
            "<h3>What it should not show (negative prompt)</h3>"
            f'<p class="da-prompt">{text_of(api.negative_prompt, SHOWN_CHARS)}</p>'
        )
    weak = " da-weak" if selection.abstained or (fit is not None and fit.level == "weak") else ""
    return f'<section class="da-card{weak}" aria-label="Chosen model">{"".join(parts)}</section>'


def files_html(selection: Selection | None, catalogue: Catalogue) -> str:
    """What to download and where to put it, the licences in a line, the settings in a line."""
    if selection is None:
        return ""
    api = selection.api
    files = "".join(f"<li>{line}</li>" for line in _files(api, catalogue))
    record = _record(api.model_id, catalogue)
    known = facts_html(record) if record is not None else ""
    return (
        f'<section class="da-card" aria-label="Files and licence"><h3>Files</h3><ul>{files}</ul>'
        f"<h3>Licence</h3><p>{text_of(licence_line(selection, catalogue), 400)}</p>"
        f"<h3>Settings</h3><p>{text_of(settings_text(api), SHOWN_CHARS)}</p>{known}</section>"
    )


def alternative_html(selection: Selection, place: int, best: Selection, catalogue: Catalogue) -> str:
    """One alternative, short: how it differs from the chosen model."""
    fit = fit_of(selection)
    weak = " da-weak" if fit is not None and fit.level == "weak" else ""
    well = f"{fit.words} · " if fit is not None else ""
    other = difference(best, selection, catalogue)
    return (
        f'<div class="da-card{weak}"><h3>{place}. {text_of(selection.api.model, NAME_CHARS)}</h3>'
        f"<p>{text_of(_sentence(other), 300)}</p>"
        f'<p class="da-dim">{well}{_kind(selection)}{_popular(selection.api, catalogue)} · '
        f"{link_to(selection.page_url, 'its page')}</p></div>"
    )


def _files(api: T2IApi, catalogue: Catalogue) -> Iterator[str]:
    for each in downloads(api, catalogue):
        name = f", {text_of(each.file_name, 120)}" if each.file_name else ""
        what = "LoRA" if each.type == "LORA" else "Checkpoint"
        webui, comfy = FOLDERS[each.type]
        links = [link_to(each.page_url, "its page"), *([link_to(each.url, "download")] if each.url else [])]
        yield (
            f"{what} <b>{text_of(each.model, NAME_CHARS)}</b>{name}, {each.usual_size}: "
            f"{', '.join(links)}<br>"
            f'<span class="da-dim">goes into {webui} (A1111, Forge) or {comfy} (ComfyUI)</span>'
        )


def _marked(prompt: str, wish: str) -> str:
    """The prompt; what was added to the wish is marked, and said to be added to a screen reader."""
    said = wish.casefold()
    parts = []
    for part in prompt.split(","):
        shown = text_of(part.strip(), SHOWN_CHARS)
        added = bool(said) and bool(part.strip()) and part.strip().casefold() not in said
        parts.append(f'<mark title="added: it wakes up the model">{shown}</mark>' if added else shown)
    return ", ".join(part for part in parts if part)


def samples_html(pictures: Sequence[bytes], name: str) -> str:
    """Civitai's sample pictures of a model, JPEGs."""
    if not pictures:
        return '<p class="da-note" role="status">Civitai has no sample of it that is rated safe.</p>'
    shown = "".join(
        f'<li><img src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}" '
        f'alt="Sample picture {number} of {text_of(name, NAME_CHARS)}"></li>'
        for number, picture in enumerate(pictures, start=1)
    )
    return f'<section aria-label="Sample pictures"><ul class="da-samples">{shown}</ul></section>'


def _kind(selection: Selection) -> str:
    name = "LoRA" if selection.api.type == "LORA" else "Checkpoint"
    version = f", version {text_of(selection.api.version, 60)}" if selection.api.version else ""
    return f"{name} for {text_of(selection.api.base_model, NAME_CHARS)}{version}"


def _popular(api: T2IApi, catalogue: Catalogue) -> str:
    record = _record(api.model_id, catalogue)
    told = popularity(record) if record is not None else ""
    return f" · {text_of(told, 120)}" if told else ""


def _record(number: int | None, catalogue: Catalogue) -> ModelRecord | None:
    return catalogue.get(number) if number is not None and number in catalogue else None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"

"""What the page of `diffagent ui` shows as HTML: the talk, the chosen model, the alternatives.

Names, descriptions, prompts and messages are text of strangers: all of them are escaped here, and so is every
address of a link. Nothing of this knows Gradio.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from diffagent_tools.chat.conversation import Turn
from diffagent_tools.quoting import NAME_CHARS, plain, settings_text
from diffagent_tools.select.selection import Selection
from retrieval.calls.licence import SALE_WORDS

SHOWN_CHARS = 1_200
DESCRIPTION_CHARS = 400
KEPT_LINES = 100

EMPTY = (
    '<div class="da-empty"><p><b>Say what the picture shall show.</b></p>'
    "<p>Such as: a happy corgi, pixel art. "
    "Then refine it: make it wide, only LoRAs, more like a watercolour, another one, may I sell it?</p>"
    "</div>"
)
STYLE = """
.gradio-container { width: 100% !important; max-width: 1180px !important; margin: 0 auto !important;
  padding: 12px !important; }
.gradio-container .main, .gradio-container main, .gradio-container .wrap { padding: 0 !important; }
.gradio-container .html-container, .gradio-container .prose { padding: 0 !important; }
.da-head { display: flex; gap: 10px; align-items: baseline; flex-wrap: wrap; }
.da-head h1 { font-size: 1.35rem; margin: 0; font-weight: 700; }
.da-head span, .da-dim { opacity: .75; }
/* one child in a reversed column: the scroll bar stays at the newest line */
.da-log { display: flex; flex-direction: column-reverse; max-height: 46vh; overflow-y: auto; padding: 4px; }
.da-lines { display: flex; flex-direction: column; gap: 10px; }
.da-lines > div { border-radius: 12px; padding: 8px 12px; max-width: 88%; overflow-wrap: anywhere; }
.da-lines p { margin: 0; white-space: pre-wrap; }
.da-you { align-self: flex-end; background: var(--primary-600); color: #fff; }
.da-you p { color: #fff; }
.da-bot { align-self: flex-start; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); }
.da-bot.da-failed { border-color: #d97706; border-left-width: 4px; }
.da-bot.da-wait { opacity: .75; }
.da-bot ul { list-style: none; margin: 0 0 4px; padding: 0; display: flex; flex-wrap: wrap; gap: 4px; }
.da-bot li { margin: 0; }
.da-chip { display: inline-block; border: 1px solid var(--border-color-primary); border-radius: 999px;
  padding: 1px 9px; font-size: .82rem; background: var(--background-fill-primary); overflow-wrap: anywhere; }
.da-card { border: 1px solid var(--border-color-primary); border-radius: 12px; padding: 10px 14px;
  background: var(--background-fill-primary); overflow-wrap: anywhere; }
.da-card h2 { font-size: 1.15rem; margin: 0 0 2px; }
.da-card h3 { font-size: .98rem; margin: 0; }
.da-card p { margin: 3px 0; }
.da-card meter { width: 120px; height: 12px; vertical-align: middle; }
.da-card a { color: var(--link-text-color); text-decoration: underline; margin: 0; padding: 0; }
.da-note { border-left: 4px solid #d97706; padding-left: 8px; }
.da-empty { padding: 14px; border: 1px dashed var(--border-color-primary); border-radius: 12px; }
.da-empty p { margin: 0 0 6px; }
.da-alt { align-items: center !important; gap: 8px !important; flex-wrap: nowrap !important; }
.da-alt > :first-child { flex: 1 1 auto !important; min-width: 0 !important; }
.da-alt button { flex: 0 0 auto !important; }
.da-quick { gap: 6px !important; flex-wrap: wrap !important; }
.da-quick button { flex: 0 1 auto !important; min-width: 0 !important; }
:focus-visible { outline: 2px solid var(--primary-500) !important; outline-offset: 1px; }
textarea:focus-visible, input:focus-visible { outline-offset: -2px; }
@media (max-width: 640px) {
  .gradio-container { padding: 6px !important; }
  .da-log { max-height: 40vh; }
  .da-alt { flex-direction: column; align-items: stretch !important; }
}
"""


@dataclass(frozen=True)
class Line:
    """A message of the talk: the user's, or an answer with what was understood."""

    text: str
    own: bool = False
    understood: tuple[str, ...] = ()
    failed: bool = False
    waiting: bool = False


def lines_of(turn: Turn) -> tuple[Line, ...]:
    """The message and its answer."""
    answer = Line(turn.answer, understood=turn.understood, failed=turn.failed)
    return Line(turn.said, own=True), answer


def log_html(lines: Sequence[Line]) -> str:
    """The talk, the newest below; a screen reader is told of what is added."""
    if not lines:
        return EMPTY
    shown = "".join(_line(line) for line in lines[-KEPT_LINES:])
    return (
        '<div class="da-log" role="log" aria-live="polite" tabindex="0" aria-label="Conversation">'
        f'<div class="da-lines">{shown}</div></div>'
    )


def chosen_html(selection: Selection | None) -> str:
    """The chosen model: kind, confidence, evidence, licence, page."""
    if selection is None:
        return ""
    api = selection.api
    version = f", version {_text(api.version, NAME_CHARS)}" if api.version else ""
    head = "Nothing fits well; the plain base model" if selection.abstained else "Chosen"
    parts = [
        f'<p class="da-dim">{head}</p><h2>{_text(api.model, NAME_CHARS)}</h2>',
        f"<p>{_kind(selection)}{version}</p>",
        _confidence(selection),
        f"<p>{_text(settings_text(api), SHOWN_CHARS)}</p>",
        f"<p><b>Why:</b> {_text(selection.reason, 400)}</p>",
        _chips("You and the model both say", _said(selection)),
        _chips("Trigger words", api.trigger_words[:8]),
    ]
    if api.model_description:
        parts.append(f'<p class="da-dim">{_text(api.model_description, DESCRIPTION_CHARS)}</p>')
    if selection.rating_words:
        parts.append(f"<p><b>Rating:</b> {_text(selection.rating_words, 80)}</p>")
    parts.append(f"<p><b>Selling images:</b> {SALE_WORDS[selection.may_sell]}</p>")
    parts += [f'<p class="da-note">{_text(note, 400)}</p>' for note in selection.notes]
    parts.append(_link(selection))
    return f'<section class="da-card" aria-label="Chosen model">{"".join(parts)}</section>'


def alternative_html(selection: Selection, place: int) -> str:
    """One alternative, short."""
    return (
        f'<div class="da-card"><h3>{place}. {_text(selection.api.model, NAME_CHARS)}</h3>'
        f'<p class="da-dim">{_kind(selection)}</p>{_confidence(selection)}'
        f'<p class="da-dim">{_text(selection.reason, 200)}</p>{_link(selection)}</div>'
    )


def _line(line: Line) -> str:
    kind = "da-you" if line.own else "da-bot da-failed" if line.failed else "da-bot"
    kind += " da-wait" if line.waiting else ""
    understood = "".join(f'<li class="da-chip">{_text(words, 400)}</li>' for words in line.understood)
    chips = f'<ul aria-label="Understood">{understood}</ul>' if understood else ""
    return f'<div class="{kind}">{chips}<p>{_text(line.text, SHOWN_CHARS)}</p></div>'


def _kind(selection: Selection) -> str:
    name = "LoRA" if selection.api.type == "LORA" else "Checkpoint"
    return f"{name} for {_text(selection.api.base_model, NAME_CHARS)}"


def _said(selection: Selection) -> Iterable[str]:
    evidence = selection.evidence
    return dict.fromkeys((*evidence.matched_trigger_words, *evidence.matched_terms)[:10])


def _chips(label: str, words: Iterable[str]) -> str:
    chips = " ".join(f'<span class="da-chip">{_text(word, 80)}</span>' for word in words)
    return f"<p><b>{label}:</b> {chips}</p>" if chips else ""


def _confidence(selection: Selection) -> str:
    sure = selection.confidence
    if sure is None:
        return ""
    return (
        f'<p>Confidence <meter min="0" max="1" value="{sure:.3f}" aria-hidden="true"></meter> '
        f"<b>{sure:.0%}</b></p>"
    )


def _link(selection: Selection) -> str:
    page = selection.page_url or ""
    # a catalogue of one's own may say anything here, and "javascript:" is no page
    if not page.startswith(("https://", "http://")):
        return ""
    return f'<p><a href="{escape(page)}" target="_blank" rel="noopener noreferrer">The model\'s page</a></p>'


def _text(text: str | None, most: int) -> str:
    """Escaped, without control characters, and without what a template of the page could read."""
    shown = escape(plain(text or "", most))
    return shown.replace("$", "&#36;").replace("{", "&#123;").replace("}", "&#125;").replace("`", "&#96;")

"""What the page of `diffagent ui` shows of the talk as HTML, and how text of strangers is made harmless.

Names, descriptions, prompts and messages are text of strangers: all of them are escaped here, and so is every
address of a link. Nothing of this knows Gradio.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from diffagent_tools.chat.conversation import Turn
from diffagent_tools.quoting import plain

SHOWN_CHARS = 1_200
KEPT_LINES = 100
HEAD = (
    '<header class="da-head"><h1>DiffAgent</h1><p>Tell me what picture you want, and I find the right Stable '
    "Diffusion model for it, with everything you need to make it.</p></header>"
)
EMPTY = (
    '<div class="da-empty"><p>Write it as you would say it, in your own words. You get one real model, why '
    "it fits, a prompt to copy and where to download it. Then change anything: “make it wide”, “more like a "
    "watercolour”, “another one”.</p><p>Or begin with one of these:</p></div>"
)


@dataclass(frozen=True)
class Line:
    """A message of the talk: the user's, or an answer with what was understood."""

    text: str
    own: bool = False
    understood: tuple[str, ...] = ()
    failed: bool = False


WAITING = Line("One moment …")


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


def _line(line: Line) -> str:
    kind = "da-you" if line.own else "da-bot da-failed" if line.failed else "da-bot"
    kind += " da-wait" if line is WAITING else ""
    understood = "".join(f'<li class="da-chip">{text_of(words, 400)}</li>' for words in line.understood)
    chips = f'<ul aria-label="Understood">{understood}</ul>' if understood else ""
    return f'<div class="{kind}">{chips}<p>{text_of(line.text, SHOWN_CHARS)}</p></div>'


def link_to(address: str | None, words: str) -> str:
    """A link that opens apart; the words alone where the address is none of the web."""
    # a catalogue of one's own may say anything here, and "javascript:" is no page
    if not address or not address.startswith(("https://", "http://")):
        return words
    return f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">{words}</a>'


def text_of(text: str | None, most: int) -> str:
    """Escaped, without control characters, and without what a template of the page could read."""
    shown = escape(plain(text or "", most))
    return shown.replace("$", "&#36;").replace("{", "&#123;").replace("}", "&#125;").replace("`", "&#96;")

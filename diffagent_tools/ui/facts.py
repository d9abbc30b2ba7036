"""What a model looks like without a picture: what it is made for as chips, its samples' colours as swatches.

Colours are those that the prompts of its sample pictures name, the most frequent first.
"""

from diffagent_tools.agents.facts import facets_of
from diffagent_tools.ui.html import text_of
from retrieval.records.model import ModelRecord

_TAGS, _COLOURS = 8, 5
COLOURS = {
    "black": "#1f1f1f",
    "white": "#fafafa",
    "grey": "#8a8a8a",
    "silver": "#c0c0c0",
    "red": "#d32f2f",
    "crimson": "#a3142b",
    "orange": "#f57c00",
    "gold": "#d4af37",
    "yellow": "#fbd02d",
    "cream": "#fff3d6",
    "beige": "#e8dcc0",
    "brown": "#795548",
    "green": "#388e3c",
    "emerald": "#1f9d6b",
    "teal": "#00897b",
    "turquoise": "#30c5c0",
    "cyan": "#00bcd4",
    "blue": "#1e66d0",
    "navy": "#1b2a5c",
    "indigo": "#3f51b5",
    "violet": "#7e57c2",
    "purple": "#8e24aa",
    "lavender": "#c5b6ea",
    "magenta": "#c2188b",
    "pink": "#f48fb1",
}
_SAME = {"gray": "grey", "golden": "gold"}


def colours_of(record: ModelRecord) -> list[str]:
    """The colours that the sample prompts name, the most frequent first."""
    shares: dict[str, float] = {}
    for term, share in record.terms.items():
        name = _SAME.get(term, term)
        if name in COLOURS:
            shares[name] = max(share, shares.get(name, 0.0))
    return sorted(shares, key=lambda name: -shares[name])[:_COLOURS]


def facts_html(record: ModelRecord) -> str:
    """Chips and swatches, as far as there are any; a swatch says its colour in words, too."""
    made_for, tags = facets_of(record), record.tags[:_TAGS]
    parts = [
        _row("Made for", "".join(_chip(text_of(name, 60)) for name in made_for)),
        _row("Its creator files it under", "".join(_chip(text_of(tag, 60)) for tag in tags)),
        _row("Colours of its samples", "".join(_swatch(name) for name in colours_of(record))),
    ]
    return "".join(parts)


def _row(title: str, chips: str) -> str:
    return f'<h3>{title}</h3><ul class="da-chips">{chips}</ul>' if chips else ""


def _chip(text: str) -> str:
    return f'<li class="da-chip">{text}</li>'


def _swatch(name: str) -> str:
    dot = f'<span class="da-dot" style="background:{COLOURS[name]}" aria-hidden="true"></span>'
    return _chip(f"{dot}{name}")

"""How well a model fits a request, in words: the one place where the page and the chat take them from.

fit = fit_of(selection)
fit.level, fit.words          # "strong", "A strong match"
"""

from dataclasses import dataclass
from typing import Literal

from diffagent_tools.select.selection import Selection

Level = Literal["strong", "fair", "weak"]
_STRONG, _FAIR = 0.7, 0.45
"""chances that the answer is right"""


@dataclass(frozen=True)
class Fit:
    """`level` for the looks of it, `words` for a person; `advice` says what would help a weak match."""

    level: Level
    words: str
    advice: str = ""


_FITS = {
    "strong": Fit("strong", "A strong match"),
    "fair": Fit("fair", "A fair match"),
    "weak": Fit(
        "weak",
        "A weak match",
        "It helps to name a style, such as watercolor, photo, anime or pixel art, and what should be in the "
        "picture.",
    ),
}


def fit_of(selection: Selection) -> Fit | None:
    """The fit of a model; None where nobody measured it, as for one that the person chose."""
    sure, evidence = selection.confidence, selection.evidence
    if selection.abstained:
        return _FITS["weak"]
    if sure is None:
        return None
    told = bool(
        evidence.name_said or evidence.made_for or evidence.matched_trigger_words or evidence.all_round
    )
    if told and sure >= _STRONG:
        return _FITS["strong"]
    return _FITS["fair"] if told and sure >= _FAIR else _FITS["weak"]

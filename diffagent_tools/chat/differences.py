"""How an alternative differs from the chosen model, in words, from facts of both records.

difference(best, other, catalogue)        # "a checkpoint instead; more watercolor; images may be sold"
"""

from diffagent_tools.quoting import NAME_CHARS, plain
from diffagent_tools.select.selection import Selection
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord
from retrieval.search.purpose import MADE_FOR, is_medium, strengths

_FEW, _MUCH = 2, 0.15
_TIMES = 5


def named(name: str) -> str:
    """A model's name as a person reads it."""
    return plain(name, NAME_CHARS)


def popularity(record: ModelRecord) -> str:
    """Downloads and rating, where they are known."""
    stats = record.stats
    parts = []
    if stats.downloads:
        parts.append(f"{_count(stats.downloads)} downloads")
    if stats.rating and stats.rating_count:
        parts.append(f"rated {stats.rating:.1f} of 5 by {stats.rating_count:,}")
    return ", ".join(parts)


def difference(best: Selection, other: Selection, catalogue: Catalogue) -> str:
    """What is other about an alternative, the most telling first; at least one thing is said."""
    said: list[str] = []
    if other.api.type != best.api.type:
        said.append("a checkpoint instead" if other.api.type == "Checkpoint" else "a LoRA instead")
    if other.api.base_model != best.api.base_model:
        said.append(f"for {plain(other.api.base_model, NAME_CHARS)}")
    mine, its = _record(best, catalogue), _record(other, catalogue)
    if mine is not None and its is not None:
        said += _styles(mine, its)
    if other.may_sell and not best.may_sell:
        said.append("images may be sold")
    elif best.may_sell and other.may_sell is False:
        said.append("images may not be sold")
    if mine is not None and its is not None:
        own, more = mine.stats.downloads or 0, its.stats.downloads or 0
        if own and more >= _TIMES * own:
            said.append("used much more")
        elif more and own >= _TIMES * more:
            said.append("less known")
    if not said and mine is not None and its is not None:
        said += _besides(mine, its)
    return "; ".join(said[: _FEW + 1]) or "a similar look by somebody else"


def _styles(mine: ModelRecord, its: ModelRecord) -> list[str]:
    """The styles that the other one is made for, and this one is not."""
    own, theirs = strengths(mine), strengths(its)
    more = sorted(
        (
            (value - own.get(name, 0.0), name)
            for name, value in theirs.items()
            if is_medium(name) and value >= MADE_FOR and value - own.get(name, 0.0) >= _MUCH
        ),
        reverse=True,
    )
    names = [_STYLE_WORDS.get(name, name) for _, name in more[:_FEW]]
    return [f"more {' and '.join(names)}"] if names else []


def _besides(mine: ModelRecord, its: ModelRecord) -> list[str]:
    """What else the other one is made for: worlds and subjects."""
    own = strengths(mine)
    more = sorted(
        (-value, name) for name, value in strengths(its).items() if value >= MADE_FOR and name not in own
    )
    return [f"also made for {' and '.join(name for _, name in more[:_FEW])}"] if more else []


_STYLE_WORDS = {
    "photo": "photo-like",
    "flat": "flat",
    "3d": "3D",
    "disney 3d": "3D cartoon",
    "toy": "toy-like",
}


def _record(selection: Selection, catalogue: Catalogue) -> ModelRecord | None:
    number = selection.api.model_id
    return catalogue.get(number) if number is not None and number in catalogue else None


def _count(number: int) -> str:
    return f"{number / 1000:.0f}k" if number >= 10_000 else f"{number:,}"

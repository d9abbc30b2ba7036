"""Which models the packaged catalogue leaves out: flags, rules over words, and what reading decided.

screened = screen(models, Decisions.packaged())
screened.kept, screened.dropped
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import retrieval
from retrieval.tables.screen import is_advertised, is_blocked, is_likeness, is_of_minors

SCREENED = "screened.json"


Row = Mapping[str, Any]
PACKAGED = Path(retrieval.__file__).parent / "catalogue" / "starter"


@dataclass(frozen=True)
class Dropped:
    """A model that is left out: one of a few reasons, and what of it says so."""

    model_id: int
    reason: str
    why: str


@dataclass(frozen=True)
class Screened:
    """The models that stay, and those that do not."""

    kept: list[Row]
    dropped: list[Dropped] = field(default_factory=list)


@dataclass(frozen=True)
class Decisions:
    """What reading decided, over the rules: models to leave out, and ids that stay in spite of a rule."""

    removed: Mapping[int, Dropped] = field(default_factory=dict)
    kept: frozenset[int] = frozenset()

    @classmethod
    def packaged(cls) -> "Decisions":
        """Those of retrieval/catalogue/starter/screened.json."""
        read = json.loads((PACKAGED / SCREENED).read_text(encoding="utf-8"))
        removed = {row["model_id"]: Dropped(**row) for row in read["removed"]}
        return cls(removed, frozenset(row["model_id"] for row in read["kept"]))


def screen(models: Iterable[Row], decisions: Decisions | None = None) -> Screened:
    """Leaves out models that are flagged, found by a rule, or that reading decided against."""
    decided = decisions or Decisions()
    result = Screened([])
    for model in models:
        dropped = decided.removed.get(model["model_id"]) or _dropped(model, model["model_id"] in decided.kept)
        if dropped is None:
            result.kept.append(model)
        else:
            result.dropped.append(dropped)
    return result


def _dropped(model: Row, looked_at: bool) -> Dropped | None:
    number = model["model_id"]
    if model["nsfw"]:
        return Dropped(number, "sexual", "flagged NSFW")
    if model["poi"]:
        return Dropped(number, "real person", "flagged so")
    if looked_at:
        return None
    named = {"its name": [model["model"]], "a tag": model["tags"]}
    named["a version's name"] = [version["name"] for version in model["versions"]]
    if model["type"] == "LORA":
        # a checkpoint's trigger words are what its samples said, a LoRA's are what it was trained for
        named["a trigger word"] = model["trigger_words"]
    if is_blocked(model["model"]):
        return Dropped(number, "sexual", "its name offers it")
    for reason, says in (("minors", is_of_minors), ("sexual", is_advertised)):
        for where, words in named.items():
            if any(map(says, words)):
                return Dropped(number, reason, f"{where} offers it")
    if any(map(is_likeness, (model["model"], *model["tags"]))):
        return Dropped(number, "real person", "its name or a tag says so")
    return None

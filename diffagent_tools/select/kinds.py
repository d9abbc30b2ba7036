"""What a LoRA changes: the style, the subject or a detail, by what its record says that it is made for.

kind_of(record)      # "style", "subject" or "detail"

Two of one kind would quarrel in one picture (several.py).
"""

from typing import Literal

from retrieval.records.model import ModelRecord
from retrieval.search.purpose import ALL_ROUND, strengths
from retrieval.tables.facets import facets

Kind = Literal["style", "subject", "detail"]
MADE_FOR = 0.6
"""the strength of a facet from which a LoRA is of its kind"""
WIDE = frozenset((*ALL_ROUND, "anime", "illustration", "painting"))
"""media that most models can do, which tell no LoRA from another"""
_SURE = 0.9
_STYLE_TAGS = frozenset({"style", "styles", "art style", "artstyle", "style lora", "style art"})
# the categories under which Civitai files what is no style, and what creators add to them
_SUBJECT_TAGS = frozenset(
    (
        *("character", "animal", "animals", "objects", "object", "vehicle", "vehicles", "buildings"),
        *("building", "creature", "robot", "architecture", "food", "car", "cars", "weapon", "weapons"),
    )
)
_DETAIL_TAGS = frozenset(
    (
        *("concept", "clothing", "clothes", "poses", "pose", "action", "background", "backgrounds"),
        *("tool", "tools", "light", "lighting", "effect", "effects", "detail", "expression", "eyes"),
    )
)


def kind_of(record: ModelRecord) -> Kind:
    """A medium is a style. A world ("steampunk") is what is shown, as are characters, animals and things;
    poses, outfits, effects and light are details."""
    tags = {tag.casefold() for tag in record.tags}
    kinds = {each.name: each.kind for each in facets()}
    strong = {facet: value for facet, value in made_for(record).items() if value >= MADE_FOR}
    narrow = {facet: value for facet, value in strong.items() if facet not in WIDE} or strong
    strongest = max(narrow, key=lambda facet: narrow[facet], default=None)
    kind = kinds[strongest] if strongest else None
    if kind in ("genre", "subject") or (_SUBJECT_TAGS & tags and not _STYLE_TAGS & tags):
        return "subject"
    if strongest and kind == "medium" and strongest not in WIDE and narrow[strongest] >= _SURE:
        return "style"
    if _DETAIL_TAGS & tags:
        return "detail"
    return "style" if _STYLE_TAGS & tags or kind == "medium" else "detail"


def made_for(record: ModelRecord) -> dict[str, float]:
    """How much it is made for each facet, without what only Civitai's category "concept" says, which is no
    concept art."""
    found = strengths(record)
    tags = {tag.casefold() for tag in record.tags}
    if "concept" in tags and not any("concept art" in tag for tag in tags):
        found.pop("concept art", None)
    return found

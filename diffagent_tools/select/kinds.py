"""What a LoRA changes: the style, the subject or a detail, by what its record says that it is made for.

kind_of(record)      # "style", "subject" or "detail"

Two of one kind would quarrel in one picture (several.py).
"""

from typing import Literal

from retrieval.records.model import ModelRecord
from retrieval.search.purpose import MADE_FOR, STYLE_TAGS, WIDE, strengths
from retrieval.tables.facets import facets

Kind = Literal["style", "subject", "detail"]
_SURE = 0.5
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
    strong = {facet: value for facet, value in strengths(record).items() if value >= MADE_FOR}
    narrow = {facet: value for facet, value in strong.items() if facet not in WIDE} or strong
    strongest = max(narrow, key=lambda facet: narrow[facet], default=None)
    kind = kinds[strongest] if strongest else None
    if kind in ("genre", "subject") or (_SUBJECT_TAGS & tags and not STYLE_TAGS & tags):
        return "subject"
    if strongest and kind == "medium" and strongest not in WIDE and narrow[strongest] >= _SURE:
        return "style"
    if _DETAIL_TAGS & tags:
        return "detail"
    return "style" if STYLE_TAGS & tags or kind == "medium" else "detail"

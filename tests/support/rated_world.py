"""Castles of every rating, all the same but for that, so that only rating and consent tell them apart.

catalogue = rated_catalogue()
"""

from typing import Any

from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord

ASKED = "a dark gothic castle"
LEVELS = (1, 2, 4, 8, 16)
SAFE_IDS = {1, 10, 17}
"""What may come without asking: the base model is 62437, and not listed here."""
UNRATED, ADULT_BY_WORDS, PERSON, MINOR, FLAGGED, LOOKALIKE = 10, 11, 12, 13, 14, 15
ADULT_BASE, ON_ADULT_BASE = 16, 17


def castle(model_id: int, **more: Any) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "model": f"Castle number {model_id}",
        "type": "LORA",
        "base_model": "SD 1.5",
        "description": "Dark gothic castles and ruined towers.",
        "trigger_words": ["gothic castle"],
        "versions": [{"version_id": model_id * 10, "version": "v1", "base_model": "SD 1.5"}],
        **more,
    }


def rated_records() -> list[dict[str, Any]]:
    """What a catalogue's file holds, a mapping each."""
    settings = {
        "base_checkpoint": {"model": "Castle number 16", "model id": ADULT_BASE, "version id": 160},
        "samples": 3,
    }
    return [
        {
            "model_id": 62437,
            "model": "v1-5-pruned-emaonly",
            "type": "Checkpoint",
            "base_model": "SD 1.5",
            "nsfw": False,
        },
        *(castle(place, nsfw_level=level) for place, level in enumerate(LEVELS, 1)),
        castle(UNRATED),
        castle(ADULT_BY_WORDS, tags=["hentai"]),
        castle(PERSON, nsfw=False, poi=True),
        castle(MINOR, nsfw=False, minor=True),
        castle(FLAGGED, nsfw=True),
        castle(LOOKALIKE, nsfw=False, tags=["celebrity"]),
        castle(ADULT_BASE, type="Checkpoint", trigger_words=[], nsfw=True),
        castle(ON_ADULT_BASE, nsfw=False, settings=settings),
    ]


def rated_catalogue() -> Catalogue:
    return Catalogue((ModelRecord.model_validate(each) for each in rated_records()), name="the castles")

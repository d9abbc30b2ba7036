"""Eight made-up models for the tests of the index, and an embedder that counts and can fail."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import retrieval.search.index_build
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord
from retrieval.search.encoders import HashEmbedder
from retrieval.search.index import DescriptionIndex

if TYPE_CHECKING:
    from multiprocessing import Queue

    from retrieval.search.encoders import Vectors

RECORDS: list[dict[str, Any]] = [
    {
        "model_id": 1,
        "model": "Pixel Helper",
        "type": "LORA",
        "base_model": "SD 1.5",
        "description": "Small sprites on few colours.",
        "trigger_words": ["pixel art", "16bit"],
        "terms": {"sprite": 0.5, "corgi": 0.25, "game": 0.25, "small sprite": 0.25},
        "negative_terms": {"photo": 1.0},
        "commercial_use": ["Image"],
        "nsfw": False,
        "samples": 4,
    },
    {
        "model_id": 2,
        "model": "Aqua Wash",
        "type": "LORA",
        "base_model": "SDXL 1.0",
        "description": "Watercolour landscapes, soft washes.",
        "trigger_words": ["wtrclr"],
        "tags": ["painting", "landscape"],
        "commercial_use": [],
        "nsfw_level": 4,
    },
    {
        "model_id": 3,
        "model": "Grand Photo Mix",
        "type": "Checkpoint",
        "base_model": "SD 1.5",
        "description": "Photographs of people and streets.",
        "terms": {"photo": 0.75, "street": 0.5, "film grain": 0.25},
        "negative_terms": {"cartoon": 0.5, "drawing": 0.5},
        "commercial_use": ["Image", "Sell"],
        "nsfw_level": 1,
        "samples": 8,
    },
    {
        "model_id": 4,
        "model": "Old Photo Mix",
        "type": "Checkpoint",
        "base_model": "SD 1.5",
        "description": "Photographs of people and streets, withdrawn.",
        "available": False,
        "status": "deleted",
    },
    {
        "model_id": 5,
        "model": "SDXL base",
        "type": "Checkpoint",
        "base_model": "SDXL 1.0",
        "description": "The base model.",
        "nsfw": False,
        "commercial_use": ["Image"],
    },
    {
        "model_id": 6,
        "model": "墨彩 Ink",
        "type": "LORA",
        "base_model": "SD 1.5",
        "description": "Ink paintings of mountains.",
        "trigger_words": ["shukezouma"],
        "terms": {"水墨": 0.5, "mountain": 0.5},
        "nsfw_level": 16,
        "samples": 2,
    },
    {
        "model_id": 7,
        "model": "Night City",
        "type": "LORA",
        "base_model": "SD 1.5",
        "description": "Neon streets at night, rain.",
        "tags": ["cyberpunk"],
        "terms": {"neon": 0.8, "rain": 0.4},
        "commercial_use": ["Rent"],
        "samples": 5,
    },
    {"model_id": 8, "model": ">_<", "type": "LORA", "base_model": "SD 1.5"},
]


def records(**changes: Any) -> list[ModelRecord]:
    """The eight, the first of them changed."""
    return [ModelRecord(**(row | (changes if row["model_id"] == 1 else {}))) for row in RECORDS]


def catalogue(name: str = "eight", **changes: Any) -> Catalogue:
    return Catalogue(records(**changes), name=name)


class CountingEmbedder(HashEmbedder):
    """Remembers what it was asked to embed; fails at call number `fails_at` (from 1), if one is given."""

    def __init__(self, dimension: int = 32, fails_at: int | None = None) -> None:
        super().__init__(dimension)
        self.texts: list[str] = []
        self._calls = 0
        self._fails_at = fails_at

    def embed(self, texts: Sequence[str]) -> "Vectors":
        self._calls += 1
        if self._calls == self._fails_at:
            raise KeyboardInterrupt
        self.texts += texts
        return super().embed(texts)


class DyingEmbedder(CountingEmbedder):
    """Takes the process with it at call number `fails_at`, as a killed build does."""

    def embed(self, texts: Sequence[str]) -> "Vectors":
        try:
            return super().embed(texts)
        except KeyboardInterrupt:
            os._exit(9)


def build(path: Path, dies_at: int | None, batch: int, done: "Queue[int] | None") -> None:
    """In a process of its own: builds the index and tells how many texts were embedded."""
    retrieval.search.index_build.BATCH = batch
    embedder = DyingEmbedder(fails_at=dies_at)
    DescriptionIndex(catalogue(), embedder, path=path).open()
    if done is not None:
        done.put(len(embedder.texts))

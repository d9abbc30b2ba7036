"""What a trainer wrote into a LoRA: its name, the base it was trained on, and the captions of its pictures.

    told = read_training(read_weights(path).metadata)
    told.tags           # {"pixel art": 1.0, "corgi": 0.4}: the share of the pictures that were said to be so
    told.triggers       # what the author says to write

Kohya's names begin with `ss_`, those of the public model specification with `modelspec.`. All of it is text
of strangers, read with limits; what cannot be read is not there.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from retrieval.records.civitai import text, whole

MAX_CHARS = 20_000_000
MAX_TAGS = 20_000
TAGS_KEPT = 100
_TAG_CHARS = 80
_BASES = ("ss_base_model_version", "modelspec.architecture", "ss_sd_model_name", "modelspec.merged_from")


@dataclass(frozen=True)
class Training:
    """What is known of a LoRA's making, or of a model by its specification.

    `base`: names of what it was trained on or merged from, as written. `tags`: the most frequent captions'
    tags with the share of pictures that have them.
    """

    title: str | None = None
    base: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    tags: Mapping[str, float] = field(default_factory=dict)
    description: str = ""
    author: str | None = None


def read_training(metadata: Mapping[str, Any]) -> Training:
    """What the metadata say; values are JSON text, or read already, as A1111's API gives them."""
    spec = {key.removeprefix("modelspec."): value for key, value in metadata.items()}
    base = [text(metadata.get(key)) for key in _BASES]
    written = text(spec.get("description")) or text(metadata.get("ss_training_comment"))
    phrase = text(spec.get("trigger_phrase"))
    return Training(
        title=text(spec.get("title")) or text(metadata.get("ss_output_name")),
        base=tuple(name[:200] for name in base if name),
        triggers=(phrase[:400],) if phrase else (),
        tags=_tags(metadata),
        description=(written or "")[:20_000],
        author=text(spec.get("author")),
    )


def _tags(metadata: Mapping[str, Any]) -> dict[str, float]:
    folders = _object(metadata.get("ss_tag_frequency"))
    sizes = _object(metadata.get("ss_dataset_dirs"))
    counts: Counter[str] = Counter()
    pictures = 0
    for name, held in list(folders.items())[:1000]:
        if not isinstance(held, Mapping):
            continue
        found = {
            " ".join(tag.split()): count
            for tag, value in list(held.items())[:MAX_TAGS]
            if isinstance(tag, str) and (count := whole(value)) is not None and count > 0
        }
        counts.update({tag: count for tag, count in found.items() if 0 < len(tag) <= _TAG_CHARS})
        size = sizes.get(name)
        stated = whole(size.get("img_count")) if isinstance(size, Mapping) else None
        # a picture says a tag once, so that there are at least as many
        pictures += max(stated or 0, max(found.values(), default=0))
    return {tag: round(count / pictures, 4) for tag, count in counts.most_common(TAGS_KEPT)}


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str) and len(value) <= MAX_CHARS:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}

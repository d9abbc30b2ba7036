"""Vectors that come with the weights, of a catalogue's models: in half precision.

PromptVectors.load(path).known([201, 202])     # of training prompts, by the fine-tuned encoder

Those of a catalogue of one's own are made and kept by retrieval/search/kept_vectors.py.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import AdapterError
from retrieval.search.encoders import Encoder
from retrieval.search.fusion import all_usable
from retrieval.storage import Progress, atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_STRIDE = 1_000


@dataclass(frozen=True, eq=False)
class PromptVectors:
    """Mean vectors of training prompts, [N, D] rows of length one: `full` with the negative prompts read
    along, `plain` without."""

    model_ids: tuple[int, ...]
    full: "Vectors"
    plain: "Vectors"

    def save(self, path: Path) -> None:
        import numpy as np
        from safetensors.numpy import save

        half = {"full": self.full.astype(np.float16), "plain": self.plain.astype(np.float16)}
        atomic_write(path, save(half, {"model_ids": json.dumps(self.model_ids)}))

    @classmethod
    def load(cls, path: Path) -> "PromptVectors":
        """Raises OSError, SafetensorError, KeyError or ValueError where the file is no such file."""
        import numpy as np
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            made = cls(
                tuple(json.loads((file.metadata() or {})["model_ids"])),
                file.get_tensor("full").astype(np.float32),
                file.get_tensor("plain").astype(np.float32),
            )
        all_usable(full=made.full, plain=made.plain)
        if made.full.shape != made.plain.shape or len(made.full) != len(made.model_ids):
            raise ValueError(f"{len(made.model_ids)} models have vectors of {made.full.shape}")
        return made

    def known(self, model_ids: Sequence[int]) -> "tuple[NDArray[np.intp], PromptVectors]":
        """The places, in `model_ids`, of those models that have training prompts, and their vectors."""
        import numpy as np

        places = np.flatnonzero(np.isin(np.asarray(model_ids, np.int64), self.model_ids))
        row_of = {model_id: row for row, model_id in enumerate(self.model_ids)}
        known = tuple(model_ids[place] for place in places.tolist())
        rows = [row_of[model_id] for model_id in known]
        return places, PromptVectors(known, self.full[rows], self.plain[rows])


def packaged_facts(folder: Path, digest: str) -> Path:
    """Where a retriever's folder holds the vectors of a catalogue's facts, if it was made with them."""
    return folder / f"facts-{digest[:12]}.safetensors"


def packaged_vectors(path: Path) -> "Vectors":
    """Those of `packaged_facts`, [N, D].

    Raises:
        AdapterError: the file is damaged.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        vectors: Vectors = load_file(path)["facts"].astype(np.float32)
        all_usable(facts=vectors)
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise AdapterError(f"cannot read {path} ({error}); finetune/ranker/encoder.py writes it") from error
    return vectors


def save_vectors(path: Path, name: str, vectors: "Vectors") -> None:
    import numpy as np
    from safetensors.numpy import save

    atomic_write(path, save({name: vectors.astype(np.float16)}))


def embed_texts(encoder: Encoder, name: str, texts: Sequence[str], tell: Progress) -> "Vectors":
    """Texts as vectors, [N, D]; says how far it is, calling them `name`."""
    import numpy as np

    parts: list[Vectors] = []
    for first in range(0, len(texts), _STRIDE):
        part = texts[first : first + _STRIDE]
        parts.append(encoder.embed([encoder.text_ids(text) for text in part]))
        tell(f"read the {name} of {first + len(part):,} of {len(texts):,} models, once for this catalogue")
    return np.concatenate(parts) if parts else np.zeros((0, encoder.width), np.float32)

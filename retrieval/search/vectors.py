"""Vectors of a catalogue's models, packaged or kept: half precision, with the names of what made them.

PromptVectors.load(path).rows_for([201, 202])     # of its training prompts, by the fine-tuned encoder
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.search.encoders import Encoder, LazyEncoder
from retrieval.search.fusion import all_usable
from retrieval.storage import atomic_write, cache_dir

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_STRIDE = 1_000

Progress = Callable[[str], None]


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

    def rows_for(self, model_ids: Sequence[int]) -> "PromptVectors":
        """The same for other models in their order; zeros where a model has no training prompts."""
        import numpy as np

        place = {model_id: row for row, model_id in enumerate(self.model_ids)}
        known = [(row, place[model_id]) for row, model_id in enumerate(model_ids) if model_id in place]
        full = np.zeros((len(model_ids), self.full.shape[1]), np.float32)
        plain = np.zeros_like(full)
        if known:
            to, of = map(list, zip(*known, strict=True))
            full[to], plain[to] = self.full[of], self.plain[of]
        return PromptVectors(tuple(model_ids), full, plain)


def packaged_facts(folder: Path, digest: str) -> Path:
    """Where a retriever's folder holds the vectors of a catalogue's facts, if it was made with them."""
    return folder / f"facts-{digest[:12]}.safetensors"


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


def cached_path(encoder: "LazyEncoder", digest: str, name: str) -> Path:
    """Where vectors of another catalogue are kept, under the digests of retriever and catalogue."""
    return cache_dir("retriever") / f"{encoder.digest[:12]}-{digest[:12]}-{name}.safetensors"


def kept_vectors(
    kept: Path, name: str, encoder: Encoder, count: int, texts: Callable[[], Sequence[str]], tell: Progress
) -> "Vectors":
    """The vectors in a file, [N, D]; made of `count` texts, and kept, where it holds none that fit."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if kept.is_file():
        try:
            vectors: Vectors = load_file(kept)[name].astype(np.float32)
            all_usable(**{name: vectors})
        except (SafetensorError, KeyError, OSError, ValueError):
            tell(f"{kept} is damaged; making it again")
        else:
            if len(vectors) == count:
                return vectors
    # at the precision of the file, so that the first answer is the second one's
    vectors = embed_texts(encoder, name, texts(), tell).astype(np.float16).astype(np.float32)
    save_vectors(kept, name, vectors)
    return vectors

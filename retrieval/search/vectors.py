"""Vectors of a catalogue's models, as they are packaged: half precision, with the names of what made them.

Embeddings.load(path).row(model_id)
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import CatalogueError
from retrieval.storage import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KEY = "diffagent"  # one entry, because safetensors writes several in an order that changes


@dataclass(frozen=True, eq=False)
class Embeddings:
    """`matrix` [N, D] float16 with rows of length one, row i for `model_ids[i]`; made by `embedder` out of
    `document_text` of version `document_schema` for the catalogue whose digest is `catalogue`."""

    model_ids: tuple[int, ...]
    matrix: "NDArray[np.float16]"
    embedder: str
    catalogue: str
    document_schema: int

    @functools.cached_property
    def _row(self) -> dict[int, int]:
        return {model_id: row for row, model_id in enumerate(self.model_ids)}

    def __contains__(self, model_id: object) -> bool:
        return model_id in self._row

    def row(self, model_id: int) -> "NDArray[np.float32]":
        """The vector of a model, [D] float32. Raises KeyError for a model without one."""
        import numpy as np

        vector: NDArray[np.float32] = self.matrix[self._row[model_id]].astype(np.float32)
        return vector

    @classmethod
    def load(cls, path: Path) -> "Embeddings":
        """Raises CatalogueError if the file is not one of this kind."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                metadata = json.loads((file.metadata() or {})[_KEY])
                return cls(
                    model_ids=tuple(metadata["model_ids"]),
                    matrix=file.get_tensor("embeddings"),
                    embedder=metadata["embedder"],
                    catalogue=metadata["catalogue"],
                    document_schema=metadata["document_schema"],
                )
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise CatalogueError(
                f"cannot read the embeddings {path} ({error!r}); delete the file, the index will embed anew"
            ) from error

    def save(self, path: Path) -> None:
        """Writes the file; equal content gives equal bytes."""
        from safetensors.numpy import save

        metadata = {
            "model_ids": self.model_ids,
            "embedder": self.embedder,
            "catalogue": self.catalogue,
            "document_schema": self.document_schema,
        }
        packed = json.dumps(metadata, separators=(",", ":"))
        atomic_write(path, save({"embeddings": self.matrix}, metadata={_KEY: packed}))

"""Arrays that take long to make, kept in a file below `DIFFAGENT_HOME`.

    tables = kept_tables(digest, lambda: make(records))   # made once, read afterwards

The file's name holds the digest of what the arrays are made from and that of the code that makes them, so
that neither a changed catalogue nor a newer version reads what an older one made. It is mapped into memory:
what nobody looks at is not read, and processes share it. Where nothing can be kept, the arrays are made every
time.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.errors import StorageError
from retrieval.storage import atomic_write, cache_dir

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tables = Mapping[str, NDArray[Any]]

_FOLDER = "tables"
_MOST_FILES = 8
_TYPES = {"U8": "u1", "BOOL": "?", "I32": "<i4", "I64": "<i8", "U64": "<u8", "F16": "<f2", "F32": "<f4"}
_CODE = ("**/*.py", "tables/*.txt", "tables/*.json")


def kept_tables(digest: str, make: "Callable[[], dict[str, NDArray[Any]]]") -> "Tables":
    """The arrays of a file; made, and kept if that is possible, where there is none that can be read.

    Args:
        digest: of what they are made from, in hex digits.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save

    try:
        path = cache_dir(_FOLDER) / f"{digest[:32]}-{_code_digest()}.safetensors"
    except StorageError:
        return make()
    with suppress(OSError, SafetensorError):
        return mapped(path)
    tables = make()
    # they are as good unkept: an answer needs no room on the disk
    with suppress(StorageError):
        atomic_write(path, save(tables))
        _prune(path.parent)
    return tables


def mapped(path: Path) -> "Tables":
    """The arrays of a safetensors file, read-only and where they lie; the library's own readers copy them.

    Raises:
        OSError, SafetensorError: there is no such file, or a part of it is missing.
    """
    import numpy as np
    from safetensors import safe_open

    # refuses a file whose header and length do not fit
    with safe_open(path, framework="numpy"):
        pass
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    whole = np.memmap(path, np.uint8, "r", offset=8 + length)
    return {
        name: np.asarray(whole[slice(*found["data_offsets"])])
        .view(_TYPES[found["dtype"]])
        .reshape(found["shape"])
        for name, found in header.items()
    }


def packed(values: Sequence[Any]) -> "NDArray[Any]":
    """Texts, or lists of texts, as an array of bytes."""
    import numpy as np

    return np.frombuffer(json.dumps(list(values)).encode(), np.uint8)


def unpacked(array: "NDArray[Any]") -> Any:
    """What `packed` was given."""
    return json.loads(array.tobytes())


def _prune(folder: Path) -> None:
    """Leaves the newest files: those of older catalogues and versions are of no more use."""
    with suppress(OSError):
        files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
        for path in files[:-_MOST_FILES]:
            path.unlink(missing_ok=True)


@functools.cache
def _code_digest() -> str:
    """12 hex digits of this package's code and tables: whatever of them changes, arrays are made anew."""
    folder = Path(__file__).parent
    content = hashlib.sha256()
    for path in sorted({path for pattern in _CODE for path in folder.glob(pattern)}):
        content.update(path.read_bytes())
    return content.hexdigest()[:12]

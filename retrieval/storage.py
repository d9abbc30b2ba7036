"""Where this project keeps files on a user's machine, and how it writes them.

DIFFAGENT_HOME=/data/diffagent diffagent info
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from retrieval.errors import StorageError


def home() -> Path:
    """The folder for everything that can be made again: `DIFFAGENT_HOME`, else the user's cache folder."""
    chosen = os.environ.get("DIFFAGENT_HOME")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("diffagent", appauthor=False)


def cache_dir(*parts: str) -> Path:
    """A folder below `home()`, made if it is missing.

    Raises:
        StorageError: the folder cannot be made or written.
    """
    path = home().joinpath(*parts)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path} ({error.strerror}); {_WHAT_TO_DO}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write to the folder {path} (permission denied); {_WHAT_TO_DO}")
    return path


def atomic_write(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Writes a file so that a reader sees the old one or the whole new one, never a part.

    Args:
        content: the bytes, or a function that writes them to the temporary path it is given.

    Raises:
        StorageError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # the suffix is kept, because writers such as safetensors and gzip look at it
        temporary = path.parent / f".{path.stem}-{secrets.token_hex(8)}{path.suffix}"
        # not mkstemp, whose files nobody else may read
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(handle, "wb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        if callable(content):
            content(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"cannot write {path} ({error.strerror or error}); {_WHAT_TO_DO}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


_WHAT_TO_DO = "free some space or name a folder that you may write in DIFFAGENT_HOME"

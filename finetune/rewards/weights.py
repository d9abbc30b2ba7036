"""The scorers' published weights: found on disk or fetched from the hub, checked, and kept as safetensors.

    path = find_weights(HubFile("openai/clip-vit-base-patch32", "pytorch_model.bin", sha256="a630..."))
    state = load_state(path)

The authors publish pickles (.pt, .bin). One is read only with `weights_only=True`, which runs no code, after
its SHA256 is the known one, and is written once as safetensors into the cache; from then on that is read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import BrokenModelFile, ChecksumError, MissingModelFile
from retrieval.storage import atomic_write, cache_dir, sha256_of

if TYPE_CHECKING:
    from torch import Tensor, nn

Download = Callable[["HubFile"], Path]
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PICKLES = (".pt", ".bin", ".pth")


@dataclass(frozen=True)
class HubFile:
    """A published file. Where `sha256` is not written down here, the hub's own record of it is taken."""

    repo: str
    filename: str
    revision: str = "main"
    sha256: str | None = None

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repo}/resolve/{self.revision}/{self.filename}"


def hub_download(file: HubFile) -> Path:
    """The file in the hub's cache, fetched if it is not there.

    Raises:
        MissingModelFile: neither the cache nor the network has it; the message says how to get it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(file.repo, file.filename, revision=file.revision))
    except (EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise MissingModelFile(
            f"{file.filename} is not in the hub's cache and cannot be fetched ({reason[0][:200]}). Fetch "
            f"it where there is a network with `hf download {file.repo} {file.filename}`, or save {file.url} "
            "and name the file as the scorer's weights"
        ) from error


def find_weights(file: HubFile, *, path: Path | None = None, download: Download = hub_download) -> Path:
    """A safetensors file with the weights.

    Args:
        path: the file on this machine, of either form; the hub's cache or the hub if None.
        download: fetches a file; another one for a mirror, or for a test.

    Raises:
        MissingModelFile: there is no such file; the message names it and says how to get it.
        ChecksumError: its SHA256 is not that of the published file.
        BrokenModelFile: it is no file of weights.
    """
    known = file.sha256
    if path is None:
        path = download(file)
        # the hub's cache names a large file by its SHA256
        if known is None and _SHA256.fullmatch(path.resolve().name):
            known = path.resolve().name
    elif not path.is_file():
        raise MissingModelFile(
            f"there is no file {path}; needed is {file.filename} of {file.repo}: get it with "
            f"`hf download {file.repo} {file.filename} --local-dir .`, or leave the path out"
        )
    if path.suffix == ".safetensors":
        return path
    if path.suffix not in _PICKLES:
        raise BrokenModelFile(
            f"{path} is neither .safetensors nor one of {', '.join(_PICKLES)}; needed is {file.filename} of "
            f"{file.repo}"
        )
    return as_safetensors(path, sha256=known)


def as_safetensors(path: Path, *, sha256: str | None = None) -> Path:
    """The safetensors copy of a pickle, made at the first call, in the cache.

    Args:
        sha256: of the published file; without it the file is read as it is, which runs no code of it.
    """
    digest = sha256_of(path)
    if sha256 is not None and digest != sha256:
        raise ChecksumError(
            f"{path} has the SHA256 {digest}, and the published file has {sha256}; it did not come whole or "
            "is another file: delete it and fetch it again"
        )
    target = cache_dir("scorers") / f"{path.stem}-{digest[:16]}.safetensors"
    if target.is_file():
        return target
    import pickle

    import torch
    from safetensors.torch import save_file

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise BrokenModelFile(
            f"{path} cannot be read as weights ({told[0][:200]}); delete it and fetch it again"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise BrokenModelFile(f"{path} holds no weights, but {type(content).__name__}; name a checkpoint")
    # clones, because safetensors refuses tensors that share memory
    whole = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    atomic_write(target, lambda temporary: save_file(whole, temporary, metadata={"sha256": digest}))
    return target


def find_beside(path: Path, file: HubFile) -> None:
    """Raises MissingModelFile where a small file that belongs to the weights is not there."""
    if not path.is_file():
        raise MissingModelFile(
            f"there is no file {path}, which belongs to the weights; get it with "
            f"`hf download {file.repo} {file.filename} --local-dir {path.parent}`"
        )


def load_state(path: Path) -> "dict[str, Tensor]":
    """All tensors of a safetensors file.

    Raises:
        BrokenModelFile: it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise BrokenModelFile(
            f"{path} cannot be read as safetensors ({error}); delete it and fetch it again"
        ) from error


def load_into(network: "nn.Module", state: "Mapping[str, Tensor]", path: Path, called: str) -> str:
    """Fills a network with the weights of a checkpoint; returns what tells these from others: the file's name
    and the head of its SHA256.

    Args:
        called: what the network is, for the message.

    Raises:
        BrokenModelFile: they are not those of the network.
    """
    loaded = network.load_state_dict(state, strict=False)
    missing, unknown = loaded.missing_keys, loaded.unexpected_keys
    if missing or unknown:
        raise BrokenModelFile(
            f"{path} is no checkpoint of {called}: {len(missing)} weights are missing and {len(unknown)} "
            f"are unknown, such as {', '.join([*missing, *unknown][:3])}"
        )
    return f"{path.name} {sha256_of(path)[:16]}"

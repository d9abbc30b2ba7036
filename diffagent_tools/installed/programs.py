"""Asks a program that runs which models it has: A1111, Forge, SD.Next by `/sdapi/v1`, ComfyUI by `/models`.

    found = read_program("http://127.0.0.1:8188")

It is asked for its lists, and for the header of each LoRA, never for a picture. A file that lies on this
machine is read here. What a program says is a stranger's text, and is read with limits.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from diffagent_tools.files.training_metadata import read_training
from diffagent_tools.files.weights_kind import Weights, family_in_words
from diffagent_tools.installed.facts import FoundFile, Told
from diffagent_tools.installed.scan import described, read_file
from diffagent_tools.installed.sidecars import beside
from retrieval.errors import InvalidInput, ServiceError
from retrieval.records.civitai import hash_text, text

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 50_000_000
MAX_FILES = 50_000
TIMEOUT = 30.0
_SHA256_LENGTH = 64
_COMFY_FOLDERS = (("checkpoints", "Checkpoint"), ("diffusion_models", "Checkpoint"), ("loras", "LORA"))
_COMFY_NODES = (
    ("CheckpointLoaderSimple", "ckpt_name", "Checkpoint"),
    ("UNETLoader", "unet_name", "Checkpoint"),
    ("LoraLoader", "lora_name", "LORA"),
)


def is_address(text: str) -> bool:
    """Whether it is the address of a program, and no folder."""
    return text.lower().startswith(("http://", "https://"))


def read_program(url: str, transport: "httpx.BaseTransport | None" = None) -> list[FoundFile]:
    """The models that a running program lists.

    Args:
        url: such as `http://127.0.0.1:7860`.
        transport: how requests are sent; tests pass their own.

    Raises:
        InvalidInput: it is no address.
        ServiceError: nothing answers there, or neither as A1111 nor as ComfyUI does.
    """
    import httpx

    try:
        base = httpx.URL(url.rstrip("/"))
        client = httpx.Client(base_url=base, transport=transport, timeout=TIMEOUT, follow_redirects=False)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise InvalidInput(f"{url[:200]!r} is no address; give one such as http://127.0.0.1:8188") from error
    root = f"{base.scheme}://{base.netloc.decode(errors='replace').rpartition('@')[2]}"
    with client:
        checkpoints = _json(client, "/sdapi/v1/sd-models", root)
        if isinstance(checkpoints, list):
            loras = _json(client, "/sdapi/v1/loras", root)
            return list(_of_webui(checkpoints, loras if isinstance(loras, list) else [], root))
        found = list(_of_comfyui(client, root))
    if not found:
        raise ServiceError(
            f"{root} answers neither as A1111 (started with --api) nor as ComfyUI, or has no models; give "
            "the address of its page, or the folder of its models"
        )
    return found


def _of_webui(checkpoints: list[Any], loras: list[Any], root: str) -> Iterator[FoundFile]:
    for kind, items in (("Checkpoint", checkpoints), ("LORA", loras)):
        for item in items[:MAX_FILES]:
            if not isinstance(item, Mapping):
                continue
            path = text(item.get("filename")) or text(item.get("path")) or ""
            name = text(item.get("model_name")) or text(item.get("name"))
            name = _title_name(text(item.get("title"))) or PurePosixPath(path.replace("\\", "/")).name or name
            if not name:
                continue
            metadata = item.get("metadata")
            digest = hash_text(item.get("sha256"))
            yield _listed(
                root,
                name,
                kind,
                metadata if isinstance(metadata, Mapping) else {},
                path=path or None,
                sha256=digest if digest and len(digest) == _SHA256_LENGTH else None,
            )


def _title_name(title: str | None) -> str | None:
    """A1111 titles a checkpoint by its name below the folder and a hash: `xl/base.safetensors [31e35c8]`."""
    return title.partition(" [")[0].strip() or None if title else None


def _of_comfyui(client: "httpx.Client", root: str) -> Iterator[FoundFile]:
    seen: set[tuple[str, str]] = set()
    for folder, kind in _COMFY_FOLDERS:
        listed = _json(client, f"/models/{folder}", root)
        for name in _names(listed):
            seen.add((kind, name))
            yield _listed(root, name, kind, _header(client, folder, name, root))
    if seen:
        return
    for node, field, kind in _COMFY_NODES:
        # versions before /models say it in the choices of their nodes alone
        info = _json(client, f"/object_info/{node}", root)
        for name in _names(_choices(info, node, field)):
            yield _listed(root, name, kind, {})


def _choices(info: Any, node: str, field: str) -> Any:
    """The choices of a node's input: first of a list as it was, or the options of a COMBO as it is now."""
    for key in (node, "input", "required", field):
        info = info.get(key) if isinstance(info, Mapping) else None
    if not isinstance(info, list) or not info:
        return None
    if isinstance(info[0], list):
        return info[0]
    options = info[1].get("options") if len(info) > 1 and isinstance(info[1], Mapping) else None
    return options


def _names(value: Any) -> list[str]:
    found = value if isinstance(value, list) else []
    return [name for name in found[:MAX_FILES] if isinstance(name, str) and 0 < len(name) < 1000]


def _header(client: "httpx.Client", folder: str, name: str, root: str) -> Mapping[str, Any]:
    if not name.endswith(".safetensors"):
        return {}
    found = _json(client, f"/view_metadata/{folder}?filename={quote(name, safe='')}", root)
    return found if isinstance(found, Mapping) else {}


def _listed(
    root: str,
    name: str,
    kind: str,
    metadata: Mapping[str, Any],
    *,
    path: str | None = None,
    sha256: str | None = None,
) -> FoundFile:
    """A file that a program lists: read here where it lies here, else by its metadata and its name."""
    if path is not None and Path(path).is_file():
        here = Path(path)
        names = beside(here.stem, [end for end in os.listdir(here.parent) if end.startswith(here.stem)])
        found = read_file(here, here.parent, names)
        return found.model_copy(update={"root": root, "name": name, "sha256": sha256 or found.sha256})
    if name.lower().endswith((".ckpt", ".pt", ".pth", ".bin", ".gguf")):
        return FoundFile(root=root, name=name, fault="it is no safetensors file, so that it is only named")
    training = read_training(metadata)
    words = " ".join((*training.base, name.replace("\\", "/")))
    family = family_in_words(" ".join(training.base)) or family_in_words(words)
    file = FoundFile(root=root, name=name, sha256=sha256, told=Told())
    found = described(file, Weights(kind, family, {}), training)
    return found.model_copy(update={"guessed": family_in_words(" ".join(training.base)) is None})


def _json(client: "httpx.Client", path: str, root: str) -> Any:
    """The JSON of an answer; None where the program does not know the question.

    Raises:
        ServiceError: nothing answers.
    """
    import httpx

    try:
        with client.stream("GET", path) as response:
            if response.status_code != httpx.codes.OK:
                return None
            body = bytearray()
            for block in response.iter_bytes():
                body += block
                if len(body) > MAX_BYTES:
                    return None
            return json.loads(bytes(body))
    except (ValueError, RecursionError):
        return None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceError(
            f"{root} does not answer ({type(error).__name__}); start the program, or give its models' folder"
        ) from error

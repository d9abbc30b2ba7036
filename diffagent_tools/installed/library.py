"""The catalogue of the last scan: where it is kept, and how it is read.

    library = Library()
    library.save(records, About(roots=("/home/me/ComfyUI/models",)))
    library.catalogue()         # of what is still there

It lies below `DIFFAGENT_HOME`, like everything that can be made again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.model import ModelRecord
from retrieval.storage import atomic_write, cache_dir

NAME = "the models that are installed"
NOTHING = "nothing has been scanned yet; say once where your models lie: `diffagent scan FOLDER`"


class About(BaseModel):
    """A scan: the folders and addresses, the catalogue that files were looked up in, how many models of each
    kind and family there are, and for each reason the files that were left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roots: tuple[str, ...] = ()
    catalogue: str = ""
    files: int = 0
    models: Mapping[str, int] = {}
    left: Mapping[str, tuple[str, ...]] = {}


class Library:
    """What the last scan found.

    Args:
        folder: where it is kept; None: below `DIFFAGENT_HOME`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder if folder is not None else cache_dir("installed")
        self.path = self.folder / "catalogue.jsonl"
        self._about = self.folder / "about.json"

    @property
    def stamp(self) -> tuple[int, int] | None:
        """Changes with every scan; None where there was none."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size

    def is_older_than(self, path: Path) -> bool:
        """Whether it is not there, or a file was written after it: it has to be made anew."""
        try:
            return self.stamp is None or self.stamp[0] < path.stat().st_mtime_ns
        except FileNotFoundError:
            return True

    @property
    def about(self) -> "About":
        """What the last scan looked through, and what it left out."""
        try:
            return About.model_validate_json(self._about.read_bytes())
        except (OSError, ValidationError):
            return About()

    def save(self, records: Sequence[ModelRecord], about: "About") -> None:
        """Keeps a scan.

        Raises:
            StorageError: it cannot be written.
        """
        Catalogue(records, NAME).save(self.path)
        atomic_write(self._about, about.model_dump_json(indent=1).encode())

    def catalogue(self) -> Catalogue:
        """Every model whose file is still there, and every LoRA whose checkpoint is.

        Raises:
            InvalidInput: nothing has been scanned, or nothing of it is left.
        """
        if self.stamp is None:
            raise InvalidInput(NOTHING)
        records = Catalogue.load(self.path)
        there = {record.model_id: kept for record in records if (kept := _still_there(record)) is not None}
        usable = [record for record in there.values() if record.available and _bound(record, there)]
        if not usable:
            raise InvalidInput(
                f"of the {len(records):,} models of the last scan none can be used (no checkpoint, or the "
                "files are gone); scan again with the folder of your checkpoints: `diffagent scan FOLDER`"
            )
        catalogue = Catalogue(usable, NAME)
        catalogue.path = self.path
        return catalogue


def _still_there(record: ModelRecord) -> ModelRecord | None:
    """The record with the versions whose files are there; those on other machines cannot be asked."""
    kept = tuple(each for each in record.versions if each.path is None or Path(each.path).exists())
    return record.model_copy(update={"versions": kept}) if kept else None


def _bound(record: ModelRecord, there: "dict[int, ModelRecord]") -> bool:
    if record.type == "Checkpoint":
        return True
    base = record.settings.base_checkpoint if record.settings else None
    return base is not None and base.model_id in there

"""Where the files of a call are had: address, file name, usual size, and the folders that they go into.

for each in downloads(api, catalogue):  # the model's own file first
    each.url, each.file_name, each.usual_size
"""

from dataclasses import dataclass

from diffagent_tools.files.wanted import WantedFile, wanted_files
from retrieval.catalogue import Catalogue
from retrieval.errors import UnknownBaseModel
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelType

FOLDERS = {
    "LORA": ("models/Lora", "models/loras"),
    "Checkpoint": ("models/Stable-diffusion", "models/checkpoints"),
}
"""Where a file goes in A1111 and Forge, and in ComfyUI."""
USUAL_SIZES = {"LORA": "usually 10 to 300 MB", "Checkpoint": "usually 2 to 7 GB"}
"""what a catalogue knows no file's size by: sizes are those of nearly all files of a type"""
_SITE = "https://civitai.com"


@dataclass(frozen=True)
class Download:
    """One file. `url` hands out the file itself, `page_url` tells of it; None where that is not known."""

    model: str
    type: ModelType
    file_name: str | None
    url: str | None
    page_url: str | None

    @property
    def usual_size(self) -> str:
        """In words."""
        return USUAL_SIZES[self.type]


def downloads(api: T2IApi, catalogue: Catalogue) -> tuple[Download, ...]:
    """The files that a call needs, its model's own first; none where its base model is of no known family."""
    try:
        wanted = wanted_files(api, catalogue)
    except UnknownBaseModel:
        return ()
    own = [wanted.lora] if wanted.lora is not None else []
    return tuple(_download(each, catalogue) for each in (*own, wanted.checkpoint, *wanted.loras))


def _download(wanted: WantedFile, catalogue: Catalogue) -> Download:
    number = wanted.model_id
    page = catalogue.get(number).page_url or None if number is not None and number in catalogue else None
    there = page is not None and page.startswith(_SITE) and wanted.version_id is not None
    return Download(
        model=wanted.model,
        type=wanted.type,
        file_name=next(iter(wanted.file_names), None),
        url=f"{_SITE}/api/download/models/{wanted.version_id}" if there else None,
        page_url=page,
    )

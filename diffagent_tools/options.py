"""Options that several commands share, and how they print JSON."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from retrieval.catalogue import Catalogue


class TypeName(StrEnum):
    """The two types of models."""

    lora = "LORA"
    checkpoint = "Checkpoint"


class ExportFormat(StrEnum):
    """`infotext-old` is for A1111 before 1.9, `comfyui-ui` the form that ComfyUI's editor saves."""

    infotext = "infotext"
    infotext_old = "infotext-old"
    comfyui = "comfyui"
    comfyui_ui = "comfyui-ui"
    diffusers = "diffusers"
    json = "json"
    air = "air"


CatalogueOption = Annotated[
    Path | None,
    typer.Option("--catalogue", help="A .jsonl or .jsonl.gz of models instead of the packaged starter."),
]
FamilyOption = Annotated[
    str | None, typer.Option("--base-model", help="Only this family, such as 'SD 1.5' or 'SDXL 1.0'.")
]
TypeOption = Annotated[
    TypeName | None, typer.Option("--type", case_sensitive=False, help="Only models of this type.")
]
CommercialOption = Annotated[
    bool, typer.Option("--commercial", help="Only models whose licence lets the images be sold.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def load_catalogue(path: Path | None) -> "Catalogue":
    """The catalogue at a path, or the packaged one."""
    from retrieval.catalogue import Catalogue

    return Catalogue.starter() if path is None else Catalogue.load(path)


def print_json(value: Any) -> None:
    """JSON on standard output, other scripts than Latin as they are."""
    import json

    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))

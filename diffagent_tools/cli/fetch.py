"""The command `diffagent fetch`: the files that a model or a T2I API is rendered with, into a folder.

diffagent fetch "DreamShaper" --models models --dry-run
diffagent fetch api.json --models models
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffagent_tools.cli.options import FLAG, CatalogueOption, load_catalogue
from diffagent_tools.exits import Exit, plain_exit, tell

if TYPE_CHECKING:
    from diffagent_tools.files.fetch import Fetcher, RemoteFile
    from diffagent_tools.files.wanted import WantedFile
    from retrieval.catalogue import Catalogue
    from retrieval.records.model import ModelType

ModelsOption = Annotated[
    Path,
    typer.Option(
        "--models",
        envvar="DIFFAGENT_MODELS",
        help="The folder of checkpoints and LoRAs, such as that of A1111 or ComfyUI.",
        show_default=False,
    ),
]


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME | ID | MODEL@VERSION | AIR | FILE.json[l]...",
            help="A name of the catalogue, Civitai's number of a model, or a file that `render` takes.",
            show_default=False,
        ),
    ],
    models: ModelsOption,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar=FLAG, help="Say what would be fetched and how large.")
    ] = False,
    catalogue: CatalogueOption = None,
) -> None:
    """Download checkpoints and LoRAs from Civitai; a LoRA comes with the checkpoint it needs.

    Example: diffagent fetch DreamShaper --models ComfyUI/models

    Put your API key in CIVITAI_API_KEY. Exit code 0: all there. 2: bad input. 3: something did not come.
    """
    with plain_exit("stopped; what came is kept, and the same command goes on after it"):
        from diffagent_tools.files.fetch import KEY_VARIABLE, Fetcher, gigabytes
        from diffagent_tools.files.folder import ModelsFolder
        from retrieval.errors import StorageError

        records = load_catalogue(catalogue)
        wanted = list(dict.fromkeys(file for name in names for file in wanted_by(name, records)))
        if not dry_run:
            try:
                models.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot make the folder {models} ({error.strerror})") from error
        folder = ModelsFolder(models, progress=tell)
        fetcher = Fetcher(folder, key=os.environ.get(KEY_VARIABLE), progress=tell)
        missing = [remote for each in wanted if (remote := _missing(fetcher, each)) is not None]
        tell(f"{len(missing)} of {len(wanted)} to fetch, {gigabytes(sum(each.size for each in missing))}")
        if dry_run:
            raise typer.Exit(Exit.FOUND)
        for remote in missing:
            typer.echo(str(fetcher.fetch(remote)))


def _missing(fetcher: "Fetcher", wanted: "WantedFile") -> "RemoteFile | None":
    from diffagent_tools.files.fetch import gigabytes

    path = fetcher.present(wanted)
    if path is not None:
        tell(f"{wanted.label} is there: {path}")
        return None
    remote = fetcher.look_up(wanted)
    tell(f"{wanted.label}: {remote.name}, {gigabytes(remote.size)}, SHA256 {remote.sha256[:10]}…")
    return remote


def wanted_by(name: str, catalogue: "Catalogue") -> tuple["WantedFile", ...]:
    """The files that an argument of the command means.

    Raises:
        InvalidInput: a file that cannot be read, or a name that the catalogue does not hold.
    """
    import re

    from diffagent_tools.files.wanted import WantedFile, wanted_files, wanted_of_record
    from retrieval.errors import InvalidInput
    from retrieval.records.air import parse_air

    air = parse_air(name)
    numbers = re.fullmatch(r"(\d{1,18})?(?:@(\d{1,18}))?", name)
    if air is None and name.lower().endswith((".json", ".jsonl")):
        from diffagent_tools.render.run import jobs_of

        try:
            text = Path(name).read_text(encoding="utf-8-sig", errors="replace")
        except OSError as error:
            raise InvalidInput(f"cannot read {name} ({error.strerror}); name a file of a T2I API") from error
        return tuple(file for job in jobs_of(text) for file in wanted_files(job.api, catalogue).all)
    if air is not None or (numbers and name):
        model_id = air.model_id if air else int(numbers[1]) if numbers and numbers[1] else None
        version_id = air.version_id if air else int(numbers[2]) if numbers and numbers[2] else None
        if model_id is not None and model_id in catalogue:
            return (wanted_of_record(catalogue.get(model_id), version_id),)
        type_: ModelType = "LORA" if air is not None and air.type == "lora" else "Checkpoint"
        return (WantedFile(name, type_, model_id, version_id),)
    match = catalogue.resolve(name)
    if match is None:
        several = catalogue.find(name)
        which = ", ".join(f"{each.record.model!r} ({each.record.model_id})" for each in several[:4])
        raise InvalidInput(
            f"{name!r} is {len(several)} models of {catalogue.name}: {which}; name one by its id"
            if several
            else f"{catalogue.name} holds no model called {name!r}; `diffagent check` finds the nearest "
            "name, and Civitai's number of any model does as well"
        )
    return (wanted_of_record(match.record, match.version.version_id if match.version else None),)

"""The part `diffagent catalogue`: add models to a catalogue, merge catalogues, bring one up to date.

diffagent catalogue add https://civitai.com/models/4384 --to models.jsonl
diffagent catalogue add checkpoints.json.gz --to models.jsonl --online
diffagent catalogue merge mine.jsonl theirs.jsonl.gz --to models.jsonl
diffagent catalogue refresh models.jsonl
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffagent_tools.cli.options import FLAG, UrlOption
from diffagent_tools.exits import plain_exit, tell

if TYPE_CHECKING:
    from diffagent_tools.installed.facts import FoundFile
    from finetune.civitai.client import Civitai
    from retrieval.catalogue import Catalogue
    from retrieval.records.model import ModelRecord

app = typer.Typer(help="Add to a catalogue, merge several, bring one up to date.", no_args_is_help=True)
TargetOption = Annotated[
    Path, typer.Option("--to", help="The catalogue's file, .jsonl or .jsonl.gz.", show_default=False)
]
_STOPPED = "stopped; what came is kept, and the same command goes on after it"
_NUMBERS = re.compile(r"(\d{1,15})(?:@\d{1,15})?|@(\d{1,15})")


@app.command()
def add(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="URL | AIR | ID | FILE | FOLDER...",
            help="A model on Civitai; or a catalogue, saved API objects, a list of versions (shinich39's), "
            "or a folder with .civitai.info files.",
            show_default=False,
        ),
    ],
    target: TargetOption,
    online: Annotated[
        bool,
        typer.Option("--online", help="Ask Civitai for base models, ratings and tags of what files list."),
    ] = False,
    url: UrlOption = None,
) -> None:
    """Add models to a catalogue, or make a new one; models it already has are brought up to date.

    Example: diffagent catalogue add https://civitai.com/models/4384 --to models.jsonl

    Exit code 0: added. 2: bad input. 3: Civitai does not answer.
    """
    with plain_exit(_STOPPED):
        from retrieval.catalogue import Catalogue
        from retrieval.catalogue.merge import merged_catalogue

        held = [Catalogue.load(target)] if target.exists() else []
        before = len(held[0]) if held else 0
        for source in sources:
            held.append(_read(source, target, online=online, url=url))
        made = merged_catalogue(held, target.name)
        made.save(target)
        tell(f"{len(made):,} models in {target}, {len(made) - before:,} of them new")


@app.command()
def merge(
    sources: Annotated[
        list[Path], typer.Argument(help="Catalogues; the later go first.", show_default=False)
    ],
    target: TargetOption,
) -> None:
    """Put several catalogues into one; where they disagree about a model, the later one counts.

    Example: diffagent catalogue merge mine.jsonl theirs.jsonl.gz --to models.jsonl

    Exit code 0: written. 2: bad input.
    """
    with plain_exit():
        from retrieval.catalogue import Catalogue
        from retrieval.catalogue.merge import merged_catalogue

        made = merged_catalogue([Catalogue.load(path) for path in sources], target.name)
        made.save(target)
        tell(f"{len(made):,} models in {target}")


@app.command()
def refresh(
    catalogue: Annotated[Path, typer.Argument(help="The catalogue's file.", show_default=False)],
    samples: Annotated[
        bool, typer.Option("--samples", metavar=FLAG, help="Settings of new samples, too: a request a model.")
    ] = False,
    url: UrlOption = None,
) -> None:
    """Bring a catalogue up to date with Civitai: downloads, new versions, models that were withdrawn.

    Example: diffagent catalogue refresh models.jsonl

    Two requests a second, a hundred models each; stopped, it goes on. Exit code 0: done. 2: bad input. 3:
    Civitai does not answer.
    """
    with plain_exit(_STOPPED):
        from diffagent_tools.cli.progress import show_progress
        from finetune.civitai.refresh import refresh as bring_up_to_date

        with _civitai(url) as civitai, show_progress() as show:
            told = bring_up_to_date(catalogue, civitai, facts_alone, show, samples=samples)
        tell(
            f"{told.asked:,} models asked for: {told.changed:,} changed, {told.versions:,} new versions, "
            f"{told.gone:,} gone" + (f", {told.sampled:,} with settings of new samples" if samples else "")
        )


def facts_alone(files: "Sequence[FoundFile]") -> "list[ModelRecord]":
    """The records of versions, without profiles and descriptions."""
    from diffagent_tools.installed.records import records_of
    from retrieval.catalogue import Catalogue

    return records_of(files, Catalogue([]), frozenset(), installed=False).records


def _civitai(url: str | None) -> "Civitai":
    from finetune.civitai.client import URL, Civitai

    return Civitai(url or URL, key=os.environ.get("CIVITAI_API_KEY"))


def _read(source: str, target: Path, *, online: bool, url: str | None) -> "Catalogue":
    """The catalogue of one source.

    Raises:
        InvalidInput: it is none of the forms, or Civitai does not know it.
    """
    from finetune.civitai.lists import read_source
    from retrieval.catalogue import Catalogue
    from retrieval.errors import CatalogueFormatError

    path = Path(source).expanduser()
    if not path.exists():
        return _completed(_pointed(source, url), target)
    if path.is_file():
        try:
            return Catalogue.load(path)
        except CatalogueFormatError as error:
            refused = error
        try:
            files = read_source(path)
        except ValueError:
            raise refused from None
    else:
        files = read_source(path)
    return _completed(_online(files, target, url) if online else files, target)


def _completed(files: "Sequence[FoundFile]", target: Path) -> "Catalogue":
    """The catalogue of versions, with profiles and descriptions; what is left out is told."""
    from collections import Counter

    from diffagent_tools.cli.models.scan import described
    from diffagent_tools.installed.records import NO_FAMILY, records_of
    from retrieval.catalogue import Catalogue

    made = records_of(files, Catalogue([]), frozenset(), installed=False)
    for reason, count in Counter(reason for _, reason in made.left).most_common():
        hint = "; --online asks Civitai for it" if reason == NO_FAMILY else ""
        tell(f"left out ({count:,}): {reason}{hint}")
    return Catalogue(described(made), target.name)


def _pointed(source: str, url: str | None) -> "list[FoundFile]":
    """The versions of the model that an address, an AIR or a number points to."""
    from finetune.civitai.lists import files_of_model
    from finetune.civitai.pages import NotFound
    from retrieval.catalogue.written import pointer
    from retrieval.errors import InvalidInput
    from retrieval.records.civitai import whole

    pointed, numbers = pointer(source), _NUMBERS.fullmatch(source.strip())
    model_id = pointed.model_id if pointed else int(numbers[1]) if numbers and numbers[1] else None
    version_id = pointed.version_id if pointed else int(numbers[2]) if numbers and numbers[2] else None
    if model_id is None and version_id is None:
        raise InvalidInput(
            f"{source[:200]!r} is no file, no address of civitai.com, no AIR and no number of a model"
        )
    with _civitai(url) as civitai:
        try:
            if model_id is None:
                model_id = whole(civitai.record(f"model-versions/{version_id}").get("modelId"))
            found = files_of_model(civitai.record(f"models/{model_id}"))
        except NotFound as error:
            raise InvalidInput(f"Civitai has no model {source[:200]!r} (any more)") from error
    return found


def _online(files: "Sequence[FoundFile]", target: Path, url: str | None) -> "list[FoundFile]":
    """The versions that files list, with what Civitai says of their models; kept page by page beside the
    target, so that a stopped run goes on."""
    import json

    from diffagent_tools.cli.progress import show_progress
    from finetune.civitai.lists import files_of_model
    from finetune.civitai.refresh import PAGE, objects_of
    from retrieval.storage import atomic_write

    kept = target.with_name(f"{target.name}.answers")
    kept.mkdir(parents=True, exist_ok=True)
    numbers = sorted({file.told.model_id for file in files if file.told.model_id is not None})
    pages = [numbers[at : at + PAGE] for at in range(0, len(numbers), PAGE)]
    told: dict[int, dict[int, FoundFile]] = {}
    with _civitai(url) as civitai, show_progress() as show:
        for place, page in enumerate(pages, start=1):
            path = kept / f"{page[0]}-{page[-1]}-{len(page)}.json"
            if not path.exists():
                answers = objects_of(civitai, page)
                atomic_write(path, json.dumps(list(answers.values()), ensure_ascii=False).encode())
            for raw in json.loads(path.read_bytes()):
                for file in files_of_model(raw) if raw is not None else ():
                    told.setdefault(file.told.model_id or 0, {})[file.told.version_id or 0] = file
            show("pages of models", place, len(pages))
    made = []
    for number in dict.fromkeys(file.told.model_id or 0 for file in files):
        listed = {file.told.version_id or 0: file for file in files if file.told.model_id == number}
        answered = told.get(number, {})
        made += [_with_samples(file, listed.get(version)) for version, file in answered.items()]
        if not answered:
            made += listed.values()
    for path in kept.iterdir():
        path.unlink()
    kept.rmdir()
    return made


def _with_samples(answered: "FoundFile", listed: "FoundFile | None") -> "FoundFile":
    """What Civitai says of a version, with the samples of the list."""
    if listed is None:
        return answered
    return answered.model_copy(update={"told": listed.told.behind(answered.told)})

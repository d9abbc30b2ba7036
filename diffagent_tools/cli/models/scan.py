"""The command `diffagent scan`: which models are on this machine, by headers and sidecars alone.

diffagent scan ~/ComfyUI/models
diffagent scan ~/stable-diffusion-webui/models http://127.0.0.1:8188
diffagent scan                        # again, what was scanned last
diffagent select --installed "a corgi, pixel art"
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffagent_tools.cli.options import CatalogueOption, JsonOption, UrlOption, load_catalogue, print_json
from diffagent_tools.exits import Exit, plain_exit, tell

if TYPE_CHECKING:
    from diffagent_tools.installed.facts import FoundFile
    from diffagent_tools.installed.library import About
    from diffagent_tools.installed.records import Installed
    from diffagent_tools.installed.scan import Memory, Show
    from retrieval.catalogue import Catalogue
    from retrieval.records.model import ModelRecord

_NAMED = 5
_SAVE_EVERY = 20


def scan(
    roots: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER | URL...",
            help="Folders of models, or running programs (A1111 with --api, ComfyUI). Without any: what was "
            "scanned last.",
            show_default=False,
        ),
    ] = None,
    hashes: Annotated[
        bool,
        typer.Option(
            "--hash",
            help="Compute each file's SHA256, once, and look it up in the catalogue: finds models without "
            "sidecars, and reads every file whole.",
        ),
    ] = False,
    online: Annotated[
        bool, typer.Option("--online", help="Ask Civitai for what nothing here knows, by SHA256.")
    ] = False,
    url: UrlOption = None,
    catalogue: CatalogueOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the models that are installed; `select --installed` then chooses among them.

    Example: diffagent scan ComfyUI/models

    No weights are loaded. Exit code 0: found. 1: nothing that can be chosen. 2: bad input. 3: no answer.
    """
    with plain_exit("stopped; what was read is kept, and the same command goes on after it"):
        from diffagent_tools.installed.library import NOTHING, Library
        from diffagent_tools.installed.scan import Memory
        from retrieval.errors import InvalidInput

        began = time.monotonic()
        library, memory = Library(), Memory.load()
        asked = tuple(roots or library.about.roots)
        if not asked:
            raise InvalidInput(NOTHING)
        found, places = _found(asked, memory)
        known = "" if catalogue is None else os.path.abspath(catalogue)
        same = (places, known) == (library.about.roots, library.about.catalogue)
        memory.save()
        if hashes or online or not same or _is_remote(places) or library.is_older_than(memory.path):
            records = load_catalogue(catalogue)
            found = _completed(found, records, memory, hashes=hashes or online, online=online, url=url)
            _build(found, places, known, records, library)
        about = library.about
        tell(f"{about.files:,} files looked through in {time.monotonic() - began:.1f} s")
        _show(about, library.path, as_json)
        raise typer.Exit(Exit.FOUND if about.models else Exit.ABSTAINED)


def _found(roots: tuple[str, ...], memory: "Memory") -> tuple[list["FoundFile"], tuple[str, ...]]:
    """The files of all roots, and the roots as they are remembered."""
    from diffagent_tools.cli.progress import show_progress
    from diffagent_tools.installed.programs import is_address, read_program
    from diffagent_tools.installed.scan import scan_folder

    found: list[FoundFile] = []
    places: list[str] = []
    with show_progress() as show:
        for root in dict.fromkeys(roots):
            if is_address(root):
                found += read_program(root)
                places.append(root)
            else:
                found += scan_folder(Path(root), memory, show)
                places.append(os.path.abspath(Path(root).expanduser()))
    return found, tuple(places)


def _is_remote(places: tuple[str, ...]) -> bool:
    from diffagent_tools.installed.programs import is_address

    return any(map(is_address, places))


def _completed(
    found: list["FoundFile"],
    records: "Catalogue",
    memory: "Memory",
    *,
    hashes: bool,
    online: bool,
    url: str | None,
) -> list["FoundFile"]:
    """The files with what was asked for beyond their headers."""
    from diffagent_tools.cli.progress import show_progress
    from diffagent_tools.installed.scan import with_hashes

    if not hashes:
        return found
    with show_progress() as show:
        try:
            found = with_hashes(found, memory, show, tell)
            return _asked(found, records, memory, show, url) if online else found
        finally:
            memory.save()


def _asked(
    found: list["FoundFile"], records: "Catalogue", memory: "Memory", show: "Show", url: str | None
) -> list["FoundFile"]:
    """What Civitai says of the files that neither their sidecars nor the catalogue know; each once."""
    from diffagent_tools.installed.sidecars import told_by_version
    from finetune.civitai.client import URL, Civitai
    from finetune.civitai.pages import NotFound

    def unknown(file: "FoundFile") -> bool:
        here = file.told.version_id is not None or (file.sha256 and records.find(file.sha256))
        return file.is_usable and file.sha256 is not None and not file.asked and not here

    waiting = sum(map(unknown, found))
    made, done = [], 0
    with Civitai(url or URL, key=os.environ.get("CIVITAI_API_KEY")) as civitai:
        for file in found:
            if unknown(file):
                try:
                    raw = civitai.record(f"model-versions/by-hash/{file.sha256}")
                    told = told_by_version(raw, Path(file.name).stem).behind(file.told)
                except NotFound:
                    told = file.told
                file = file.model_copy(update={"told": told, "asked": True})
                memory.replace(str(file.path), file)
                done += 1
                show("files asked about", done, waiting)
                if done % _SAVE_EVERY == 0:
                    memory.save()
            made.append(file)
    return made


def _build(
    found: list["FoundFile"], places: tuple[str, ...], known: str, records: "Catalogue", library: Any
) -> None:
    """The catalogue of what was found, with profiles and descriptions of what no catalogue knew."""
    from collections import Counter

    from diffagent_tools.installed.library import About
    from diffagent_tools.installed.records import NO_CHECKPOINT, installed_records, ordinary_words

    made = installed_records(found, records, ordinary_words(records))
    complete = described(made)
    usable = [record for record in complete if record.available]
    left: dict[str, list[str]] = {}
    for file, reason in made.left:
        # why it is so, of this one file, stands behind its name
        reason, _, detail = reason.partition(" (")
        named = file.path or file.name
        left.setdefault(reason, []).append(f"{named} ({detail}" if detail else named)
    for record in complete:
        if not record.available:
            left.setdefault(NO_CHECKPOINT, []).append(record.model)
    counts = Counter(f"{record.type} for {record.base_model}" for record in usable)
    library.save(
        complete,
        About(
            roots=places,
            catalogue=known,
            files=len(found),
            models=dict(counts.most_common()),
            left={reason: tuple(names) for reason, names in left.items()},
        ),
    )


def described(made: "Installed") -> list["ModelRecord"]:
    """The records, those that no catalogue knew with profiles and descriptions."""
    from finetune.describe.catalogue import complete

    new = [record for record in made.records if record.model_id in made.samples]
    finished = complete(
        new,
        {number: [each.prompt for each in held] for number, held in made.samples.items()},
        {number: [each.negative_prompt for each in held] for number, held in made.samples.items()},
        texts=made.texts,
        captions={number: tags for number, tags in made.captions.items() if tags},
    )
    by_number = {record.model_id: record for record in finished}
    return [by_number.get(record.model_id, record) for record in made.records]


def _show(about: "About", path: Path, as_json: bool) -> None:
    if as_json:
        print_json({**about.model_dump(mode="json"), "path": str(path)})
        return
    from diffagent_tools.cli.cards import make_console, show_rows
    from diffagent_tools.quoting import plain

    rows = [(plain(kind, 80), f"{count:,}") for kind, count in about.models.items()]
    for reason, names in about.left.items():
        shown = ", ".join(plain(os.path.basename(name), 60) for name in names[:_NAMED])
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        rows.append((f"left out ({len(names):,})", f"{plain(reason, 160)}: {shown}{more}"))
    rows.append(("kept in", str(path)))
    show_rows(make_console(), "installed models", rows)

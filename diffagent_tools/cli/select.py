"""The command `diffagent select`: a request in, the model and its settings out.

diffagent select "A cute happy corgi, pixel art" -k 3
diffagent select --input prompts.jsonl --output apis.jsonl -k 10
diffagent select --installed "A cute happy corgi, pixel art"
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffagent_tools.cli.options import (
    FLAG,
    AdapterOption,
    BaseOption,
    CatalogueOption,
    CommercialOption,
    FamilyOption,
    InstalledOption,
    JsonOption,
    LlmModelOption,
    LlmOption,
    ModeName,
    ModeOption,
    NsfwOption,
    TypeOption,
    filter_words,
    load_catalogue,
    make_installed,
    make_selector,
    make_served,
    print_json,
)
from diffagent_tools.cli.progress import waiting
from diffagent_tools.exits import Exit, plain_exit, tell
from diffagent_tools.formats.write import ExportFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from diffagent_tools.select.selection import BatchItem, Selection, Selector
    from retrieval.catalogue import Catalogue
    from retrieval.records.api import Instruction
    from retrieval.search.filters import FilterWords


def select(
    wish: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROMPT]...", help="What the picture should show; quotes around it may be left out."
        ),
    ] = None,
    negative: Annotated[str, typer.Option("--negative", help="What it should not show.")] = "",
    k: Annotated[int, typer.Option("-k", min=1, help="How many answers, best first.")] = 1,
    as_json: JsonOption = False,
    export: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format", help="Print the best answer as another program takes it.", show_default=False
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--input", help="A file of requests, a JSON object a line; - is standard input."),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("--output", help="Where answers to --input go; an interrupted run continues there."),
    ] = None,
    base_model: FamilyOption = None,
    type_: TypeOption = None,
    commercial: CommercialOption = False,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="A model's id, name or AIR; may be repeated.")
    ] = None,
    max_nsfw: NsfwOption = None,
    installed: InstalledOption = False,
    loras: Annotated[
        int, typer.Option("--loras", min=1, max=3, help="Up to 3 LoRAs in one call: style, subject, detail.")
    ] = 1,
    write: Annotated[
        bool,
        typer.Option(
            "--write", metavar=FLAG, help="Word the prompt as the model's samples do; your words stay."
        ),
    ] = False,
    mode: ModeOption = ModeName.shortlist,
    catalogue: CatalogueOption = None,
    adapter: AdapterOption = None,
    base: BaseOption = None,
    llm: LlmOption = None,
    llm_model: LlmModelOption = None,
) -> None:
    """Choose a model for what you want to see, or for each line of a file.

    Example: diffagent select a lighthouse in a storm, watercolor -k 3

    Exit code 0: found. 1: nothing fits, and the answer is the plain base model or none; or a line of --input
    has an error. 2: bad input.
    """
    with plain_exit("stopped; what --output holds is kept, and the same command goes on after it"):
        prompt = " ".join(wish) if wish else None
        if (prompt is None) == (source is None):
            raise typer.BadParameter("give either the words of a request, or --input with a file of them")
        if source is not None and (negative or as_json or export):
            raise typer.BadParameter("--negative, --json and --format belong to a single request")
        if source is not None and loras > 1:
            raise typer.BadParameter("--loras belongs to a single request")
        if as_json and export not in (None, ExportFormat.json):
            raise typer.BadParameter("give either --json or --format")
        if source is None and target is not None:
            raise typer.BadParameter("--output belongs to --input")
        words = filter_words(_known_family(base_model), type_, commercial, max_nsfw)
        words["exclude"] = [_id_or_name(item) for item in exclude or []]
        records = load_catalogue(catalogue)
        served = make_served(llm, llm_model)
        selector: Selector = make_selector(records, mode, base, adapter, None, served)
        here: Selector = make_installed(selector, mode, base, adapter)
        from diffagent_tools.select.writing.prompt import worded

        writer: Callable[[Selection, Catalogue], Selection] = worded
        if served is not None and mode is not ModeName.free:
            from diffagent_tools.select.served.selector import ServedSelector
            from diffagent_tools.select.served.writer import worded_by

            selector, here = ServedSelector(selector, served), ServedSelector(here, served)
            writer = worded_by(served)
        if prompt is None:
            choosing = here if installed else selector
            raise typer.Exit(_select_lines(choosing, words, k, source, target, writer if write else None))
        from retrieval.errors import NoModelFits

        try:
            with waiting("choosing a model"):
                from diffagent_tools.agents.operations import Operations
                from retrieval.records.api import read_instruction

                request = read_instruction({"prompt": prompt, "negative prompt": negative})
                operations = Operations(records, selector, installed=here, writer=writer)
                found = operations.choose(
                    request, k=k, installed=installed, loras=loras, write=write, **words
                )
        except NoModelFits as error:
            tell(str(error))
            raise typer.Exit(Exit.ABSTAINED) from error
        if export is not None:
            from diffagent_tools.formats.write import export as export_as

            known = here.catalogue if installed else records
            typer.echo(export_as(found[0].api, export.value, catalogue=known))
        else:
            _print_selections(found, as_json)
        raise typer.Exit(Exit.ABSTAINED if found[0].abstained else Exit.FOUND)


def _select_lines(
    selector: "Selector",
    words: "FilterWords",
    k: int,
    source: Path | None,
    target: Path | None,
    writer: "Callable[[Selection, Catalogue], Selection] | None",
) -> Exit:
    from diffagent_tools.select.batch import run_batch

    def choose(requests: "list[Instruction]") -> "Iterable[BatchItem]":
        for item in selector.select_batch(requests, k=k, **words):
            if writer is not None:
                worded = tuple(writer(each, selector.catalogue) for each in item.ranked)
                item = item.model_copy(update={"ranked": worded})
            yield item

    outcome = run_batch(
        None if source == Path("-") else source,
        target,
        choose,
        tell=tell,
    )
    where = f" into {target}" if target else ""
    total = outcome.kept + outcome.answered + outcome.failed
    failed = outcome.failed + outcome.kept_failed
    why = "; each of them says why" if failed else ""
    tell(f"{total:,} lines{where}, {failed:,} with an error{why}")
    return Exit.ABSTAINED if failed else Exit.FOUND


def _print_selections(found: "list[Selection]", as_json: bool) -> None:
    if as_json:
        from diffagent_tools.select.selection import answer_wire

        print_json(answer_wire(found))
        return
    from diffagent_tools.cli.cards import make_console, show_selections

    show_selections(make_console(), found)


def _id_or_name(text: str) -> int | str:
    """A number of as many digits as an id can have is one."""
    return int(text) if text.isdecimal() and len(text) < 19 else text


def _known_family(base_model: str | None) -> str | None:
    """The family's name; refused before anything is loaded."""
    if base_model is None:
        return None
    from retrieval.tables.families import family_of

    return family_of(base_model).name

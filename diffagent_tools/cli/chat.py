"""The command `diffagent chat`: ask for a picture in the terminal, and refine it.

diffagent chat
diffagent chat "a happy corgi, pixel art" "make it wide" "export comfyui"
diffagent chat --model ollama:qwen3          # a chat model talks, and asks DiffAgent for models
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from diffagent_tools.cli.options import (
    AdapterOption,
    BaseOption,
    CatalogueOption,
    InstalledOption,
    ModeName,
    ModeOption,
    NsfwOption,
    load_catalogue,
    make_installed,
    make_selector,
)
from diffagent_tools.cli.progress import now_and_then, waiting
from diffagent_tools.exits import Exit, plain_exit, tell
from diffagent_tools.formats.write import ExportFormat

if TYPE_CHECKING:
    from diffagent_tools.chat.conversation import State, Talker
    from diffagent_tools.select.selection import Selector
    from retrieval.catalogue import Catalogue

ChatModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        envvar="DIFFAGENT_CHAT_MODEL",
        help="A chat model to talk with, as PROVIDER:NAME; without one DiffAgent answers by itself.",
        show_default=False,
    ),
]
BaseUrlOption = Annotated[
    str | None, typer.Option("--base-url", help="The address of an OpenAI-compatible server for --model.")
]
_QUIT = {"quit", "exit", "bye", "q", "/quit", "/exit"}


def chat(
    messages: Annotated[
        list[str] | None,
        typer.Argument(help="What you would say, one after the other; without any you type."),
    ] = None,
    mode: ModeOption = ModeName.shortlist,
    catalogue: CatalogueOption = None,
    adapter: AdapterOption = None,
    base: BaseOption = None,
    max_nsfw: NsfwOption = None,
    installed: InstalledOption = False,
    model: ChatModelOption = None,
    base_url: BaseUrlOption = None,
) -> None:
    """Ask for a picture and refine it: "make it wide", "only LoRAs", "another one", "may I sell it?".

    Example: diffagent chat "a happy corgi, pixel art" "make it wide"

    Say "help" for more, "export FORMAT" to print the chosen model for another program, "quit" to end.
    Exit code 0; 1: no model was chosen at the end; 2: bad input.
    """
    with plain_exit():
        records = load_catalogue(catalogue)
        selector: Selector = make_selector(records, mode, base, adapter)
        if installed:
            selector = make_installed(selector, mode, base, adapter)
            records = selector.catalogue
        talker = make_talker(selector, records, model, base_url, max_nsfw)
        state = talk(talker, records, messages or _typed())
        raise typer.Exit(Exit.FOUND if state.found else Exit.ABSTAINED)


def make_talker(
    selector: "Selector",
    records: "Catalogue",
    model: str | None,
    base_url: str | None,
    max_nsfw: int | None = None,
) -> "Talker":
    """The grammar, or the agent where a chat model is named."""
    if model is None:
        from diffagent_tools.chat.conversation import Conversation

        return Conversation(selector, records, max_nsfw=max_nsfw)
    from diffagent_tools.chat.agent import AgentConversation, chat_model
    from retrieval.search.index import DescriptionIndex

    index = DescriptionIndex(records, progress=now_and_then())
    return AgentConversation(chat_model(model, base_url), selector, records, index, max_nsfw=max_nsfw)


def talk(talker: "Talker", records: "Catalogue", messages: Iterable[str]) -> "State":
    """Answers each message; the cards and exports go to standard output."""
    from diffagent_tools.chat.conversation import State
    from diffagent_tools.cli.cards import make_console, show_selections
    from retrieval.records.inert import lines, one_line

    console = make_console()
    state = State()
    for message in messages:
        word, *more = message.split()
        if word.lower() == "export" and len(more) < 2:
            _export(state, records, more[0] if more else "infotext")
            continue
        with waiting("one moment"):
            turn = talker.turn(message, state)
        state = turn.state
        for words in turn.understood:
            console.print(f"· {one_line(words)}", soft_wrap=True, style="dim")
        if turn.chosen:
            show_selections(console, state.found)
        if turn.failed:
            tell(f"error: {turn.answer}")
        elif not turn.chosen or turn.spoken:
            console.print(lines(turn.answer), soft_wrap=True)
    return state


def _typed() -> Iterator[str]:
    """Lines from the keyboard or a pipe, until "quit" or their end."""
    shown = sys.stdin.isatty()
    if shown:
        with suppress(ImportError):  # arrow keys and history, where the platform has them
            import readline  # noqa: F401
        tell('What should the picture show? ("help" shows what you can say, "quit" ends)')
    while True:
        try:
            said = (input("> ") if shown else input()).strip()
        except EOFError:
            return
        if said.lower() in _QUIT:
            return
        if said:
            yield said


def _export(state: "State", records: "Catalogue", name: str) -> None:
    from diffagent_tools.formats.write import export
    from retrieval.errors import InvalidInput

    if state.best is None:
        tell("error: nothing is chosen yet; first say what the picture should show")
        return
    if name.lower() not in list(ExportFormat):
        tell(f"error: there is no format {name[:40]!r}; it is one of {', '.join(ExportFormat)}")
        return
    try:
        typer.echo(export(state.best.api, name.lower(), catalogue=records))
    except InvalidInput as error:
        tell(f"error: {error}")

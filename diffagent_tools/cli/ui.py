"""The command `diffagent ui`: the chat as a page in the browser.

diffagent ui
diffagent ui --port 8000
diffagent ui --models ~/stable-diffusion/models      # makes pictures, too
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffagent_tools.cli.chat import BaseUrlOption, ChatModelOption, make_talker
from diffagent_tools.cli.options import (
    FLAG,
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
from diffagent_tools.exits import plain_exit, tell

if TYPE_CHECKING:
    from diffagent_tools.select.selection import Selector


def ui(
    host: Annotated[
        str, typer.Option("--host", help="Who may connect; 0.0.0.0 lets the whole network in.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Left out, the first free one from 7860.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--open", metavar=FLAG, help="Open the page in the browser.")
    ] = False,
    models: Annotated[
        Path | None,
        typer.Option(
            "--models", help="Your folder of checkpoints and LoRAs; with it the page makes pictures, too."
        ),
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
    """Open the chat as a page in the browser: say what picture you want, and get the model for it.

    Example: diffagent ui --open

    Only this machine can connect unless --host says otherwise: there are no passwords. Needs the extra `ui`.
    """
    with plain_exit():
        if port is not None:
            _must_be_free(host, port)
        from diffagent_tools.chat.conversation import Conversation
        from diffagent_tools.ui.page import build_page, serve, warm_up
        from retrieval.errors import InvalidInput

        records = load_catalogue(catalogue)
        selector: Selector = make_selector(records, mode, base, adapter)
        if installed:
            selector = make_installed(selector, mode, base, adapter)
            records = selector.catalogue
        talker = make_talker(selector, records, model, base_url, max_nsfw) if model is not None else None
        pictures, progress = _pictures(models, records) if models is not None else (None, None)
        conversation = Conversation(selector, records, max_nsfw=max_nsfw)
        page = build_page(conversation, talker=talker, pictures=pictures, progress=progress)
        try:
            address = serve(page, host=host, port=port, block=False, open_browser=browser)
        except OSError as error:
            raise InvalidInput(
                f"the page cannot be served at {host}, port {port or 'any'} ({error})"
            ) from error
        tell(f"the page is at {address} (Ctrl-C ends it)")
        # the page is there at once; a first message that comes before they are loaded waits for them
        began = time.monotonic()
        tell("loading the models")
        warm_up(conversation)
        tell(f"loaded in {time.monotonic() - began:.1f} s")
        page.block_thread()


def _must_be_free(host: str, port: int) -> None:
    """Finds out before anything is loaded.

    Raises:
        InvalidInput: another program has the port, or nobody may have it.
    """
    import socket

    from retrieval.errors import InvalidInput

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # a port whose last user has just left is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InvalidInput(
                f"port {port} of {host} cannot be used ({error.strerror or error}); choose another with "
                f"--port, or "
                "leave --port out to get a free one"
            ) from error


def _pictures(models: Path, records: Any) -> Any:
    import queue

    from diffagent_tools.files.folder import ModelsFolder
    from diffagent_tools.render.renderer import Renderer

    lines: queue.Queue[str] = queue.Queue()
    renderer = Renderer(ModelsFolder(models, progress=lines.put), catalogue=records, progress=lines.put)
    return renderer, lines

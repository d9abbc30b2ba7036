"""The command `diffagent ui`: the chat as a page in the browser.

diffagent ui
diffagent ui --port 8000
diffagent ui --models ~/stable-diffusion/models      # makes pictures, too
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from diffagent_tools.cli.chat import BaseUrlOption, ChatModelOption, make_talker
from diffagent_tools.cli.options import (
    AdapterOption,
    BaseOption,
    CatalogueOption,
    ModeName,
    ModeOption,
    NsfwOption,
    load_catalogue,
    make_selector,
)
from diffagent_tools.exits import plain_exit, tell


def ui(
    host: Annotated[
        str, typer.Option("--host", help="Who may connect; 0.0.0.0 lets the whole network in.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="The first free one from 7860 if left out.")
    ] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    models: Annotated[
        Path | None, typer.Option("--models", help="A folder of checkpoints and LoRAs: makes pictures, too.")
    ] = None,
    mode: ModeOption = ModeName.shortlist,
    catalogue: CatalogueOption = None,
    adapter: AdapterOption = None,
    base: BaseOption = None,
    max_nsfw: NsfwOption = None,
    model: ChatModelOption = None,
    base_url: BaseUrlOption = None,
) -> None:
    """Open the chat as a page: chosen model, evidence, alternatives, parameters, exports, pictures.

    Only this machine can connect unless --host says otherwise: there are no passwords. Needs the extra `ui`.
    """
    with plain_exit():
        from diffagent_tools.chat.conversation import Conversation
        from diffagent_tools.ui.page import build_page, serve, warm_up
        from retrieval.errors import InvalidInput

        records = load_catalogue(catalogue)
        selector = make_selector(records, mode, base, adapter)
        talker = make_talker(selector, records, model, base_url, max_nsfw) if model is not None else None
        pictures, progress = _pictures(models, records) if models is not None else (None, None)
        conversation = Conversation(selector, records, max_nsfw=max_nsfw)
        page = build_page(conversation, talker=talker, pictures=pictures, progress=progress)
        try:
            address = serve(page, host=host, port=port, block=False, open_browser=browser)
        except OSError as error:
            raise InvalidInput(f"the page cannot be served at {host}, port {port} ({error})") from error
        tell(f"the page is at {address} (Ctrl-C ends it)")
        # the page is there at once; a first message that comes before they are loaded waits for them
        began = time.monotonic()
        tell("loading the models")
        warm_up(conversation)
        tell(f"loaded in {time.monotonic() - began:.1f} s")
        page.block_thread()


def _pictures(models: Path, records: Any) -> Any:
    import queue

    from diffagent_tools.files.folder import ModelsFolder
    from diffagent_tools.render.renderer import Renderer

    lines: queue.Queue[str] = queue.Queue()
    renderer = Renderer(ModelsFolder(models, progress=lines.put), catalogue=records, progress=lines.put)
    return renderer, lines

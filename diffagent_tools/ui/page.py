"""The page of `diffagent ui`, made with Gradio. The only file that imports it.

    page = build_page(Conversation(selector, catalogue))
    serve(page, host="127.0.0.1", port=7860)

Each visitor has a state of their own (diffagent_tools/chat/conversation.py); the models are shared.
Nothing is
loaded from elsewhere: system fonts, no analytics, and a Content-Security-Policy that lets the browser ask
nobody but this server.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from diffagent_tools.chat.conversation import ALTERNATIVES, Conversation, State, Talker, Turn
from diffagent_tools.extras import require
from diffagent_tools.formats.write import export
from diffagent_tools.same_origin import SameOrigin
from diffagent_tools.ui.guard import OnlyCalls
from diffagent_tools.ui.html import STYLE, Line, alternative_html, chosen_html, lines_of, log_html
from retrieval.errors import DiffAgentError
from retrieval.records.api import MAX_PROMPT_CHARS, T2IApi
from retrieval.tables.samplers import SAMPLERS

if TYPE_CHECKING:
    from PIL.Image import Image

EXPORTS = {
    "A1111 / Forge": ("infotext", None),
    "ComfyUI": ("comfyui", "json"),
    "diffusers": ("diffusers", "python"),
    "JSON": ("json", "json"),
    "AIR": ("air", None),
}
QUICK = ("another one", "make it wide", "only models I may sell", "may I sell it?", "undo", "start over")
FIELDS = {
    "width": "Width",
    "height": "Height",
    "sampling_steps": "Steps",
    "cfg_scale": "CFG scale",
    "clip_skip": "Clip skip",
    "lora_weight": "LoRA weight",
}
TEXTS = {"prompt": "Prompt", "negative_prompt": "Negative prompt"}
USERS = 16
"""Requests that are answered at once; more wait."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
Log = tuple[Line, ...]


class Pictures(Protocol):
    """Makes pictures: `diffagent_tools.render.renderer.Renderer` is one."""

    def render(self, api: T2IApi, *, seeds: "list[int]") -> "list[Image]":
        """One image a seed."""
        ...


def build_page(
    conversation: Conversation,
    *,
    talker: Talker | None = None,
    pictures: Pictures | None = None,
    progress: "queue.Queue[str] | None" = None,
) -> Any:
    """The page, as a `gradio.Blocks` that is not served yet.

    Args:
        conversation: picks, edits, and talks unless another does.
        talker: talks instead, such as an `AgentConversation`.
        pictures: makes pictures; without it the page has none.
        progress: what `pictures` says while it works.
    """
    gr = _gradio()
    events = _Events(gr, conversation, talker or conversation, pictures, progress)
    with gr.Blocks(title="DiffAgent", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        state, log = gr.State(State()), gr.State(())
        gr.HTML(
            '<header class="da-head"><h1>DiffAgent</h1><span>names the model for your picture, and says '
            "why</span></header>"
        )
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                talk = gr.HTML(log_html(()), elem_id="talk", autoscroll=True)
                message = gr.Textbox(
                    label="Your message",
                    placeholder="a happy corgi, pixel art",
                    lines=1,
                    max_lines=6,
                    max_length=MAX_PROMPT_CHARS,
                    submit_btn="Send",
                    autofocus=True,
                    elem_id="message",
                )
                with gr.Row(elem_classes="da-quick", visible=False) as quick_row:
                    quick = [gr.Button(words, size="sm", min_width=60) for words in QUICK]
                chosen = gr.HTML("", elem_id="chosen", visible=False)
            with gr.Column(scale=4, min_width=320, visible=False, elem_classes="da-side") as side:
                cards = []
                with gr.Accordion("Other models that fit", open=True):
                    for place in range(ALTERNATIVES):
                        with gr.Row(elem_classes="da-alt", visible=False, equal_height=False) as row:
                            card = gr.HTML("", elem_id=f"alternative-{place + 2}")
                            use = gr.Button(f"Use number {place + 2}", size="sm", scale=0, min_width=110)
                        cards.append((row, card, use))
                with gr.Accordion("Parameters", open=False):
                    fields = _fields(gr)
                    apply = gr.Button("Apply", variant="primary", size="sm", elem_id="apply")
                with gr.Accordion("Take it elsewhere", open=True), gr.Tabs():
                    exports = [_export_tab(gr, title, language) for title, (_, language) in EXPORTS.items()]
                if pictures is not None:
                    make, gallery, status = _picture_parts(gr)
        shown = [state, log, talk, message, quick_row, chosen, side]
        for row, card, _ in cards:
            shown += [row, card]
        shown += [*fields.values(), *exports]
        message.submit(events.say, [message, state, log], shown, api_name="say")
        for button in quick:
            button.click(events.say, [button, state, log], shown, api_visibility="private")
        for place, (_, _, use) in enumerate(cards):
            use.click(events.picker(place + 1), [state, log], shown, api_name=f"pick_{place + 2}")
        triggers = [apply.click, *(fields[name].submit for name in (*FIELDS, "prompt", "negative_prompt"))]
        gr.on(triggers, events.edit, [state, log, *fields.values()], shown, api_name="edit")
        if pictures is not None:
            make.click(
                events.draw,
                [state],
                [gallery, status],
                concurrency_limit=1,
                api_name="draw",
                show_progress="hidden",
            )
    return page.queue(default_concurrency_limit=USERS)


def warm_up(conversation: Conversation) -> None:
    """Loads the models and all else that a first request would wait for.

    Raises:
        DiffAgentError: whatever keeps the selector from answering.
    """
    best, *_ = conversation.selector.select("a lighthouse in a storm")
    for format, _language in EXPORTS.values():
        _exported(best.api, format, conversation.catalogue)


def serve(page: Any, *, host: str, port: int | None, block: bool = True, open_browser: bool = False) -> str:
    """Serves a page; returns its address, at once if `block` is false.

    Raises:
        OSError: the port is taken.
    """
    gr = require("gradio")
    from starlette.middleware import Middleware

    guards = [Middleware(SameOrigin, host), Middleware(OnlyCalls), Middleware(_Headers)]
    # plain names: Gradio takes those for fonts of the system, and asks no server for them
    theme = gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        theme=theme,
        css=STYLE,
        share=False,
        ssr_mode=False,
        quiet=True,
        show_error=True,
        footer_links=[],
        inbrowser=open_browser,
        prevent_thread_lock=not block,
        max_file_size="1mb",
        enable_monitoring=False,
        app_kwargs={"middleware": [*guards], "docs_url": None, "redoc_url": None},
    )
    return str(address)


class _Headers:
    """Adds the policy to every answer; a middleware of ASGI."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (b"content-security-policy", POLICY.encode())]
                message = {**message, "headers": [*headers, (b"referrer-policy", b"no-referrer")]}
            await send(message)

        await self._app(scope, receive, answer if scope["type"] == "http" else send)


class _Events:
    """What happens when something is said, picked, edited or drawn."""

    def __init__(
        self,
        gr: Any,
        conversation: Conversation,
        talker: Talker,
        pictures: Pictures | None,
        progress: "queue.Queue[str] | None",
    ) -> None:
        self._gr = gr
        self._conversation = conversation
        self._talker = talker
        self._pictures = pictures
        self._progress = progress

    def say(self, message: str, state: State, log: Log) -> Iterator[list[Any]]:
        """Shows the message at once, and the answer when it is there."""
        gr = self._gr
        if not (message or "").strip():
            yield [gr.skip()] * self._count
            return
        waiting = (*log, Line(message, own=True), Line("looking …", waiting=True))
        yield [gr.skip(), gr.skip(), log_html(waiting), "", *[gr.skip()] * (self._count - 4)]
        yield self._after(self._talker.turn(message, state), log, keep_text=True)

    def picker(self, place: int) -> Callable[[State, Log], list[Any]]:
        """Takes the model at a place of the list, the chosen one being 0."""

        def pick(state: State, log: Log) -> list[Any]:
            picked = state.found[place] if place < len(state.found) else None
            if picked is None or picked.api.model_id is None:
                return [self._gr.skip()] * self._count
            turn = self._conversation.pick(picked.api.model_id, state)
            return self._after(replace(turn, said=f"Use {picked.api.model}"), log)

        return pick

    def edit(self, state: State, log: Log, *values: Any) -> list[Any]:
        """Validates and applies the fields."""
        given = dict(zip((*FIELDS, "sampling_method", *TEXTS), values, strict=True))
        if state.best is not None and state.best.api.lora_weight is None:
            given.pop("lora_weight")
        turn = self._conversation.edit(given, state)
        return self._after(replace(turn, said="Change the parameters"), log)

    def draw(self, state: State) -> Iterator[list[Any]]:
        """Makes a picture; says what it does meanwhile."""
        gr = self._gr
        if state.best is None or self._pictures is None:
            yield [gr.skip(), "Nothing is chosen yet."]
            return
        for line, images in _drawn(self._pictures, state.best.api, self._progress):
            yield [gr.Gallery(images, visible=True) if images else gr.skip(), line]

    @property
    def _count(self) -> int:
        return 7 + 2 * ALTERNATIVES + len(FIELDS) + 1 + len(TEXTS) + len(EXPORTS)

    def _after(self, turn: Turn, log: Log, *, keep_text: bool = False) -> list[Any]:
        """Everything on the page after a turn."""
        gr = self._gr
        state = turn.state
        best = state.best
        lines = (*log, *lines_of(turn))
        # a message that could not be used stays in the box, so that it can be mended
        text: Any = gr.skip() if not keep_text else turn.said if turn.failed else ""
        shown: list[Any] = [state, lines, log_html(lines), text, gr.Row(visible=True)]
        catalogue = self._conversation.catalogue
        shown += [
            gr.HTML(chosen_html(best), visible=best is not None),
            gr.Column(visible=best is not None),
        ]
        others = state.found[1 : 1 + ALTERNATIVES]
        for place in range(ALTERNATIVES):
            there = place < len(others)
            shown += [gr.Row(visible=there), alternative_html(others[place], place + 2) if there else ""]
        if best is None:
            return shown + [gr.skip()] * (self._count - len(shown))
        api = best.api
        for name in FIELDS:
            shown.append(gr.Number(value=getattr(api, name), visible=_has(api, name)))
        shown.append(api.sampling_method)
        shown += [getattr(api, name) for name in TEXTS]
        return shown + [_exported(api, format, catalogue) for format, _ in EXPORTS.values()]


def _has(api: T2IApi, name: str) -> bool:
    return getattr(api, name) is not None or name not in ("lora_weight", "clip_skip")


def _exported(api: T2IApi, format: str, catalogue: Any) -> str:
    try:
        return export(api, format, catalogue=catalogue)
    except DiffAgentError as error:
        return f"# {error}"


def _drawn(
    pictures: Pictures, api: T2IApi, progress: "queue.Queue[str] | None"
) -> "Iterator[tuple[str, list[Image] | None]]":
    """What is said while a picture is made, and the picture or the reason why there is none."""
    done: list[list[Image]] = []
    failed: list[str] = []

    def work() -> None:
        try:
            done.append(pictures.render(api, seeds=[int(time.time()) % 2**31]))
        except DiffAgentError as error:
            failed.append(str(error))

    thread = threading.Thread(target=work, daemon=True)
    began = time.monotonic()
    thread.start()
    line = "starting"
    while thread.is_alive():
        thread.join(0.5)
        while progress is not None and not progress.empty():
            line = progress.get_nowait()
        yield f"{line} · {time.monotonic() - began:.0f} s", None
    if failed:
        yield f"No picture: {failed[0]}", None
    elif done:
        yield f"Made in {time.monotonic() - began:.1f} s.", done[0]
    else:
        yield "No picture: the renderer stopped; its reason is in the terminal.", None


def _fields(gr: Any) -> dict[str, Any]:
    """The editable fields, by the names of the API."""
    fields: dict[str, Any] = {}
    with gr.Row():
        for name, label in FIELDS.items():
            whole = name not in ("cfg_scale", "lora_weight")
            fields[name] = gr.Number(
                label=label,
                precision=0 if whole else None,
                step=1 if whole else 0.1,
                min_width=90,
                interactive=True,
            )
    fields["sampling_method"] = gr.Dropdown(
        [sampler.name for sampler in SAMPLERS], label="Sampler", allow_custom_value=True, interactive=True
    )
    for name, label in TEXTS.items():
        fields[name] = gr.Textbox(
            label=label, lines=2, max_lines=6, interactive=True, max_length=MAX_PROMPT_CHARS
        )
    return fields


def _export_tab(gr: Any, title: str, language: str | None) -> Any:
    with gr.Tab(title):
        return gr.Code(
            label=title,
            language=language,
            interactive=False,
            wrap_lines=True,
            lines=3,
            max_lines=14,
            show_line_numbers=False,
            buttons=["copy", "download"],
        )


def _picture_parts(gr: Any) -> tuple[Any, Any, Any]:
    with gr.Accordion("Picture", open=True):
        make = gr.Button("Make a picture", variant="primary", size="sm", elem_id="draw")
        status = gr.Textbox(label="Progress", interactive=False, lines=1, elem_id="progress")
        gallery = gr.Gallery(label="Pictures", columns=2, height="auto", elem_id="pictures", visible=False)
    return make, gallery, status


def _gradio() -> Any:
    """Gradio, told before it is imported that nothing is to be sent anywhere.

    Raises:
        MissingExtra: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    return require("gradio")

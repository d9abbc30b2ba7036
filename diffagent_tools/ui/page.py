"""The page of `diffagent ui`, made with Gradio: its parts, and how it is served.

    page = build_page(Conversation(selector, catalogue))
    serve(page, host="127.0.0.1", port=7860)

Each visitor has a state of their own (diffagent_tools/chat/conversation.py); the models are shared. Nothing
is loaded from elsewhere: system fonts, no analytics, and a Content-Security-Policy that lets the browser ask
nobody but this server. The server itself asks Civitai for sample pictures where a visitor has pressed the
button for it (samples.py), and nobody else.
"""

import os
import queue
from typing import Any

from diffagent_tools.chat.conversation import ALTERNATIVES, Conversation, State, Talker
from diffagent_tools.extras import require
from diffagent_tools.same_origin import SameOrigin
from diffagent_tools.ui.events import EXPORTS, FIELDS, PARTS, TEXTS, Events, Pictures, exported
from diffagent_tools.ui.guard import OnlyCalls
from diffagent_tools.ui.html import HEAD, log_html
from diffagent_tools.ui.samples import SamplePictures
from diffagent_tools.ui.scripts import SENDING, SESSION, STOPPED, UNSENT, copying, saving
from diffagent_tools.ui.style import STYLE
from retrieval.records.api import MAX_PROMPT_CHARS
from retrieval.tables.samplers import SAMPLERS

EXAMPLES = (
    "a happy corgi, pixel art",
    "a lighthouse in a storm, watercolor",
    "a LEGO pirate ship",
    "a sticker of a sleepy cat",
    "a portrait of an old sailor, oil painting",
    "an astronaut, comic book style",
)
LOOK = (
    '<p class="da-dim">This asks civitai.com for up to four pictures of this model, and of those you look at '
    "next. Only pictures that Civitai rates safe are shown. Until you press it, no other site is asked.</p>"
)
QUICK = ("another one", "make it wide", "only models I may sell", "may I sell it?", "undo", "start over")
OFFER = {"Yes, add it": "yes", "No, leave it": "no"}
USERS = 16
"""Requests that are answered at once; more wait."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_TAKE = (
    (
        "Copy for A1111 / Forge",
        "A1111 / Forge",
        copying(
            "Copied. Put the files below in their folders, paste this into the prompt box, and press the "
            "small arrow "
            "↙ below Generate: all settings are filled in."
        ),
    ),
    (
        "Save for ComfyUI",
        "ComfyUI",
        saving(
            "Saved as diffagent-workflow.json. Put the files below in their folders, and drop the workflow "
            "on ComfyUI's page."
        ),
    ),
    (
        "Copy Python script",
        "Python",
        copying("Copied. Save it as picture.py and run it: python picture.py. It says what it needs."),
    ),
)


def build_page(
    conversation: Conversation,
    *,
    talker: Talker | None = None,
    pictures: Pictures | None = None,
    progress: "queue.Queue[str] | None" = None,
    samples: SamplePictures | None = None,
) -> Any:
    """The page, as a `gradio.Blocks` that is not served yet.

    Args:
        conversation: picks, edits, and talks unless another does.
        talker: talks instead, such as an `AgentConversation`.
        pictures: makes pictures; without it the page has none.
        progress: what `pictures` says while it works.
        samples: fetches Civitai's sample pictures once somebody has asked to see them.
    """
    gr = _gradio()
    events = Events(gr, conversation, talker or conversation, pictures, progress, samples or SamplePictures())
    part: dict[str, Any] = {}
    with gr.Blocks(title="DiffAgent", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        part["state"], part["log"], session = gr.State(State()), gr.State(()), gr.State("")
        name = gr.Textbox(visible="hidden", elem_id="session")
        outgoing = gr.Textbox(visible="hidden", elem_id="outgoing")
        part["unsent"] = gr.Textbox(visible="hidden", elem_id="unsent")
        gr.HTML(HEAD)
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                part["talk"] = gr.HTML(log_html(()), elem_id="talk")
                with gr.Row(elem_classes="da-examples") as part["examples"]:
                    examples = [gr.Button(words, size="md") for words in EXAMPLES]
                with gr.Row(elem_classes="da-quick", visible=False) as part["offer"]:
                    offers = [gr.Button(label, size="sm", min_width=60) for label in OFFER]
                    meant = [gr.Textbox(words, visible=False) for words in OFFER.values()]
                message = gr.Textbox(
                    label="Your message",
                    placeholder="Say what the picture should show",
                    lines=1,
                    max_lines=6,
                    max_length=MAX_PROMPT_CHARS,
                    submit_btn="Send",
                    autofocus=True,
                    elem_id="message",
                )
                with gr.Row(elem_classes=["da-quick", "da-stop"]):
                    stop = gr.Button("Stop", size="sm", min_width=60, visible=False, elem_id="stop")
                with gr.Row(elem_classes="da-quick", visible=False) as part["quick"]:
                    quick = [gr.Button(words, size="sm", min_width=60) for words in QUICK]
            with gr.Column(scale=6, min_width=320, visible=False, elem_classes="da-side") as part["side"]:
                part["chosen"] = gr.HTML("", elem_id="chosen", visible=False)
                with gr.Column(visible=False) as part["take"]:
                    with gr.Row(elem_classes="da-take"):
                        copy = gr.Button("Copy the prompt", size="sm", elem_id="copy")
                        takes = [gr.Button(label, size="sm", variant="primary") for label, *_ in _TAKE]
                    part["done"] = done = gr.HTML("", elem_id="done")
                part["files"] = gr.HTML("", elem_id="files", visible=False)
                seen = gr.State(None)
                with gr.Column(elem_classes="da-look") as asking:
                    look = gr.Button("Show Civitai's samples", size="sm", elem_id="look")
                    gr.HTML(LOOK)
                examples_of = gr.HTML("", elem_id="samples")
                with gr.Accordion("Change the settings", open=False):
                    fields = _fields(gr)
                    apply = gr.Button("Apply", variant="primary", size="sm", elem_id="apply")
                with gr.Accordion("See the text for each program", open=False), gr.Tabs():
                    exports = {
                        title: _export_tab(gr, title, language) for title, (_, language) in EXPORTS.items()
                    }
                if pictures is not None:
                    make, gallery, status = _picture_parts(gr)
                cards = []
                with gr.Accordion("Other models that fit", open=True):
                    for place in range(ALTERNATIVES):
                        with gr.Row(elem_classes="da-alt", visible=False, equal_height=False) as row:
                            card = gr.HTML("", elem_id=f"alternative-{place + 2}")
                            use = gr.Button(f"Use number {place + 2}", size="sm", scale=0, min_width=110)
                        cards.append((row, card, use))
        shown = [part[each] for each in PARTS]
        for row, card, _ in cards:
            shown += [row, card]
        shown += [*fields.values(), *exports.values()]
        talk = [part["state"], part["log"], session]
        quiet: dict[str, Any] = {"show_progress": "hidden"}
        unsent = [message, part["unsent"]]
        sent = message.submit(None, [message], [outgoing, message, stop], js=SENDING).then(
            events.say, [outgoing, *talk], shown, api_name="say", trigger_mode="multiple", **quiet
        )
        sent.then(None, unsent, [*unsent, stop], js=UNSENT)
        pressed = []
        for button, said in zip(examples + quick + offers, examples + quick + meant, strict=True):
            pressed.append(button.click(events.say, [said, *talk], shown, api_visibility="private", **quiet))
            pressed[-1].then(None, unsent, [*unsent, stop], js=UNSENT)
        # the message is read off the talk before the talk is put back
        stop.click(None, [outgoing], [message, stop], js=STOPPED).then(
            events.stop, talk[:2], [part["talk"], part["examples"]], cancels=[sent], api_visibility="private"
        )
        picked = [
            use.click(events.picker(place + 1), talk, shown, api_name=f"pick_{place + 2}", **quiet)
            for place, (_, _, use) in enumerate(cards)
        ]
        triggers = [apply.click, *(fields[each].submit for each in (*FIELDS, "prompt", "negative_prompt"))]
        edited = gr.on(
            triggers, events.edit, [*talk, *fields.values()], shown, api_name="edit", show_progress="hidden"
        )
        copy.click(None, [fields["prompt"]], [done], js=copying("Copied the prompt."))
        for button, (_, title, script) in zip(takes, _TAKE, strict=True):
            button.click(None, [exports[title]], [done], js=script)
        page.load(None, None, [name], js=SESSION).then(
            events.load, [name], [*shown, session], api_visibility="private", **quiet
        )
        wanted: dict[str, Any] = {"api_visibility": "private", **quiet}
        look.click(events.consent, [part["state"], seen], [examples_of, seen, asking], **wanted)
        for answered in (sent, *pressed, *picked, edited):
            answered.then(events.samples, [part["state"], seen], [examples_of, seen], **wanted)
        if pictures is not None:
            make.click(
                events.draw,
                [part["state"]],
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
        exported(best.api, format, conversation.catalogue)


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
    # else the browser keeps every message in its storage
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    return require("gradio")

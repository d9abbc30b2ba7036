"""What happens on the page of `diffagent ui` when something is said, picked, edited, drawn or loaded "
"again."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from diffagent_tools.chat.conversation import ALTERNATIVES, Conversation, State, Talker, Turn
from diffagent_tools.formats.write import export
from diffagent_tools.ui.card import alternative_html, chosen_html, files_html, samples_html
from diffagent_tools.ui.html import WAITING, Line, lines_of, log_html, text_of
from diffagent_tools.ui.samples import SamplePictures
from diffagent_tools.ui.sessions import Sessions
from retrieval.errors import DiffAgentError, FetchError
from retrieval.records.api import T2IApi

if TYPE_CHECKING:
    from PIL.Image import Image

EXPORTS = {
    "A1111 / Forge": ("infotext", None),
    "ComfyUI": ("comfyui", "json"),
    "Python": ("diffusers", "python"),
    "JSON": ("json", "json"),
    "AIR": ("air", None),
}
FIELDS = {
    "width": "Width",
    "height": "Height",
    "sampling_steps": "Steps",
    "cfg_scale": "CFG scale",
    "clip_skip": "Clip skip",
    "lora_weight": "LoRA weight",
}
TEXTS = {"prompt": "Prompt", "negative_prompt": "Negative prompt"}
Log = tuple[Line, ...]
Seen = int | str | None
"""The version whose samples are shown; empty: none; None: nobody has asked to see any."""
PARTS = (
    *("state", "log", "talk", "unsent", "examples", "offer"),
    *("quick", "chosen", "take", "done", "files", "side"),
)
"""What an event sets before the alternatives, in order."""
STOPPED = Line("Stopped. Your message is back in the box.")


class Pictures(Protocol):
    """Makes pictures: `diffagent_tools.render.renderer.Renderer` is one."""

    def render(self, api: T2IApi, *, seeds: "list[int]") -> "list[Image]":
        """One image a seed."""
        ...


class Events:
    """Each method is one of Gradio's events; what it returns or yields is put into the page's parts in "
    "order."""

    def __init__(
        self,
        gr: Any,
        conversation: Conversation,
        talker: Talker,
        pictures: Pictures | None,
        progress: "queue.Queue[str] | None",
        samples: SamplePictures,
    ) -> None:
        self._gr = gr
        self._conversation = conversation
        self._talker = talker
        self._pictures = pictures
        self._progress = progress
        self._samples = samples
        self._sessions = Sessions()

    def say(self, message: str, state: State, log: Log, session: str) -> Iterator[list[Any]]:
        """Shows the message at once, and the answer when it is there."""
        gr = self._gr
        if not (message or "").strip():
            yield [gr.skip()] * self.count
            return
        waiting = (*log, Line(message, own=True), WAITING)
        first: list[Any] = [gr.skip(), gr.skip(), log_html(waiting), gr.skip(), gr.Row(visible=False)]
        yield first + [gr.skip()] * (self.count - len(first))
        yield self._after(self._talker.turn(message, state), log, session)

    def picker(self, place: int) -> Callable[[State, Log, str], list[Any]]:
        """Takes the model at a place of the list, the chosen one being 0."""

        def pick(state: State, log: Log, session: str) -> list[Any]:
            picked = state.found[place] if place < len(state.found) else None
            if picked is None or picked.api.model_id is None:
                return [self._gr.skip()] * self.count
            turn = self._conversation.pick(picked.api.model_id, state)
            return self._after(replace(turn, said=f"Use {picked.api.model}"), log, session)

        return pick

    def edit(self, state: State, log: Log, session: str, *values: Any) -> list[Any]:
        """Validates and applies the fields."""
        given = dict(zip((*FIELDS, "sampling_method", *TEXTS), values, strict=True))
        if state.best is not None and state.best.api.lora_weight is None:
            given.pop("lora_weight")
        turn = self._conversation.edit(given, state)
        return self._after(replace(turn, said="Change the settings"), log, session)

    def load(self, session: str) -> list[Any]:
        """The page as it was before a reload."""
        kept = self._sessions.find(session)
        if kept is None:
            return [*[self._gr.skip()] * self.count, session]
        return [*self._shown(*kept), session]

    def stop(self, state: State, log: Log) -> list[Any]:
        """The talk without the message that was stopped."""
        shown = (*log, STOPPED) if log else ()
        return [log_html(shown), self._gr.Row(visible=state.best is None)]

    def consent(self, state: State, seen: Seen) -> Iterator[list[Any]]:
        """Somebody asks for Civitai's samples: from now on they are shown of every model that is chosen."""
        gr = self._gr
        yield [
            gr.HTML('<p class="da-dim" role="status">Asking Civitai …</p>'),
            gr.skip(),
            gr.Column(visible=False),
        ]
        yield [*self.samples(state, ""), gr.skip()]

    def samples(self, state: State, seen: Seen) -> list[Any]:
        """The samples of the chosen model, where somebody has asked for any."""
        gr = self._gr
        best = state.best
        version = best.api.version_id if best is not None else None
        if seen is None or seen == version:
            return [gr.skip(), gr.skip()]
        if best is None or version is None or not best.page_url:
            return ["", ""]
        try:
            return [samples_html(self._samples.of(version), best.api.model), version]
        except FetchError as error:
            said = f'<p class="da-note" role="status">No samples: {text_of(str(error), 300)}</p>'
            return [said, ""]

    def draw(self, state: State) -> Iterator[list[Any]]:
        """Makes a picture; says what it does meanwhile."""
        gr = self._gr
        if state.best is None or self._pictures is None:
            yield [gr.skip(), "Nothing is chosen yet."]
            return
        for line, images in _drawn(self._pictures, state.best.api, self._progress):
            yield [gr.Gallery(images, visible=True) if images else gr.skip(), line]

    @property
    def count(self) -> int:
        """How many parts of the page an event sets."""
        return len(PARTS) + 2 * ALTERNATIVES + len(FIELDS) + 1 + len(TEXTS) + len(EXPORTS)

    def _after(self, turn: Turn, log: Log, session: str) -> list[Any]:
        lines = (*log, *lines_of(turn))
        self._sessions.keep(session, turn.state, lines)
        return self._shown(turn.state, lines, turn.said if turn.failed else "")

    def _shown(self, state: State, lines: Log, unsent: str = "") -> list[Any]:
        """Everything on the page."""
        gr = self._gr
        best = state.best
        there = best is not None
        catalogue = self._conversation.catalogue
        shown: list[Any] = [state, lines, log_html(lines), unsent]
        offered = state.offered is not None
        # whoever starts over, or only greets, may want one of them as much as at the beginning
        beginning = not there and not offered and not state.request.prompt
        shown += [gr.Row(visible=beginning), gr.Row(visible=offered), gr.Row(visible=there)]
        shown.append(gr.HTML(chosen_html(best, catalogue, state.request.prompt), visible=there))
        # what was copied before belongs to another answer
        shown += [gr.Column(visible=there), ""]
        shown.append(gr.HTML(files_html(best, catalogue), visible=there))
        shown.append(gr.Column(visible=there))
        others = state.found[1 : 1 + ALTERNATIVES] if best is not None else ()
        for place in range(ALTERNATIVES):
            used = place < len(others)
            card = (
                alternative_html(others[place], place + 2, best, catalogue)
                if used and best is not None
                else ""
            )
            shown += [gr.Row(visible=used), card]
        if best is None:
            return shown + [gr.skip()] * (self.count - len(shown))
        api = best.api
        for name in FIELDS:
            shown.append(gr.Number(value=getattr(api, name), visible=_has(api, name)))
        shown.append(api.sampling_method)
        shown += [getattr(api, name) for name in TEXTS]
        return shown + [exported(api, format, catalogue) for format, _ in EXPORTS.values()]


def _has(api: T2IApi, name: str) -> bool:
    return getattr(api, name) is not None or name not in ("lora_weight", "clip_skip")


def exported(api: T2IApi, format: str, catalogue: Any) -> str:
    """A call in another program's words, or why it has none."""
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

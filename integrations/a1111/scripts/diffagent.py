"""A button under the prompt of A1111 and Forge, which fills in prompts and settings for a model that is here.

The answer goes through the program's own reading of an infotext, as the arrow button's does, so that every
field, the checkpoint among them, is filled in the way that version fills it in. It asks a `diffagent serve`.
"""

from __future__ import annotations

import html
import inspect
import json
import os
from typing import Any

import diffagent_host as diffagent
import gradio as gr
from modules import scripts, sd_models, sd_samplers, shared
from modules.ui_components import ToolButton

try:
    from modules import infotext_utils as infotexts
except ImportError:  # before A1111 1.8
    from modules import generation_parameters_copypaste as infotexts  # type: ignore[no-redef]

_WEIGHTS = (".safetensors", ".ckpt", ".pt")
_RATINGS = {"PG": 1, "PG-13": 2, "R": 4, "X": 8, "XXX": 16}


class _AfterSuccess:
    """Stands where the program expects a button: what it would do at a click is done after an answer came."""

    def __init__(self, answered: Any) -> None:
        self._answered = answered

    def click(self, **what: Any) -> Any:
        """Gradio 4 calls `js` what Gradio 3 called `_js`."""
        if "_js" in what and "js" in inspect.signature(self._answered.success).parameters:
            what["js"] = what.pop("_js")
        return self._answered.success(**what)


class Script(scripts.Script):
    """A button beside the arrow, and a few options, on the page for txt2img and on that for img2img."""

    def __init__(self) -> None:
        super().__init__()
        self._there: dict[str, Any] = {}

    def title(self) -> str:
        return "DiffAgent"

    def show(self, is_img2img: bool) -> Any:
        return scripts.AlwaysVisible

    def after_component(self, component: Any, **kwargs: Any) -> None:
        """The program hands over each component that it has made: the prompts, and the row below them."""
        tab, _, name = str(kwargs.get("elem_id")).partition("_")
        if tab not in ("txt2img", "img2img"):
            return
        if name in ("prompt", "neg_prompt"):
            self._there[name] = component
        elif name == "clear_prompt":
            told = "DiffAgent: choose a model that is here for this prompt, and fill in its settings"
            self._there["button"] = ToolButton("🧭", elem_id=f"{tab}_diffagent_tool", tooltip=told)

    def ui(self, is_img2img: bool) -> list[Any]:
        """Nothing of it takes part in the generation: an empty list."""
        tab = "img2img" if is_img2img else "txt2img"
        if not {"prompt", "neg_prompt"} <= set(self._there):
            return []
        with gr.Accordion("DiffAgent", open=False, elem_id=f"{tab}_diffagent"):
            with gr.Row():
                button = gr.Button("Choose a model for this prompt", elem_id=f"{tab}_diffagent_choose")
                rating = gr.Dropdown(list(_RATINGS), value="PG", label="Up to")
                base_model = gr.Textbox(label="Base model", placeholder="any, or SD 1.5, SDXL 1.0, ...")
            server = gr.Textbox(diffagent.URL, label="Server (diffagent serve)")
            report = gr.HTML()
            answer = gr.Textbox(visible=False)
        asked = [self._there["prompt"], self._there["neg_prompt"], base_model, rating, server]
        for each in (button, self._there.get("button")):
            if each is not None:
                answered = each.click(fn=chosen_for, inputs=asked, outputs=[answer, report])
                binding = infotexts.ParamBinding(
                    paste_button=_AfterSuccess(answered), tabname=tab, source_text_component=answer
                )
                infotexts.register_paste_params_button(binding)
        return []


def chosen_for(prompt: str, negative: str, base_model: str, rating: str, server: str) -> tuple[str, str]:
    """The infotext to be read, and a few lines on it.

    Raises:
        gr.Error: there is no answer; the page shows why, and nothing is filled in.
    """
    wish = {
        "prompt": prompt,
        "negative_prompt": negative,
        "base_model": base_model.strip() or None,
        "max_nsfw": _RATINGS[rating],
    }
    try:
        chosen = diffagent.choose(diffagent.Server(server), wish, _host())
    except diffagent.DiffAgentError as error:
        raise gr.Error(str(error)) from error
    notes = [chosen.report]
    text = infotext(chosen, notes)
    return text, "<br>".join(html.escape(line) for note in notes for line in note.split("\n"))


def infotext(chosen: diffagent.Chosen, notes: list[str]) -> str:
    """The call as A1111 writes it under a picture; `notes` gets what is not offered here."""
    call = chosen.call
    tags = [f"<lora:{_stem(name)}:{weight:g}>" for name, weight in chosen.loras]
    sampler, schedule = call["a1111"]["sampler"], call["a1111"]["schedule_type"]
    offered = [each.name for each in sd_samplers.all_samplers]
    try:
        from modules import sd_schedulers
    except ImportError:  # before A1111 1.9, the schedule is a part of the sampler's name
        settings = {"Sampler": diffagent.listed_or(call["sampler"], offered, "Euler a", notes)}
    else:
        schedules = [each.label for each in sd_schedulers.schedulers]
        settings = {
            "Sampler": diffagent.listed_or(sampler, offered, "Euler a", notes),
            "Schedule type": diffagent.listed_or(schedule, schedules, "Automatic", notes),
        }
    checkpoint = _checkpoints()[chosen.checkpoint]
    settings = {
        "Steps": call["steps"],
        **settings,
        "CFG scale": f"{call['cfg']:g}",
        "Size": f"{call['width']}x{call['height']}",
        # A1111 goes by the hash, or by the name where it has made none, and Forge by the model's name
        "Model hash": checkpoint.shorthash or checkpoint.name,
        "Model": _stem(chosen.checkpoint),
        **({"Clip skip": call["clip_skip"]} if call["clip_skip"] else {}),
    }
    lines = [
        _one_line(" ".join([call["prompt"], *tags])),
        f"Negative prompt: {_one_line(call['negative_prompt'])}",
    ]
    return "\n".join([*lines, ", ".join(f"{name}: {_quoted(value)}" for name, value in settings.items())])


def _host() -> diffagent.Host:
    """The checkpoints and LoRAs of this program, with the hashes that it has made so far."""
    checkpoints = _checkpoints()
    hashes = {name: each.sha256 or each.shorthash for name, each in checkpoints.items()}
    return diffagent.Host(
        list(checkpoints), _loras(), {name: digest for name, digest in hashes.items() if digest}
    )


def _checkpoints() -> dict[str, Any]:
    return {each.name: each for each in sd_models.checkpoints_list.values()}


def _loras() -> list[str]:
    folder = getattr(shared.cmd_opts, "lora_dir", None)
    found = []
    for path, _, names in os.walk(folder, followlinks=True) if folder else ():
        found += [os.path.join(path, name) for name in names if name.lower().endswith(_WEIGHTS)]
    return sorted(found)


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name.replace("\\", "/")))[0]


def _one_line(text: str) -> str:
    """A prompt whose lines cannot be taken for another part of the infotext."""
    return " ".join(text.split())


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(sign in text for sign in ',:\n"') else text

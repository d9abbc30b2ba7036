"""A1111's side of an extension, after its documentation: `modules.*`, the page, and its reading of infotexts.

    with webui(folder, checkpoints={"a.safetensors": "0123456789"}, lora_dir=path) as host:
        host.filled("a corgi")       # what the page shows after the button: fields and override settings

Gradio is the real one. `forge`: the checkpoint goes by `Model`, else by `Model hash`.
"""

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import gradio as gr

SAMPLERS = ["Euler a", "Euler", "DPM++ 2M", "DPM++ SDE", "DDIM"]
SCHEDULES = ["Automatic", "Karras", "Exponential"]
_PARAM = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def read_infotext(text: str) -> dict[str, str]:
    """An infotext by A1111's rules: the last line are settings if it has three."""
    *lines, last = text.strip().split("\n")
    if len(_PARAM.findall(last)) < 3:
        lines, last = [*lines, last], ""
    prompt: list[str] = []
    negative: list[str] = []
    to = prompt
    for line in lines:
        if line.strip().startswith("Negative prompt:"):
            to, line = negative, line.strip()[16:]
        to.append(line.strip())
    found = {"Prompt": "\n".join(prompt), "Negative prompt": "\n".join(negative)}
    for name, value in _PARAM.findall(last):
        value = json.loads(value) if value[:1] == '"' else value
        size = re.fullmatch(r"(\d+)x(\d+)", value)
        found |= {f"{name}-1": size[1], f"{name}-2": size[2]} if size else {name: value}
    return found


class WebUI:
    """The page of one tab, with an extension's script in it."""

    def __init__(self, script: Any, bindings: list[Any], *, tab: str, models: Any, forge: bool) -> None:
        self._models = models
        self._forge = forge
        self._tab = tab
        with gr.Blocks() as self.page:
            made = {}
            for name in ("prompt", "neg_prompt", "clear_prompt"):
                kind = gr.Button if name == "clear_prompt" else gr.Textbox
                made[name] = kind(elem_id=f"{tab}_{name}")
                script.after_component(made[name], elem_id=f"{tab}_{name}")
            assert script.ui(tab == "img2img") == []
            settings = gr.JSON()
            for binding in bindings:
                assert binding.tabname == tab
                button, text = binding.paste_button, binding.source_text_component
                button.click(fn=self._paste, inputs=[text], outputs=[settings], show_progress="hidden")
                button.click(fn=None, _js=f"recalculate_prompts_{tab}", inputs=[], outputs=[])
                button.click(fn=None, _js=f"switch_to_{tab}", inputs=None, outputs=None)

    def _paste(self, text: str) -> dict[str, Any]:
        assert text, "an empty text would be read from the last picture"
        return read_infotext(text)

    def buttons(self) -> list[Any]:
        """What a click of each button does first."""
        return [fn for fn in self.page.fns.values() if fn.targets[0][1] == "click"]

    def after(self, first: Any) -> list[Any]:
        """What is done where that gave an answer: a function of Python, or JavaScript."""
        return [
            fn
            for fn in self.page.fns.values()
            if fn.trigger_after == first._id and fn.trigger_only_on_success
        ]

    def filled(self, prompt: str, **options: str) -> tuple[dict[str, Any], str]:
        """The fields after a click, the checkpoint under `checkpoint`, and what is said of the answer."""
        first = self.buttons()[-1]
        given = {"negative": "", "base_model": "", "rating": "PG", "server": "", **options}
        text, report = first.fn(prompt, *given.values())
        (pasted,) = [fn for fn in self.after(first) if fn.fn is not None]
        fields = pasted.fn(text)
        wanted = fields["Model" if self._forge else "Model hash"]
        infos = self._models.checkpoints_list.values()
        found = [info for info in infos if wanted in (info.shorthash, info.name)]
        found = found or sorted(
            (info for info in infos if wanted in info.title), key=lambda info: len(info.title)
        )
        assert found, f"{wanted!r} is no checkpoint here"
        return {**fields, "checkpoint": found[0].name}, report


@contextmanager
def webui(
    folder: Path,
    *,
    checkpoints: dict[str, str | None],
    lora_dir: Path,
    forge: bool = False,
    old: bool = False,
    tab: str = "txt2img",
) -> Iterator[WebUI]:
    """The page with the extension of a folder, loaded as A1111 loads one.

    Args:
        checkpoints: names, and the ten digits of their hashes, where they are made.
        old: before 1.9, when a schedule was a part of the sampler's name.
    """
    modules = ModuleType("modules")
    names = ["scripts", "sd_models", "sd_samplers", "sd_schedulers", "shared", "ui_components"]
    parts: dict[str, Any] = {name: ModuleType(f"modules.{name}") for name in [*names, "infotext_utils"]}
    bindings: list[Any] = []
    parts["scripts"].Script = type("Script", (), {})
    parts["scripts"].AlwaysVisible = object()
    parts["sd_models"].checkpoints_list = {
        f"{name} [{digest}]" if digest else name: SimpleNamespace(
            name=name, title=f"{name} [{digest}]" if digest else name, shorthash=digest, sha256=None
        )
        for name, digest in checkpoints.items()
    }
    whole = [f"{name} Karras" for name in SAMPLERS[2:4]] if old else []
    parts["sd_samplers"].all_samplers = [SimpleNamespace(name=name) for name in [*SAMPLERS, *whole]]
    parts["sd_schedulers"].schedulers = [SimpleNamespace(label=label) for label in SCHEDULES]
    parts["shared"].cmd_opts = SimpleNamespace(lora_dir=str(lora_dir))

    parts["ui_components"].ToolButton = lambda value, tooltip, **options: gr.Button(value, **options)
    parts["infotext_utils"].ParamBinding = lambda **given: SimpleNamespace(**given)
    parts["infotext_utils"].register_paste_params_button = bindings.append
    if old:
        del parts["sd_schedulers"]
    for name, part in parts.items():
        setattr(modules, name, part)
    there = {"modules": modules, **{f"modules.{name}": part for name, part in parts.items()}}
    before, path = dict(sys.modules), list(sys.path)
    sys.modules.update(there)
    sys.path.insert(0, str(folder))
    try:
        file = folder / "scripts" / "diffagent.py"
        spec = importlib.util.spec_from_file_location("diffagent.py", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        script = module.Script()
        assert script.show(tab == "img2img") is parts["scripts"].AlwaysVisible
        yield WebUI(script, bindings, tab=tab, models=parts["sd_models"], forge=forge)
    finally:
        sys.path[:] = path
        for name in {*there, "diffagent_host"}:
            sys.modules.pop(name, None)
        sys.modules.update({name: before[name] for name in there if name in before})

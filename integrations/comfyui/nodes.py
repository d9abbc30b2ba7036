"""Three nodes: a model for a request, the settings of a checkpoint, and LoRAs of a stack on a model.

They ask a `diffagent serve`. Names of files, samplers and schedulers that they give are those that ComfyUI
lists; a `LORA_STACK` is what other packs make of it: (name, strength of the model, strength of CLIP) each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import comfy.samplers
import folder_paths

from . import diffagent_host as diffagent

CATEGORY = "DiffAgent"
_RATINGS = {"PG": 1, "PG-13": 2, "R": 4, "X": 8, "XXX": 16}
_SERVER = ("STRING", {"default": diffagent.URL, "tooltip": "Where `diffagent serve` listens."})


def _samplers() -> list[str]:
    return comfy.samplers.KSampler.SAMPLERS


def _schedulers() -> list[str]:
    return comfy.samplers.KSampler.SCHEDULERS


class _Listed:
    """Types that follow what ComfyUI lists: it compares an output's list with that of the input."""

    def __init__(self, make: Callable[[], tuple[Any, ...]]) -> None:
        self._make = make

    def __get__(self, node: object, owner: type) -> tuple[Any, ...]:
        return self._make()


def _sampler(call: Any, notes: list[str]) -> tuple[str, str]:
    words = call["comfyui"]
    return (
        diffagent.listed_or(words["sampler_name"], _samplers(), "euler", notes),
        diffagent.listed_or(words["scheduler"], _schedulers(), "normal", notes),
    )


class DiffAgentSelect:
    """A request in words in; what a picture of it is made with, among the files that are here, out."""

    CATEGORY = CATEGORY
    FUNCTION = "select"
    DESCRIPTION = "Chooses a checkpoint and LoRAs that you have for what the picture should show."
    RETURN_TYPES = _Listed(
        lambda: (
            folder_paths.get_filename_list("checkpoints"),
            "LORA_STACK",
            "STRING",
            "STRING",
            _samplers(),
            _schedulers(),
            "INT",
            "FLOAT",
            "INT",
            "INT",
            "STRING",
        )
    )
    RETURN_NAMES = (
        "ckpt_name",
        "lora_stack",
        "prompt",
        "negative",
        "sampler_name",
        "scheduler",
        "steps",
        "cfg",
        "width",
        "height",
        "report",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        words = {"multiline": True, "dynamicPrompts": True}
        return {
            "required": {
                "text": ("STRING", {**words, "default": "", "tooltip": "What the picture should show."}),
            },
            "optional": {
                "negative": ("STRING", {**words, "default": "", "tooltip": "What it should not show."}),
                "base_model": (
                    "STRING",
                    {"default": "", "tooltip": "Such as SD 1.5 or SDXL 1.0; empty: any."},
                ),
                "commercial_use": (
                    "BOOLEAN",
                    {"default": False, "tooltip": "Only models whose licence lets the images be sold."},
                ),
                "rating": (list(_RATINGS), {"tooltip": "The most explicit model that may come."}),
                "server": _SERVER,
            },
        }

    @classmethod
    def IS_CHANGED(cls, server: str | None = None, **words: Any) -> Any:
        """Another file here or another catalogue there may be another answer to the same words.

        What another node gives is None here; ComfyUI runs this one again when that changes.
        """
        try:
            state = diffagent.Server(server or diffagent.URL, seconds=5).state()
        except diffagent.DiffAgentError:
            state = ""
        if not state:
            return float("nan")
        listed = [folder_paths.get_filename_list(kind) for kind in ("checkpoints", "loras")]
        return hashlib.sha256(json.dumps([state, listed, words], default=str).encode()).hexdigest()

    def select(
        self,
        text: str,
        negative: str = "",
        base_model: str = "",
        commercial_use: bool = False,
        rating: str = "PG",
        server: str = diffagent.URL,
    ) -> tuple[Any, ...]:
        wish = {
            "prompt": text,
            "negative_prompt": negative,
            "base_model": base_model.strip() or None,
            "commercial_use": commercial_use or None,
            "max_nsfw": _RATINGS[rating],
        }
        here = diffagent.Host(
            folder_paths.get_filename_list("checkpoints"), folder_paths.get_filename_list("loras")
        )
        chosen = diffagent.choose(diffagent.Server(server), wish, here)
        call, notes = chosen.call, [chosen.report]
        sampler_name, scheduler = _sampler(call, notes)
        stack = [(name, weight, weight) for name, weight in chosen.loras]
        return (
            chosen.checkpoint,
            stack,
            call["prompt"],
            call["negative_prompt"],
            sampler_name,
            scheduler,
            int(call["steps"]),
            float(call["cfg"]),
            int(call["width"]),
            int(call["height"]),
            "\n".join(notes),
        )


class DiffAgentSettings:
    """The settings that a checkpoint which is here is used with."""

    CATEGORY = CATEGORY
    FUNCTION = "settings"
    DESCRIPTION = "The sampler, steps, cfg, size and clip skip that a checkpoint's pictures are made with."
    RETURN_TYPES = _Listed(
        lambda: (
            folder_paths.get_filename_list("checkpoints"),
            _samplers(),
            _schedulers(),
            "INT",
            "FLOAT",
            "INT",
            "INT",
            "INT",
            "STRING",
        )
    )
    RETURN_NAMES = (
        "ckpt_name",
        "sampler_name",
        "scheduler",
        "steps",
        "cfg",
        "width",
        "height",
        "stop_at_clip_layer",
        "report",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"ckpt_name": (folder_paths.get_filename_list("checkpoints"),)},
            "optional": {"server": _SERVER},
        }

    @classmethod
    def IS_CHANGED(cls, ckpt_name: str | None = None, server: str | None = None) -> Any:
        return DiffAgentSelect.IS_CHANGED(server, ckpt_name=ckpt_name)

    def settings(self, ckpt_name: str, server: str = diffagent.URL) -> tuple[Any, ...]:
        call = diffagent.settings(diffagent.Server(server), ckpt_name)
        notes = [f"{call['model']} ({call['base_model']})", *call["notes"]]
        sampler_name, scheduler = _sampler(call, notes)
        return (
            ckpt_name,
            sampler_name,
            scheduler,
            int(call["steps"]),
            float(call["cfg"]),
            int(call["width"]),
            int(call["height"]),
            # ComfyUI counts from the end
            -int(call["clip_skip"] or 1),
            "\n".join(notes),
        )


class DiffAgentApplyLoras:
    """The LoRAs of a stack on a model and its CLIP, one after the other."""

    CATEGORY = CATEGORY
    FUNCTION = "apply"
    RETURN_TYPES = ("MODEL", "CLIP")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"model": ("MODEL",), "clip": ("CLIP",), "lora_stack": ("LORA_STACK",)},
        }

    def apply(self, model: Any, clip: Any, lora_stack: Any) -> tuple[Any, Any]:
        from nodes import LoraLoader

        for name, of_model, of_clip in lora_stack or ():
            model, clip = LoraLoader().load_lora(model, clip, name, of_model, of_clip)
        return model, clip


NODE_CLASS_MAPPINGS = {
    "DiffAgentSelect": DiffAgentSelect,
    "DiffAgentSettings": DiffAgentSettings,
    "DiffAgentApplyLoras": DiffAgentApplyLoras,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "DiffAgentSelect": "DiffAgent: model for a request",
    "DiffAgentSettings": "DiffAgent: settings for this checkpoint",
    "DiffAgentApplyLoras": "DiffAgent: apply LoRA stack",
}

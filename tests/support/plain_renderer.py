"""A renderer whose pictures are of one colour, and an API for it to render."""

from collections.abc import Sequence
from pathlib import Path

from calls import checkpoint
from PIL import Image

from diffagent_tools.render.plan import Plan
from retrieval.records.api import T2IApi
from retrieval.tables.samplers import require_sampler

API = checkpoint(
    "Pixel <b>Art</b>",
    width=64,
    height=96,
    sampling_method="DPM++ 2M Karras",
    sampling_steps=25,
    cfg_scale=5,
    trigger_words=("pixelart",),
    prompt='pixelart, a <script>alert("corgi")</script>',
)


class PlainRenderer:
    """One colour a seed."""

    batch_size = 2

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def plan(self, api: T2IApi) -> Plan:
        return Plan(
            checkpoint=Path("models/dream.safetensors"),
            lora=None,
            lora_weight=1.0,
            prompt=api.prompt,
            negative_prompt="",
            sampler=require_sampler(api.sampling_method),
            steps=api.sampling_steps,
            cfg_scale=api.cfg_scale,
            width=api.width,
            height=api.height,
            clip_skip=None,
        )

    def render_plan(self, plan: Plan, *, seeds: Sequence[int]) -> list[Image.Image]:
        self.seeds += seeds
        return [Image.new("RGB", (plan.width, plan.height), (seed * 40, 0, 0)) for seed in seeds]

"""T2I APIs for tests: a LoRA with all that can be said of one, and a checkpoint with what must be said.

LANTERN.model_copy(update={"prompt": "a river"})
checkpoint("tiny-sd", width=64, height=64)
"""

from typing import Any

from retrieval.records.api import CheckpointRef, T2IApi

LANTERN = T2IApi(
    model="Lantern Festival",
    type="LORA",
    base_model="SD 1.5",
    width=512,
    height=768,
    sampling_method="DPM++ 2M Karras",
    sampling_steps=30,
    cfg_scale=6.5,
    model_id=12,
    version_id=34,
    version="v2",
    air="urn:air:sd1:lora:civitai:12@34",
    base_checkpoint=CheckpointRef(model="DreamShaper", model_id=4384, version_id=128713),
    lora_weight=0.8,
    clip_skip=2,
    negative_prompt="blurry",
    prompt="a river, lantern style",
)


def checkpoint(model: str = "Dream", **fields: Any) -> T2IApi:
    """A checkpoint's API: SD 1.5, 512x512, 20 steps of Euler a, cfg scale 7, but for what is given."""
    usual: dict[str, Any] = {
        "type": "Checkpoint",
        "base_model": "SD 1.5",
        "width": 512,
        "height": 512,
        "sampling_method": "Euler a",
        "sampling_steps": 20,
        "cfg_scale": 7.0,
    }
    return T2IApi(model=model, **{**usual, **fields})

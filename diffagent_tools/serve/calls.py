"""A T2I API as the program needs it that makes the picture: its files by name and hash, its sampler's words.

    call = host_call(api, catalogue)
    call["checkpoint"]["files"], call["loras"], call["comfyui"]

integrations/ read it: which of the files are there, only the program itself knows.
"""

from typing import Any

from diffagent_tools.formats.plan import ExportFile, export_plan
from retrieval.catalogue import Catalogue
from retrieval.records.api import T2IApi

CALL_SCHEMA = {
    "type": "object",
    "required": ["checkpoint", "loras", "prompt", "negative_prompt", "steps", "cfg", "width", "height"],
    "properties": {
        "checkpoint": {
            "type": "object",
            "description": "`model`, and the names (`files`) and hashes (`sha256`) of the files that are it.",
        },
        "loras": {"type": "array", "description": "Likewise, each with its `weight`."},
        "comfyui": {"type": "object", "description": "`sampler_name` and `scheduler`."},
        "a1111": {"type": "object", "description": "`sampler` and `schedule_type`."},
    },
}


def host_call(api: T2IApi, catalogue: Catalogue) -> dict[str, Any]:
    """The call as JSON values; trigger words are in the prompt, tags of LoRAs are not.

    Raises:
        InvalidApi: the API may not be written.
        UnknownBaseModel: a LoRA of no known family without a checkpoint.
    """
    plan = export_plan(api, catalogue)
    called, sampler = plan.api, plan.sampler
    loras = [(plan.lora, called.lora_weight)] if plan.lora is not None else []
    return {
        "model": called.model,
        "type": called.type,
        "base_model": called.base_model,
        "checkpoint": _file(plan.checkpoint),
        "loras": [{**_file(file), "weight": weight} for file, weight in [*loras, *plan.loras]],
        "prompt": called.prompt,
        "negative_prompt": called.negative_prompt,
        "sampler": sampler.name,
        "comfyui": {"sampler_name": sampler.comfy_sampler, "scheduler": sampler.comfy_scheduler},
        "a1111": {"sampler": sampler.a1111_name, "schedule_type": sampler.schedule_type},
        "steps": called.sampling_steps,
        "cfg": called.cfg_scale,
        "width": called.width,
        "height": called.height,
        "clip_skip": plan.clip_skip,
        "notes": list(plan.notes),
    }


def _file(file: ExportFile) -> dict[str, Any]:
    """The version that was chosen first, then others of the model that would do."""
    versions = [file.wanted, *file.wanted.others]
    return {
        "model": file.wanted.model,
        "files": [name for version in versions for name in version.file_names],
        "sha256": [digest for version in versions for digest in version.sha256],
        "url": file.url,
    }

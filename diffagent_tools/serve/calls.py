"""A T2I API as the program needs it that makes the picture, and which models that program has.

    call = host_call(api, catalogue)
    call["checkpoint"]["files"], call["loras"], call["comfyui"]
    identified(["SD1.5/dreamshaper_8.safetensors"], "Checkpoint", {}, catalogue)

integrations/ read both: a program knows its models by the names of files, which their owners change.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from diffagent_tools.formats.plan import ExportFile, export_plan
from retrieval.catalogue import Catalogue
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelType

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
        "model_id": file.wanted.model_id,
        "version_id": file.wanted.version_id,
        "files": [name for version in versions for name in version.file_names],
        "sha256": [digest for version in versions for digest in version.sha256],
        "url": file.url,
    }


def identified(
    names: Sequence[str], kind: ModelType, sha256: Mapping[str, str], catalogue: Catalogue
) -> dict[str, dict[str, Any]]:
    """The models of those files that the catalogue knows: by a hash where there is one, else by the name."""
    found = {}
    for name in names:
        match = catalogue.resolve(sha256[name]) if name in sha256 else None
        match = match or catalogue.resolve(name.replace("\\", "/"), type=kind)
        if match is not None and match.record.type == kind:
            found[name] = {
                "model": match.record.model,
                "model_id": match.record.model_id,
                "version_id": match.version.version_id if match.version else None,
                "base_model": match.record.base_model,
            }
    return found

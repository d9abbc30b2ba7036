"""T2IApi -> what other programs take: A1111 and Forge, ComfyUI, diffusers.

    print(export(api, "infotext"))                          # paste into A1111's prompt box, press the arrow
    Path("workflow.json").write_text(export(api, "comfyui"))  # drop on ComfyUI's page, or POST to its server
    Path("picture.py").write_text(export(api, "diffusers"))   # python picture.py FOLDER

What has no exact equivalent in a program (a sampler, clip skip on SDXL) is said in the export itself: a
comment in the script, the title of a node, a setting named Note behind the others in an infotext. Names and
prompts lose hidden characters there: what is pasted or dropped shows all that it says.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

from retrieval.errors import InvalidApi, InvalidInput
from retrieval.records.inert import inert, json_text, lines, one_line

if TYPE_CHECKING:
    from diffagent_tools.formats.plan import ExportPlan
    from retrieval.catalogue import Catalogue
    from retrieval.records.api import T2IApi


class ExportFormat(StrEnum):
    """`infotext-old` is for A1111 before 1.9, `comfyui-ui` the form that ComfyUI's editor saves.

    The commands' options are made of it, so this file loads what writes the formats where it writes them.
    """

    infotext = "infotext"
    infotext_old = "infotext-old"
    comfyui = "comfyui"
    comfyui_ui = "comfyui-ui"
    diffusers = "diffusers"
    json = "json"
    air = "air"


# what ComfyUI has and A1111 has not, of the samplers of the table
_NOT_IN_A1111 = {"DEIS", "DDPM", "SA Solver", "Heun++"}
_A1111 = {"sd1", "sd2", "sdxl"}


def export(
    api: "T2IApi", format: ExportFormat | str, *, catalogue: "Catalogue | None" = None, seed: int = 0
) -> str:
    """The text of an export, without a newline at its end.

    Args:
        catalogue: knows ids, hashes and file names that the API does not say.
        seed: of the workflow and the script; an infotext has none, so that A1111 takes its own.

    Raises:
        InvalidApi: the API may not be written, or cannot be said in the format; the message says why.
        InvalidInput: there is no such format.
    """
    try:
        wanted = ExportFormat(format)
    except ValueError as error:
        raise InvalidInput(
            f"found the format {format!r}; needed is one of {', '.join(ExportFormat)}"
        ) from error
    if wanted is ExportFormat.json:
        return api.to_json(indent=2)
    from diffagent_tools.formats.comfyui.write import comfyui_prompt, comfyui_workflow
    from diffagent_tools.formats.diffusers_script import diffusers_script
    from diffagent_tools.formats.plan import export_plan

    plan = export_plan(api, catalogue)
    if wanted is ExportFormat.air:
        return _airs(plan)
    if wanted in (ExportFormat.infotext, ExportFormat.infotext_old):
        return infotext_export(plan, schedule_type=wanted is ExportFormat.infotext)
    if wanted is ExportFormat.diffusers:
        return diffusers_script(plan, infotext_export(plan, seed=seed), seed=seed).rstrip("\n")
    graph = comfyui_prompt(plan, seed=seed)
    written = graph if wanted is ExportFormat.comfyui else comfyui_workflow(graph)
    return json_text(inert(written), 2)


def infotext_export(plan: "ExportPlan", *, schedule_type: bool = True, seed: int | None = None) -> str:
    """The infotext with the names of files, the hash by which A1111 finds a checkpoint, and notes."""
    from diffagent_tools.formats.infotext import infotext_of

    notes = list(plan.notes)
    if plan.sampler.a1111_name in _NOT_IN_A1111:
        notes.append(f"A1111 does not offer the sampling method {plan.sampler.name}")
    if plan.family is None or plan.family.architecture not in _A1111:
        notes.append(f"A1111 runs SD 1.x, SD 2.x and SDXL; {plan.api.base_model} needs Forge")
    digest = next(iter(plan.checkpoint.wanted.sha256), None)
    # A1111 finds a checkpoint by its hash, a LoRA by the name of its file alone
    named_only = plan.files[1:] if digest else plan.files
    notes += [file.note for file in named_only if file.note]
    text = infotext_of(
        plan.api.model_copy(update={"sampling_method": plan.sampler.name}),
        schedule_type=schedule_type,
        seed=seed,
        checkpoint_file=plan.checkpoint.stem if plan.checkpoint.is_known else None,
        lora_file=plan.lora.stem if plan.lora else None,
        lora_files=[file.stem for file, _ in plan.loras],
        model_hash=digest[:10].lower() if digest else None,
        note="; ".join(notes),
    )
    return lines(text)


def _airs(plan: "ExportPlan") -> str:
    """The model's AIR, and below that of a LoRA the checkpoint's and further LoRAs', where they are known."""
    from diffagent_tools.formats.plan import file_air

    own = plan.lora or plan.checkpoint
    found = [plan.api.air or file_air(own, plan.family)]
    if found[0] is None:
        raise InvalidApi(
            f"no AIR of {plan.api.model!r} is known, as it has no version id; take the format json, or "
            "name a model of the catalogue"
        )
    if plan.lora is not None:
        reference = plan.api.base_checkpoint
        found.append((reference.air if reference else None) or file_air(plan.checkpoint, plan.family))
    for lora, (file, _) in zip(plan.api.loras, plan.loras, strict=True):
        found.append(lora.air or file_air(file, plan.family))
    return "\n".join(one_line(air) for air in found if air)

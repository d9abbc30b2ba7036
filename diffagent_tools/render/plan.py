"""What a T2I API means on this machine: the files, the words and the numbers that a picture is made with.

    plan = make_plan(api, ModelsFolder(Path("models")), Catalogue.starter())
    plan.checkpoint, plan.lora, plan.sampler.diffusers_class, plan.notes

Loads nothing: `diffagent_tools.render.renderer` carries it out.
"""

from dataclasses import dataclass
from pathlib import Path

from diffagent_tools.files.folder import ModelsFolder
from diffagent_tools.files.wanted import wanted_files
from diffagent_tools.formats.plan import completed, require_multiples, skipped
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi
from retrieval.records.api import T2IApi
from retrieval.tables.families import family_of
from retrieval.tables.samplers import Sampler, require_sampler

# the noise of every known model has as many steps
MAX_STEPS = 1000
# times the native area; what fits is a question of memory, and no machine has it for this
MAX_AREA = 16


@dataclass(frozen=True)
class Plan:
    """What a T2I API means here: the files, the words and the numbers that a picture is made with.

    `notes` say what is not exactly what was asked for, such as a sampler that diffusers does not have.
    """

    checkpoint: Path
    lora: Path | None
    lora_weight: float | None
    prompt: str
    negative_prompt: str
    sampler: Sampler
    steps: int
    cfg_scale: float
    width: int
    height: int
    clip_skip: int | None
    notes: tuple[str, ...] = ()
    loras: tuple[tuple[Path, float], ...] = ()
    """The LoRAs beside `lora`, each with its weight."""

    @property
    def all_loras(self) -> tuple[tuple[Path, float], ...]:
        """Every LoRA with its weight, the one that is the model first."""
        first = (
            () if self.lora is None else ((self.lora, 1.0 if self.lora_weight is None else self.lora_weight),)
        )
        return (*first, *self.loras)


def make_plan(api: T2IApi, models: ModelsFolder, catalogue: Catalogue | None = None) -> Plan:
    """The plan of an API.

    Raises:
        MissingModelFile: a file is not in the models folder; the message says how to get it.
        InvalidApi: the API may not be written, has no prompt, or a size that is no multiple of 8.
        UnknownSampler: no program offers the sampling method.
        UnknownBaseModel: the base model is of no known family.
    """
    api.to_wire()
    if not api.prompt.strip():
        raise InvalidApi("the API has no prompt; pass one with a 'prompt', such as `diffagent select` writes")
    require_multiples(api)
    family = family_of(api.base_model)
    if api.width * api.height > MAX_AREA * family.native_size**2:
        raise InvalidApi(
            f"the size is {api.width}x{api.height}, needed is at most {MAX_AREA} times the "
            f"{family.native_size}x{family.native_size} of {family.name}; `diffagent check` repairs it"
        )
    if api.sampling_steps > MAX_STEPS:
        raise InvalidApi(f"there are {api.sampling_steps:,} sampling steps, needed is at most {MAX_STEPS:,}")
    sampler = require_sampler(api.sampling_method)
    wanted = wanted_files(api, catalogue)
    notes = [note for note in (sampler.name_note, sampler.diffusers_note) if note]
    api, left_out = completed(api, family)
    return Plan(
        checkpoint=models.find(wanted.checkpoint),
        lora=models.find(wanted.lora) if wanted.lora else None,
        lora_weight=api.lora_weight,
        prompt=api.prompt,
        negative_prompt=api.negative_prompt,
        sampler=sampler,
        steps=api.sampling_steps,
        cfg_scale=api.cfg_scale,
        width=api.width,
        height=api.height,
        clip_skip=skipped(api),
        notes=(*notes, *left_out),
        loras=tuple(
            (models.find(file), lora.strength) for file, lora in zip(wanted.loras, api.loras, strict=True)
        ),
    )

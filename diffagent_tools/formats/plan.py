"""What every export of a T2I API starts from: the files, the sampler, and what has no exact equivalent.

plan = export_plan(api, Catalogue.starter())
plan.checkpoint.file, plan.sampler.name, plan.notes
"""

import re
from dataclasses import dataclass

from diffagent_tools.files.wanted import WantedFile, wanted_files
from retrieval.calls.compose import with_own_trigger
from retrieval.calls.limits import DEFAULT_LORA_WEIGHT, Change, idle
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi, UnknownBaseModel
from retrieval.records.air import make_air
from retrieval.records.api import T2IApi
from retrieval.records.lenient import well_formed
from retrieval.records.model import LOCAL_IDS
from retrieval.tables.families import Family, family_of
from retrieval.tables.samplers import Sampler, find_sampler, nearest_sampler

SUFFIX = ".safetensors"
# the architectures of which a whole model is one file with one loader in every program
_ONE_FILE = {"sd1": "StableDiffusionPipeline", "sd2": "StableDiffusionPipeline"}
_ONE_FILE |= {"sdxl": "StableDiffusionXLPipeline"}
_NOT_IN_NAME = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_MAX_NAME = 120
_MAX_SEED = 2**64 - 1
# what A1111 reads as a weight and CLIP as letters
_WEIGHTS = re.compile(r"(?<!\\)[(\[]|<lora:|\bBREAK\b|\bAND\b")
_CLIP_WORDS = 55


@dataclass(frozen=True)
class ExportFile:
    """A model's file: its name in the models folder, and whether that name is known or made from the model's.

    `url` is where Civitai gives it to those who may have it. `listed` is the name with the folders below that
    of its kind, as ComfyUI lists a file that is there.
    """

    wanted: WantedFile
    file: str
    is_known: bool
    listed: str

    @property
    def stem(self) -> str:
        """The name without `.safetensors`, as A1111 writes it."""
        return self.file.removesuffix(SUFFIX)

    @property
    def url(self) -> str | None:
        """The download's address, or the page of the model; None where no id of Civitai's is known."""
        if (self.wanted.model_id or 0) >= LOCAL_IDS:
            return None
        if self.wanted.version_id is not None:
            return f"https://civitai.com/api/download/models/{self.wanted.version_id}"
        if self.wanted.model_id is not None:
            return f"https://civitai.com/models/{self.wanted.model_id}"
        return None

    @property
    def note(self) -> str | None:
        """Which file to take and how to call it, where its name is not known."""
        if self.is_known:
            return None
        take = f"save the file of {self.url} as {self.file!r}" if self.url else f"{self.file!r} stands for it"
        return f"the file name of the {self.wanted.kind} {self.wanted.model!r} is not known: {take}"


@dataclass(frozen=True)
class ExportPlan:
    """`api` has its trigger word in the prompt and, if a LoRA, its weight, and nothing that its family lacks.
    `clip_skip` is None where it does nothing. `notes` hold for every program, a sentence each."""

    api: T2IApi
    family: Family | None
    checkpoint: ExportFile
    lora: ExportFile | None
    sampler: Sampler
    clip_skip: int | None
    notes: tuple[str, ...]
    loras: tuple[tuple[ExportFile, float], ...] = ()
    """Those beside `lora`, each with its weight."""

    @property
    def pipeline(self) -> str:
        """diffusers' class for the family.

        Raises:
            InvalidApi: the family is of an architecture that is loaded in several parts.
        """
        found = _ONE_FILE.get(self.family.architecture) if self.family else None
        if found is None:
            raise InvalidApi(
                f"the base model is {self.api.base_model!r}, and exported to ComfyUI and diffusers are those "
                "of SD 1.x, SD 2.x and SDXL (Pony, Illustrious, NoobAI), whose checkpoint is one file; take "
                "the format json, infotext or air"
            )
        return found

    @property
    def file_notes(self) -> tuple[str, ...]:
        """Which file names are not known, for programs that load by file name."""
        return tuple(file.note for file in self.files if file.note)

    @property
    def files(self) -> tuple[ExportFile, ...]:
        """All files: the checkpoint, the LoRA and those beside it."""
        return (self.checkpoint, *((self.lora,) if self.lora else ()), *(file for file, _ in self.loras))


def export_plan(api: T2IApi, catalogue: Catalogue | None = None) -> ExportPlan:
    """The plan of one API; the catalogue knows ids, hashes and file names that the API does not say.

    Raises:
        InvalidApi: the API may not be written.
        UnknownBaseModel: a LoRA of no known family without a base checkpoint.
    """
    api.to_wire()
    files = wanted_files(api, catalogue)
    try:
        family = family_of(api.base_model)
    except UnknownBaseModel:
        family = None
    notes: list[str] = []
    sampler = find_sampler(api.sampling_method)
    if sampler is None:
        sampler = nearest_sampler(api.sampling_method)
        notes.append(
            f"no program offers the sampling method {api.sampling_method[:60]!r}; {sampler.name}, whose name "
            "is spelled most alike, stands for it"
        )
    elif sampler.name_note:
        notes.append(sampler.name_note)
    whole, left_out = completed(api, family)
    return ExportPlan(
        api=whole,
        family=family,
        checkpoint=_file(files.checkpoint),
        lora=_file(files.lora) if files.lora else None,
        sampler=sampler,
        clip_skip=skipped(whole),
        notes=(*notes, *left_out),
        loras=tuple(
            (_file(wanted), lora.strength) for wanted, lora in zip(files.loras, api.loras, strict=True)
        ),
    )


def completed(api: T2IApi, family: Family | None) -> tuple[T2IApi, tuple[str, ...]]:
    """The call with its trigger word in the prompt and a weight for its LoRA, in text that UTF-8 can say, and
    without what does nothing on its family; a note on each thing that was left out."""
    left_out = idle(api, family)
    api = api.model_copy(update={change.attribute: change.after for change in left_out})
    weight = DEFAULT_LORA_WEIGHT if api.type == "LORA" and api.lora_weight is None else api.lora_weight
    whole = api.model_copy(
        update={
            "prompt": well_formed(with_own_trigger(api)),
            "negative_prompt": well_formed(api.negative_prompt),
            "lora_weight": weight,
        }
    )
    # 1 skips nothing anywhere
    told = (change for change in left_out if change.before != 1)
    return whole, tuple(_left_out(change) for change in told)


def _left_out(change: Change) -> str:
    what = f"{change.field} {change.before}" if isinstance(change.before, int) else f"the {change.field}"
    return f"{what} is left out: {change.why}"


def skipped(api: T2IApi) -> int | None:
    """The clip skip where it changes something."""
    return api.clip_skip if api.clip_skip is not None and api.clip_skip > 1 else None


def require_seed(seed: int) -> int:
    """The seed.

    Raises:
        InvalidApi: it is negative or has more than 64 bits.
    """
    if not 0 <= seed <= _MAX_SEED:
        raise InvalidApi(f"the seed is {seed}, needed is 0 to {_MAX_SEED}")
    return seed


def has_weights(*prompts: str) -> bool:
    """Whether a prompt has what A1111 reads as weights, tags or parts."""
    return any(_WEIGHTS.search(prompt) for prompt in prompts)


def may_be_long(*prompts: str) -> bool:
    """Whether a prompt may have more than the 75 tokens that CLIP reads at once."""
    return any(len(re.findall(r"\w+|[^\w\s]", prompt)) > _CLIP_WORDS for prompt in prompts)


def file_air(file: ExportFile, family: Family | None) -> str | None:
    """The AIR of a file whose ids are known."""
    wanted = file.wanted
    if family is None or wanted.model_id is None or wanted.version_id is None:
        return None
    if wanted.model_id >= LOCAL_IDS:
        return None
    return make_air(family.name, wanted.type, wanted.model_id, wanted.version_id)


def _file(wanted: WantedFile) -> ExportFile:
    if wanted.file_names:
        listed = wanted.file_names[0]
        parts = listed.replace("\\", "/").split("/")
        return ExportFile(wanted, parts[-1], True, parts[-1] if ".." in parts or not parts[0] else listed)
    name = " ".join(_NOT_IN_NAME.sub("_", well_formed(wanted.model)).split()).strip(" .")
    if not name.endswith(SUFFIX):
        name = f"{name[:_MAX_NAME] or 'model'}{SUFFIX}"
    return ExportFile(wanted, name, False, name)


MULTIPLE = 8


def require_multiples(api: T2IApi) -> None:
    """Refuses a size that no latent image has.

    Raises:
        InvalidApi: the width or height is no multiple of 8.
    """
    for name in ("width", "height"):
        if getattr(api, name) % MULTIPLE:
            raise InvalidApi(
                f"the {name} is {getattr(api, name)}, needed is a multiple of {MULTIPLE}; "
                "`diffagent check` repairs it"
            )

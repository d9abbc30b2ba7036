"""One table of samplers: what Civitai and AUTOMATIC1111 call it, diffusers' class, ComfyUI's two names.

    >>> sampler = require_sampler("k_dpmpp_2m_ka")
    >>> sampler.name, sampler.diffusers_class, sampler.comfy_sampler, sampler.comfy_scheduler
    ('DPM++ 2M Karras', 'DPMSolverMultistepScheduler', 'dpmpp_2m', 'karras')

A sampler is an algorithm and a noise schedule. Civitai writes both in one name, A1111 in two fields since its
version 1.9 (`Sampler`, `Schedule type`), ComfyUI in two inputs. Where a program has no equivalent the note
says so and the entry holds the nearest. The table is for models that predict noise or velocity; flow models
(Flux, SD 3) have schedulers of their own in diffusers.

Sources: diffusers' documentation (api/schedulers/overview), Civitai's `samplers` and `samplerMap`, A1111's
modules/sd_samplers_*.py and modules/sd_schedulers.py, ComfyUI's comfy/samplers.py.
"""

import functools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from retrieval.errors import UnknownSampler


@dataclass(frozen=True)
class Sampler:
    """One sampler in the words of each program; an empty note means an exact equivalent."""

    name: str
    a1111_name: str
    schedule_type: str
    diffusers_class: str
    diffusers_args: Mapping[str, Any] = field(hash=False)
    comfy_sampler: str
    comfy_scheduler: str
    diffusers_note: str = ""
    comfy_note: str = ""
    name_note: str = ""

    @property
    def exact(self) -> bool:
        """Whether every program has just this sampler."""
        return not self.note

    @property
    def note(self) -> str:
        """Where there is no exact equivalent, and what is the nearest."""
        return "; ".join(note for note in (self.name_note, self.diffusers_note, self.comfy_note) if note)


@dataclass(frozen=True)
class _Algorithm:
    """`automatic` is the schedule A1111 takes for `Automatic`, `schedules` whether diffusers has any other."""

    name: str
    diffusers_class: str
    comfy: str
    args: Mapping[str, Any] = field(default_factory=dict)
    other_names: str = ""
    automatic: str = ""
    schedules: bool = True
    # k-diffusion spreads its steps over the whole range, end points included, whatever the checkpoint says
    spacing: str = "linspace"
    comfy_scheduler: str = "normal"
    diffusers_note: str = ""
    comfy_note: str = ""


@dataclass(frozen=True)
class _Schedule:
    name: str
    comfy: str
    args: Mapping[str, Any]
    other_names: str = ""
    diffusers_note: str = ""
    comfy_note: str = ""


_SDE = {"algorithm_type": "sde-dpmsolver++"}
_NO_DIFFUSERS = "diffusers has no exact equivalent of"
_NO_COMFY = "ComfyUI has no exact equivalent of"
_SINGLE = "DPMSolverSinglestepScheduler"
_MULTI = "DPMSolverMultistepScheduler"
_ALGORITHMS = (
    _Algorithm(
        "Euler a",
        "EulerAncestralDiscreteScheduler",
        "euler_ancestral",
        other_names="euler_ancestral, euler ancestral",
        schedules=False,
    ),
    _Algorithm("Euler", "EulerDiscreteScheduler", "euler", other_names="euler discrete"),
    _Algorithm("LMS", "LMSDiscreteScheduler", "lms"),
    _Algorithm("Heun", "HeunDiscreteScheduler", "heun"),
    _Algorithm("DPM2", "KDPM2DiscreteScheduler", "dpm_2", other_names="dpm 2", automatic="Karras"),
    _Algorithm(
        "DPM2 a",
        "KDPM2AncestralDiscreteScheduler",
        "dpm_2_ancestral",
        other_names="dpm2 ancestral",
        automatic="Karras",
    ),
    _Algorithm(
        "DPM++ 2S a",
        _SINGLE,
        "dpmpp_2s_ancestral",
        other_names="dpm++ 2s ancestral, dpm++ 2s",
        automatic="Karras",
        spacing="",
        diffusers_note=f"{_NO_DIFFUSERS} DPM++ 2S a; the nearest is {_SINGLE}, without noise between steps",
    ),
    _Algorithm("DPM++ 2M", _MULTI, "dpmpp_2m", automatic="Karras", other_names="dpm solver++"),
    _Algorithm(
        "DPM++ SDE",
        _SINGLE,
        "dpmpp_sde",
        _SDE,
        automatic="Karras",
        spacing="",
        diffusers_note=f"{_NO_DIFFUSERS} DPM++ SDE without the package torchsde (DPMSolverSDEScheduler); "
        f"the nearest is {_SINGLE} with sde-dpmsolver++",
    ),
    _Algorithm("DPM++ 2M SDE", _MULTI, "dpmpp_2m_sde", _SDE, automatic="Exponential"),
    _Algorithm(
        "DPM++ 2M SDE Heun",
        _MULTI,
        "dpmpp_2m_sde_heun",
        {**_SDE, "solver_type": "heun"},
        automatic="Exponential",
    ),
    _Algorithm(
        "DPM++ 3M SDE",
        _MULTI,
        "dpmpp_3m_sde",
        {**_SDE, "solver_order": 3},
        automatic="Exponential",
        diffusers_note=f"{_NO_DIFFUSERS} DPM++ 3M SDE in its own table; the nearest is {_MULTI} of order 3 "
        "with sde-dpmsolver++",
    ),
    _Algorithm(
        "DPM fast",
        _SINGLE,
        "dpm_fast",
        {"solver_order": 3},
        spacing="",
        schedules=False,
        diffusers_note=f"{_NO_DIFFUSERS} DPM fast; the nearest is {_SINGLE} of order 3",
    ),
    _Algorithm(
        "DPM adaptive",
        _SINGLE,
        "dpm_adaptive",
        {"solver_order": 3},
        other_names="k_dpm_ad",
        spacing="",
        schedules=False,
        diffusers_note=f"{_NO_DIFFUSERS} DPM adaptive, which chooses its own number of steps; the nearest is "
        f"{_SINGLE} of order 3",
    ),
    _Algorithm(
        "Restart",
        "HeunDiscreteScheduler",
        "heun",
        automatic="Karras",
        diffusers_note=f"{_NO_DIFFUSERS} Restart; the nearest is HeunDiscreteScheduler",
        comfy_note=f"{_NO_COMFY} Restart; the nearest is heun",
    ),
    _Algorithm(
        "DDIM",
        "DDIMScheduler",
        "ddim",
        # A1111 and the checkpoints' own files begin at the second step of training
        {"steps_offset": 1},
        schedules=False,
        spacing="leading",
        comfy_scheduler="ddim_uniform",
    ),
    _Algorithm(
        "DDIM CFG++",
        "DDIMScheduler",
        "ddim",
        {"steps_offset": 1},
        schedules=False,
        spacing="leading",
        comfy_scheduler="ddim_uniform",
        diffusers_note=f"{_NO_DIFFUSERS} DDIM CFG++; the nearest is DDIMScheduler, with a higher cfg scale",
        comfy_note=f"{_NO_COMFY} DDIM CFG++; the nearest is ddim, with a higher cfg scale",
    ),
    _Algorithm(
        "PLMS",
        "PNDMScheduler",
        "ipndm",
        {"skip_prk_steps": True, "steps_offset": 1},
        other_names="pndm",
        schedules=False,
        spacing="leading",
        comfy_scheduler="ddim_uniform",
        comfy_note=f"{_NO_COMFY} PLMS; the nearest is ipndm",
    ),
    _Algorithm(
        "UniPC",
        "UniPCMultistepScheduler",
        "uni_pc",
        {"solver_order": 3, "solver_type": "bh1", "steps_offset": 1},
        other_names="uni_pc_bh2",
        spacing="leading",
    ),
    _Algorithm(
        "LCM",
        "LCMScheduler",
        "lcm",
        schedules=False,
        spacing="",
        comfy_scheduler="sgm_uniform",
    ),
    _Algorithm("DEIS", "DEISMultistepScheduler", "deis"),
    _Algorithm("DDPM", "DDPMScheduler", "ddpm", schedules=False, spacing="leading"),
    _Algorithm("SA Solver", "SASolverScheduler", "sa_solver", other_names="sa-solver"),
    _Algorithm(
        "Heun++",
        "HeunDiscreteScheduler",
        "heunpp2",
        other_names="heunpp2, heun++ 2",
        diffusers_note=f"{_NO_DIFFUSERS} Heun++; the nearest is HeunDiscreteScheduler",
    ),
)

_NORMAL = _Schedule("", "", {}, "normal, uniform, discrete, default")
_KARRAS_ARGS = {"use_karras_sigmas": True}
_SCHEDULES = (
    _NORMAL,
    _Schedule("Karras", "karras", _KARRAS_ARGS, "ka"),
    _Schedule("Exponential", "exponential", {"use_exponential_sigmas": True}, "polyexponential"),
    _Schedule("SGM Uniform", "sgm_uniform", {"timestep_spacing": "trailing"}, "sgmuniform, trailing"),
    _Schedule("Simple", "simple", {"timestep_spacing": "trailing"}),
    _Schedule("Beta", "beta", {"use_beta_sigmas": True}),
    _Schedule("DDIM", "ddim_uniform", {"timestep_spacing": "leading"}, "ddim uniform"),
    _Schedule(
        "KL Optimal",
        "kl_optimal",
        _KARRAS_ARGS,
        diffusers_note=f"{_NO_DIFFUSERS} the schedule KL Optimal; the nearest is Karras",
    ),
    _Schedule(
        "Align Your Steps",
        "karras",
        _KARRAS_ARGS,
        "ays",
        diffusers_note=f"{_NO_DIFFUSERS} the schedule Align Your Steps; the nearest is Karras",
        comfy_note=f"{_NO_COMFY} the schedule Align Your Steps in its KSampler; the nearest is Karras",
    ),
    _Schedule(
        "Karras Exponential",
        "karras",
        _KARRAS_ARGS,
        diffusers_note=f"{_NO_DIFFUSERS} the schedule Karras Exponential; the nearest is Karras",
        comfy_note=f"{_NO_COMFY} the schedule Karras Exponential; the nearest is Karras",
    ),
)

# variants of extensions and forks, found in the wild; none is offered by the programs of today
_VARIANTS = {
    f"DPM++ 2M {variant}": f"DPM++ 2M{schedule}"
    for schedule in ("", " Karras")
    for mark in ("alt", "Test", "MOD", "Precision", "v2")
    for variant in (f"{mark}{schedule}", f"{schedule.strip()} {mark}".strip())
}

# Civitai's own list, in its order, then what A1111 and ComfyUI have beyond it
SAMPLER_NAMES = (
    *("Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE"),
    *("DPM++ 2M SDE", "DPM++ 3M SDE", "DPM fast", "DPM adaptive", "LMS Karras", "DPM2 Karras"),
    *("DPM2 a Karras", "DPM++ 2S a Karras", "DPM++ 2M Karras", "DPM++ SDE Karras", "DPM++ 2M SDE Karras"),
    *("DPM++ 3M SDE Karras", "DPM++ 3M SDE Exponential", "DDIM", "PLMS", "UniPC", "LCM"),
)
_BEYOND_CIVITAI = (
    *("DPM++ 2M SDE Exponential", "DPM++ 2M SDE Heun", "DPM++ 2M SDE Heun Karras"),
    *("DPM++ 2M SDE Heun Exponential", "Restart", "DDIM CFG++", "DEIS", "DDPM", "SA Solver", "Heun++"),
)


def _combine(algorithm: _Algorithm, schedule: _Schedule) -> Sampler:
    args: dict[str, Any] = dict(algorithm.args)
    if algorithm.spacing:
        args["timestep_spacing"] = algorithm.spacing
    notes = [algorithm.diffusers_note, schedule.diffusers_note]
    if schedule is not _NORMAL:
        # the class behind `spacing == ""` has no such argument, and two of the classes no schedule at all
        fits = algorithm.schedules and (algorithm.spacing or "timestep_spacing" not in schedule.args)
        if fits:
            args |= schedule.args
        else:
            notes[1] = f"{algorithm.diffusers_class} has no schedule {schedule.name}; its own is the nearest"
    return Sampler(
        name=f"{algorithm.name} {schedule.name}".strip(),
        a1111_name=algorithm.name,
        schedule_type=schedule.name or ("Uniform" if algorithm.automatic else "Automatic"),
        diffusers_class=algorithm.diffusers_class,
        diffusers_args=args,
        comfy_sampler=algorithm.comfy,
        comfy_scheduler=schedule.comfy or algorithm.comfy_scheduler,
        diffusers_note="; ".join(note for note in notes if note),
        comfy_note="; ".join(note for note in (algorithm.comfy_note, schedule.comfy_note) if note),
    )


def find_sampler(name: str, schedule_type: str | None = None) -> Sampler | None:
    """The sampler of a name in any program's spelling, or None.

    Args:
        name: Civitai's (`DPM++ 2M Karras`), A1111's old and new form, its `k_` aliases, ComfyUI's
            (`dpmpp_2m`, `dpmpp_2m_karras`) or a diffusers class.
        schedule_type: A1111's second field or ComfyUI's scheduler; it outweighs a schedule in the name.
            `Automatic` is what A1111 1.9 and later take for the algorithm.
    """
    found = _parse(_fold(name))
    if found is None:
        return None
    algorithm, schedule, note = found
    if schedule_type is not None and schedule_type.strip():
        wanted = _fold(schedule_type)
        if wanted == "automatic":
            wanted = _fold(schedule.name or algorithm.automatic or "normal")
        given = _schedules().get(wanted)
        if given is None:
            return None
        # ComfyUI and A1111 write the own schedule of DDIM beside it
        schedule = _NORMAL if given.comfy == algorithm.comfy_scheduler else given
    sampler = _combine(algorithm, schedule)
    return replace(sampler, name_note=note) if note else sampler


def require_sampler(name: str, schedule_type: str | None = None) -> Sampler:
    """`find_sampler`, for a name that must be known.

    Raises:
        UnknownSampler: no program offers it; the error holds the nearest names.
    """
    sampler = find_sampler(name, schedule_type)
    if sampler is None:
        wanted = f"{name} {schedule_type or ''}".strip()
        nearest = _nearest_names(wanted, 3)
        raise UnknownSampler(
            f"found the sampling method {wanted[:60]!r}, which no program offers; needed is one such as "
            f"{', '.join(nearest)}",
            value=wanted,
            nearest=nearest,
        )
    return sampler


def nearest_sampler(name: str) -> Sampler:
    """The sampler of the name if there is one, else the one whose name is spelled most alike."""
    return find_sampler(name) or require_sampler(_nearest_names(name, 1)[0])


def _nearest_names(name: str, count: int) -> list[str]:
    from rapidfuzz import fuzz, process

    names = {sampler.name: _fold(sampler.name) for sampler in SAMPLERS}
    matches = process.extract(_fold(name), names, scorer=fuzz.ratio, limit=count)
    return [key for _, _, key in matches]


_NOT_SIGN = re.compile(r"[^a-z0-9]+")


def _fold(name: str) -> str:
    """`DPM++ 2M Karras`, `dpmpp_2m_karras` and `DPM++2M-KARRAS` as one."""
    text = unicodedata.normalize("NFKC", name[:120]).casefold().replace("++", "pp").replace("plus plus", "pp")
    text = _NOT_SIGN.sub("", text)
    return text.removesuffix("scheduler").removesuffix("gpu")


def _parse(key: str) -> tuple[_Algorithm, _Schedule, str] | None:
    """The algorithm, the schedule and, for a variant, the note of a folded name."""
    for candidate in (key, key.removeprefix("k"), key.removeprefix("sample")):
        variant = _variants().get(candidate)
        if variant is not None:
            name, nearest = variant
            found = _parse(_fold(nearest))
            note = f"{name} is a variant that no program offers today; the nearest is {nearest}"
            return (found[0], found[1], note) if found else None
        algorithm = _algorithms().get(candidate)
        if algorithm is not None:
            return algorithm, _NORMAL, ""
        for suffix, schedule in _schedules().items():
            head = candidate.removesuffix(suffix).removesuffix("gpu")
            algorithm = _algorithms().get(head) if candidate.endswith(suffix) else None
            if algorithm is not None:
                return algorithm, schedule, ""
    return None


@functools.cache
def _algorithms() -> dict[str, _Algorithm]:
    table: dict[str, _Algorithm] = {}
    for algorithm in _ALGORITHMS:
        for name in (algorithm.name, algorithm.comfy, *filter(None, algorithm.other_names.split(", "))):
            table.setdefault(_fold(name), algorithm)
    for algorithm in _ALGORITHMS:
        table.setdefault(_fold(algorithm.diffusers_class), algorithm)
    return table


@functools.cache
def _schedules() -> dict[str, _Schedule]:
    """Folded names of the schedules, the longest first, so that `sgm_uniform` is not read as `uniform`."""
    table = {
        _fold(name): schedule
        for schedule in _SCHEDULES
        for name in (schedule.name, *schedule.other_names.split(", "))
        if name
    }
    return {key: table[key] for key in sorted(table, key=len, reverse=True)}


@functools.cache
def _variants() -> dict[str, tuple[str, str]]:
    return {_fold(name): (name, nearest) for name, nearest in _VARIANTS.items()}


SAMPLERS: tuple[Sampler, ...] = tuple(require_sampler(name) for name in (*SAMPLER_NAMES, *_BEYOND_CIVITAI))

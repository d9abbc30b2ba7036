"""The facts behind `retrieval.tables.samplers`: algorithms, noise schedules, variants and the names of
them all.

    >>> [algorithm.name for algorithm in ALGORITHMS if algorithm.comfy_note]
    ['Restart', 'DDIM CFG++', 'PLMS']

What every program of today has. What only some have, and what is nearest to it, is in
retrieval/tables/sampler_neighbours.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

A1111 = "AUTOMATIC1111 1.10 (July 2024): modules/sd_samplers_*.py, modules/sd_schedulers.py"
COMFYUI = "ComfyUI (read November 2026): comfy/samplers.py, KSAMPLER_NAMES and SCHEDULER_HANDLERS"
DIFFUSERS = "diffusers (August 2026): docs, api/schedulers/overview"


@dataclass(frozen=True)
class Algorithm:
    """An algorithm; `automatic` is the schedule that A1111 takes for `Automatic`.

    `schedules` says whether the class in diffusers takes a schedule other than its own, `source` where the
    name was read.
    """

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
    a1111_note: str = ""
    source: str = A1111


@dataclass(frozen=True)
class Schedule:
    """A noise schedule; the one without a name is the model's own."""

    name: str
    comfy: str
    args: Mapping[str, Any]
    other_names: str = ""
    diffusers_note: str = ""
    comfy_note: str = ""
    source: str = A1111


_SDE = {"algorithm_type": "sde-dpmsolver++"}
NO_DIFFUSERS = "diffusers has no exact equivalent of"
NO_COMFY = "ComfyUI has no exact equivalent of"
_SINGLE = "DPMSolverSinglestepScheduler"
_MULTI = "DPMSolverMultistepScheduler"
ALGORITHMS = (
    Algorithm(
        "Euler a",
        "EulerAncestralDiscreteScheduler",
        "euler_ancestral",
        other_names="euler_ancestral, euler ancestral",
        schedules=False,
    ),
    Algorithm("Euler", "EulerDiscreteScheduler", "euler", other_names="euler discrete"),
    Algorithm("LMS", "LMSDiscreteScheduler", "lms"),
    Algorithm("Heun", "HeunDiscreteScheduler", "heun"),
    Algorithm("DPM2", "KDPM2DiscreteScheduler", "dpm_2", other_names="dpm 2", automatic="Karras"),
    Algorithm(
        "DPM2 a",
        "KDPM2AncestralDiscreteScheduler",
        "dpm_2_ancestral",
        other_names="dpm2 ancestral",
        automatic="Karras",
    ),
    Algorithm(
        "DPM++ 2S a",
        _SINGLE,
        "dpmpp_2s_ancestral",
        other_names="dpm++ 2s ancestral, dpm++ 2s, dpm2sa",
        automatic="Karras",
        spacing="",
        diffusers_note=f"{NO_DIFFUSERS} DPM++ 2S a; the nearest is {_SINGLE}, without noise between steps",
    ),
    Algorithm("DPM++ 2M", _MULTI, "dpmpp_2m", automatic="Karras", other_names="dpm solver++, dpm2m"),
    Algorithm(
        "DPM++ SDE",
        _SINGLE,
        "dpmpp_sde",
        _SDE,
        other_names="dpmsde",
        automatic="Karras",
        spacing="",
        diffusers_note=f"{NO_DIFFUSERS} DPM++ SDE without the package torchsde (DPMSolverSDEScheduler); "
        f"the nearest is {_SINGLE} with sde-dpmsolver++",
    ),
    Algorithm("DPM++ 2M SDE", _MULTI, "dpmpp_2m_sde", _SDE, "dpm2msde", automatic="Exponential"),
    Algorithm(
        "DPM++ 2M SDE Heun",
        _MULTI,
        "dpmpp_2m_sde_heun",
        {**_SDE, "solver_type": "heun"},
        automatic="Exponential",
    ),
    Algorithm(
        "DPM++ 3M SDE",
        _MULTI,
        "dpmpp_3m_sde",
        {**_SDE, "solver_order": 3},
        other_names="dpm3msde",
        automatic="Exponential",
        diffusers_note=f"{NO_DIFFUSERS} DPM++ 3M SDE in its own table; the nearest is {_MULTI} of order 3 "
        "with sde-dpmsolver++",
    ),
    Algorithm(
        "DPM fast",
        _SINGLE,
        "dpm_fast",
        {"solver_order": 3},
        spacing="",
        schedules=False,
        diffusers_note=f"{NO_DIFFUSERS} DPM fast; the nearest is {_SINGLE} of order 3",
    ),
    Algorithm(
        "DPM adaptive",
        _SINGLE,
        "dpm_adaptive",
        {"solver_order": 3},
        other_names="k_dpm_ad",
        spacing="",
        schedules=False,
        diffusers_note=f"{NO_DIFFUSERS} DPM adaptive, which chooses its own number of steps; the nearest is "
        f"{_SINGLE} of order 3",
    ),
    Algorithm(
        "Restart",
        "HeunDiscreteScheduler",
        "heun",
        automatic="Karras",
        diffusers_note=f"{NO_DIFFUSERS} Restart; the nearest is HeunDiscreteScheduler",
        comfy_note=f"{NO_COMFY} Restart; the nearest is heun",
    ),
    Algorithm(
        "DDIM",
        "DDIMScheduler",
        "ddim",
        # A1111 and the checkpoints' own files begin at the second step of training
        {"steps_offset": 1},
        schedules=False,
        spacing="leading",
        comfy_scheduler="ddim_uniform",
    ),
    Algorithm(
        "DDIM CFG++",
        "DDIMScheduler",
        "ddim",
        {"steps_offset": 1},
        schedules=False,
        spacing="leading",
        comfy_scheduler="ddim_uniform",
        diffusers_note=f"{NO_DIFFUSERS} DDIM CFG++; the nearest is DDIMScheduler, with a higher cfg scale",
        comfy_note=f"{NO_COMFY} DDIM CFG++; the nearest is ddim, with a higher cfg scale",
    ),
    Algorithm(
        "PLMS",
        "PNDMScheduler",
        "ipndm",
        {"skip_prk_steps": True, "steps_offset": 1},
        other_names="pndm",
        schedules=False,
        spacing="leading",
        comfy_scheduler="ddim_uniform",
        comfy_note=f"{NO_COMFY} PLMS; the nearest is ipndm",
    ),
    Algorithm(
        "UniPC",
        "UniPCMultistepScheduler",
        "uni_pc",
        {"solver_order": 3, "solver_type": "bh2", "steps_offset": 1},
        other_names="uni_pc_bh2",
        spacing="leading",
        # with bh1 the step to a noise of zero divides infinities
        diffusers_note=f"{NO_DIFFUSERS} UniPC in A1111's variant bh1 that ends at zero; the nearest is bh2",
    ),
    Algorithm(
        "LCM",
        "LCMScheduler",
        "lcm",
        schedules=False,
        spacing="",
        comfy_scheduler="sgm_uniform",
    ),
    Algorithm("DEIS", "DEISMultistepScheduler", "deis", source=COMFYUI),
    Algorithm("DDPM", "DDPMScheduler", "ddpm", schedules=False, spacing="leading", source=COMFYUI),
    Algorithm("SA Solver", "SASolverScheduler", "sa_solver", other_names="sa-solver", source=COMFYUI),
    Algorithm(
        "Heun++",
        "HeunDiscreteScheduler",
        "heunpp2",
        other_names="heunpp2, heun++ 2",
        source=COMFYUI,
        diffusers_note=f"{NO_DIFFUSERS} Heun++; the nearest is HeunDiscreteScheduler",
    ),
)

# `k` ends the names of InvokeAI: dpmpp_2m_k
NORMAL = Schedule("", "", {}, "normal, uniform, discrete, default")
_KARRAS_ARGS = {"use_karras_sigmas": True}
SCHEDULES = (
    NORMAL,
    Schedule("Karras", "karras", _KARRAS_ARGS, "ka, k"),
    Schedule("Exponential", "exponential", {"use_exponential_sigmas": True}, "polyexponential"),
    Schedule("SGM Uniform", "sgm_uniform", {"timestep_spacing": "trailing"}, "sgmuniform, trailing"),
    Schedule("Simple", "simple", {"timestep_spacing": "trailing"}),
    Schedule("Beta", "beta", {"use_beta_sigmas": True}),
    Schedule("DDIM", "ddim_uniform", {"timestep_spacing": "leading"}, "ddim uniform"),
    Schedule(
        "KL Optimal",
        "kl_optimal",
        _KARRAS_ARGS,
        diffusers_note=f"{NO_DIFFUSERS} the schedule KL Optimal; the nearest is Karras",
    ),
    Schedule(
        "Linear Quadratic",
        "linear_quadratic",
        {"timestep_spacing": "trailing"},
        diffusers_note=f"{NO_DIFFUSERS} the schedule Linear Quadratic; the nearest is Simple",
        source=COMFYUI,
    ),
    Schedule(
        "Align Your Steps",
        "karras",
        _KARRAS_ARGS,
        "ays",
        diffusers_note=f"{NO_DIFFUSERS} the schedule Align Your Steps; the nearest is Karras",
        comfy_note=f"{NO_COMFY} the schedule Align Your Steps in its KSampler; the nearest is Karras",
    ),
    Schedule(
        "Karras Exponential",
        "karras",
        _KARRAS_ARGS,
        diffusers_note=f"{NO_DIFFUSERS} the schedule Karras Exponential; the nearest is Karras",
        comfy_note=f"{NO_COMFY} the schedule Karras Exponential; the nearest is Karras",
    ),
)

# variants of extensions and forks, found in the wild; none is offered by the programs of today
VARIANTS = {
    f"DPM++ 2M {variant}": f"DPM++ 2M{schedule}"
    for schedule in ("", " Karras")
    for mark in ("alt", "Test", "MOD", "Precision", "v2")
    for variant in (f"{mark}{schedule}", f"{schedule.strip()} {mark}".strip())
}

# Civitai's own list, in its order, then what A1111 and ComfyUI have beyond it
CIVITAI_NAMES = (
    *("Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE"),
    *("DPM++ 2M SDE", "DPM++ 3M SDE", "DPM fast", "DPM adaptive", "LMS Karras", "DPM2 Karras"),
    *("DPM2 a Karras", "DPM++ 2S a Karras", "DPM++ 2M Karras", "DPM++ SDE Karras", "DPM++ 2M SDE Karras"),
    *("DPM++ 3M SDE Karras", "DPM++ 3M SDE Exponential", "DDIM", "PLMS", "UniPC", "LCM"),
)
BEYOND_CIVITAI = (
    *("DPM++ 2M SDE Exponential", "DPM++ 2M SDE Heun", "DPM++ 2M SDE Heun Karras"),
    *("DPM++ 2M SDE Heun Exponential", "Restart", "DDIM CFG++", "DEIS", "DDPM", "SA Solver", "Heun++"),
)

"""Samplers and schedules that only some programs have: what they are called, and what is nearest to them.

    >>> [algorithm.comfy for algorithm in NEIGHBOURS if algorithm.name == "ER SDE"]
    ['er_sde']

Each row says where its name was read, and when. A1111 and diffusers have none of them unless a row says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from retrieval.tables.sampler_facts import (
    ALGORITHMS,
    COMFYUI,
    DIFFUSERS,
    NO_COMFY,
    NO_DIFFUSERS,
    SCHEDULES,
    Algorithm,
    Schedule,
)

FORGE = "Forge (July 2024 to 2025): modules_forge/alter_samplers.py, modules/sd_schedulers.py"
FORGE_NEO = "Forge Classic and Neo (2025): modules_forge/alter_samplers.py"
EXTENSIONS = "extensions of A1111 and Forge (2024 to 2025): webUI_ExtraSchedulers, Euler-Smea-Dyn-Sampler"
INVOKEAI = "InvokeAI 6 (2026): invokeai/backend/stable_diffusion/schedulers/schedulers.py"
RES4LYF = "RES4LYF, nodes for ComfyUI (2025)"
DRAW_THINGS = "Draw Things (2025): its list of samplers"


@dataclass(frozen=True)
class _Row:
    """A name, ComfyUI's own where it has it, what is nearest, and where it was read.

    `diffusers` is the class where diffusers has it, with `args`; `a1111` says that A1111's family has it.
    """

    name: str
    comfy: str
    nearest: str
    source: str
    other_names: str = ""
    diffusers: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    a1111: bool = False


_ROWS = (
    _Row("Euler CFG++", "euler_cfg_pp", "Euler", COMFYUI, a1111=True),
    _Row("Euler a CFG++", "euler_ancestral_cfg_pp", "Euler a", COMFYUI, "euler_a_cfg_pp", a1111=True),
    _Row("EXP Heun 2 x0", "exp_heun_2_x0", "Heun", COMFYUI),
    _Row("EXP Heun 2 x0 SDE", "exp_heun_2_x0_sde", "DPM++ SDE", COMFYUI),
    _Row("DPM++ 2S a CFG++", "dpmpp_2s_ancestral_cfg_pp", "DPM++ 2S a", COMFYUI),
    _Row("DPM++ 2M CFG++", "dpmpp_2m_cfg_pp", "DPM++ 2M", COMFYUI, a1111=True),
    _Row("IPNDM", "ipndm", "PLMS", COMFYUI, a1111=True),
    _Row("IPNDM V", "ipndm_v", "PLMS", COMFYUI, a1111=True),
    _Row("CFG++ UD10 AB", "cfgpp_ud10_ab", "LMS", COMFYUI),
    _Row("Res Multistep", "res_multistep", "DPM++ 2M", COMFYUI, a1111=True),
    _Row("Res Multistep CFG++", "res_multistep_cfg_pp", "DPM++ 2M", COMFYUI, a1111=True),
    _Row("Res Multistep a", "res_multistep_ancestral", "DPM++ 2M SDE", COMFYUI, a1111=True),
    _Row("Res Multistep a CFG++", "res_multistep_ancestral_cfg_pp", "DPM++ 2M SDE", COMFYUI, a1111=True),
    _Row("Gradient Estimation", "gradient_estimation", "Euler", COMFYUI, a1111=True),
    _Row("Gradient Estimation CFG++", "gradient_estimation_cfg_pp", "Euler", COMFYUI, a1111=True),
    _Row("ER SDE", "er_sde", "DPM++ 3M SDE", COMFYUI, a1111=True),
    _Row("SEEDS 2", "seeds_2", "DPM++ SDE", COMFYUI, a1111=True),
    _Row("SEEDS 3", "seeds_3", "DPM++ SDE", COMFYUI, a1111=True),
    _Row("SA Solver PECE", "sa_solver_pece", "SA Solver", COMFYUI, a1111=True),
    _Row("DPM++ 2M Turbo", "", "DPM++ 2M", FORGE, a1111=True),
    _Row("DPM++ 2M SDE Turbo", "", "DPM++ 2M SDE", FORGE, a1111=True),
    _Row("Euler a Turbo", "", "Euler a", FORGE, a1111=True),
    _Row("[Forge] Flux Realistic", "", "Euler", FORGE, a1111=True),
    _Row("[Forge] Flux Realistic (Slow)", "", "Euler", FORGE, a1111=True),
    _Row("DPM++ 2s a RF", "", "DPM++ 2S a", FORGE_NEO, a1111=True),
    _Row("Kohaku LoNyu Yog", "", "Euler a", FORGE_NEO, a1111=True),
    _Row("DPM++ 4M SDE", "", "DPM++ 3M SDE", EXTENSIONS, a1111=True),
    _Row("Refined Exponential Solver", "", "DPM++ 2M", EXTENSIONS, a1111=True),
    _Row("Euler Dy", "", "Euler", EXTENSIONS, a1111=True),
    _Row("Euler SMEA Dy", "", "Euler", EXTENSIONS, "euler smea", a1111=True),
    _Row("Euler Dy CFG++", "", "Euler", EXTENSIONS, a1111=True),
    _Row("Euler SMEA Dy CFG++", "", "Euler", EXTENSIONS, a1111=True),
    _Row("Euler Negative", "", "Euler", EXTENSIONS, a1111=True),
    _Row("Euler Max", "", "Euler", EXTENSIONS, a1111=True),
    _Row(
        "DPM++ 3M",
        "",
        "DPM++ 2M",
        INVOKEAI,
        diffusers="DPMSolverMultistepScheduler",
        args={"solver_order": 3},
    ),
    _Row("TCD", "", "LCM", INVOKEAI, diffusers="TCDScheduler"),
    _Row("Flow Match Euler", "", "Euler", DIFFUSERS, "FlowMatchEulerDiscreteScheduler, euler flowmatch"),
    _Row("RES 2S", "", "DPM++ SDE", RES4LYF),
    _Row("RES 2M", "", "DPM++ 2M", RES4LYF),
    _Row("RES 3S", "", "DPM++ SDE", RES4LYF),
    _Row("RES 3M", "", "DPM++ 2M", RES4LYF),
    _Row("Euler a Substep", "", "Euler a", DRAW_THINGS),
    _Row("DPM++ SDE Substep", "", "DPM++ SDE", DRAW_THINGS),
)
# name, other names, what is nearest, where it was read
_SCHEDULES = (
    ("Turbo", "", "SGM Uniform", FORGE),
    ("Align Your Steps GITS", "ays gits", "Karras", EXTENSIONS),
    ("Align Your Steps 11", "ays 11", "Karras", EXTENSIONS),
    ("Align Your Steps 32", "ays 32", "Karras", EXTENSIONS),
    ("Karras Dynamic", "", "Karras", EXTENSIONS),
    ("Cosine", "", "Exponential", EXTENSIONS),
    ("Cosine-exponential Blend", "cosexpblend", "Exponential", EXTENSIONS),
    ("Phi", "", "Exponential", EXTENSIONS),
    ("Laplace", "", "Exponential", EXTENSIONS),
    ("Sinusoidal SF", "", "Simple", EXTENSIONS),
    ("Beta 57", "beta57", "Beta", RES4LYF),
    ("Bong Tangent", "", "Beta", RES4LYF),
)


def _neighbour(row: _Row) -> Algorithm:
    nearest = next(algorithm for algorithm in ALGORITHMS if algorithm.name == row.nearest)
    told = f"{row.name}; the nearest is {row.nearest}"
    made = replace(
        nearest,
        name=row.name,
        other_names=row.other_names,
        comfy=row.comfy or nearest.comfy,
        comfy_scheduler="normal" if row.comfy else nearest.comfy_scheduler,
        comfy_note="" if row.comfy else f"{NO_COMFY} {told}",
        diffusers_note="" if row.diffusers else f"{NO_DIFFUSERS} {told}",
        a1111_note="" if row.a1111 else f"A1111 has no exact equivalent of {told}",
        source=row.source,
    )
    return replace(made, diffusers_class=row.diffusers, args=row.args) if row.diffusers else made


def _schedule(name: str, other_names: str, nearest: str, source: str) -> Schedule:
    near = next(schedule for schedule in SCHEDULES if schedule.name == nearest)
    told = f"the schedule {name}; the nearest is {nearest}"
    return replace(
        near,
        name=name,
        other_names=other_names,
        diffusers_note=f"{NO_DIFFUSERS} {told}",
        comfy_note=f"{NO_COMFY} {told}",
        source=source,
    )


NEIGHBOURS: tuple[Algorithm, ...] = tuple(_neighbour(row) for row in _ROWS)
NEIGHBOUR_SCHEDULES: tuple[Schedule, ...] = tuple(_schedule(*row) for row in _SCHEDULES)

"""One table of samplers: what Civitai and AUTOMATIC1111 call it, diffusers' class, ComfyUI's two names.

    >>> sampler = require_sampler("k_dpmpp_2m_ka")
    >>> sampler.name, sampler.diffusers_class, sampler.comfy_sampler, sampler.comfy_scheduler
    ('DPM++ 2M Karras', 'DPMSolverMultistepScheduler', 'dpmpp_2m', 'karras')

A sampler is an algorithm and a noise schedule. Civitai writes both in one name, A1111 in two fields since its
version 1.9 (`Sampler`, `Schedule type`), ComfyUI in two inputs. Where a program has no equivalent the note
says so and the entry holds the nearest. The table is for models that predict noise or velocity; flow models
(Flux, SD 3) have schedulers of their own in diffusers.

The facts are in retrieval/tables/sampler_facts.py and sampler_neighbours.py, each with its source.
"""

import functools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from retrieval.errors import UnknownSampler
from retrieval.tables.sampler_facts import (
    A1111,
    ALGORITHMS,
    BEYOND_CIVITAI,
    CIVITAI_NAMES,
    NORMAL,
    SCHEDULES,
    VARIANTS,
    Algorithm,
    Schedule,
)
from retrieval.tables.sampler_neighbours import NEIGHBOUR_SCHEDULES, NEIGHBOURS


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
    a1111_note: str = ""

    @property
    def exact(self) -> bool:
        """Whether every program has just this sampler."""
        return not self.note

    @property
    def note(self) -> str:
        """Where there is no exact equivalent, and what is the nearest."""
        notes = (self.name_note, self.a1111_note, self.diffusers_note, self.comfy_note)
        return "; ".join(note for note in notes if note)


def _combine(algorithm: Algorithm, schedule: Schedule) -> Sampler:
    args: dict[str, Any] = dict(algorithm.args)
    if algorithm.spacing:
        args["timestep_spacing"] = algorithm.spacing
    notes = [algorithm.diffusers_note, schedule.diffusers_note]
    if schedule is not NORMAL:
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
        a1111_note=algorithm.a1111_note,
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
        schedule = NORMAL if given.comfy == algorithm.comfy_scheduler else given
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


def _parse(key: str) -> tuple[Algorithm, Schedule, str] | None:
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
            return algorithm, NORMAL, ""
        for suffix, schedule in _schedules().items():
            head = candidate.removesuffix(suffix).removesuffix("gpu")
            algorithm = _algorithms().get(head) if candidate.endswith(suffix) else None
            if algorithm is not None:
                return algorithm, schedule, ""
    return None


@functools.cache
def _algorithms() -> dict[str, Algorithm]:
    table: dict[str, Algorithm] = {}
    for algorithm in (*ALGORITHMS, *NEIGHBOURS):
        for name in (algorithm.name, *filter(None, algorithm.other_names.split(", "))):
            table.setdefault(_fold(name), algorithm)
    for algorithm in (*ALGORITHMS, *NEIGHBOURS):
        table.setdefault(_fold(algorithm.comfy), algorithm)
    for algorithm in ALGORITHMS:
        table.setdefault(_fold(algorithm.diffusers_class), algorithm)
    return table


@functools.cache
def _schedules() -> dict[str, Schedule]:
    """Folded names of the schedules, the longest first, so that `sgm_uniform` is not read as `uniform`."""
    table = {
        _fold(name): schedule
        for schedule in (*NEIGHBOUR_SCHEDULES, *SCHEDULES)
        for name in (schedule.name, *schedule.other_names.split(", "))
        if name
    }
    return {key: table[key] for key in sorted(table, key=len, reverse=True)}


@functools.cache
def _variants() -> dict[str, tuple[str, str]]:
    return {_fold(name): (name, nearest) for name, nearest in VARIANTS.items()}


SAMPLERS: tuple[Sampler, ...] = tuple(require_sampler(name) for name in (*CIVITAI_NAMES, *BEYOND_CIVITAI))
_COMMON = frozenset(sampler.a1111_name for sampler in SAMPLERS)
_RARE_SCHEDULES = frozenset(each.name for each in (*NEIGHBOUR_SCHEDULES, *SCHEDULES) if each.source != A1111)


def rarity_note(sampler: Sampler) -> str:
    """What is nearest to a sampler or schedule that only some programs have; empty for one that all know."""
    if (
        sampler.a1111_name in _COMMON
        and sampler.schedule_type not in _RARE_SCHEDULES
        and not sampler.name_note
    ):
        return ""
    return f"the sampling method {sampler.name} is known; {sampler.note}" if sampler.note else ""

"""How a family is sampled: cfg scale, steps, usual samplers, and whether a negative prompt counts.

>>> sampling_of("SDXL Lightning", SD).steps, sampling_of("SDXL 1.0", SD).steps
(8, 20)

Each row says where its numbers are from. "form": the ranges and defaults of Civitai's generator, as its
public source had them in 2026 (src/shared/data-graph/generation). "pipeline": the defaults of the family's
pipeline in diffusers 0.42. "card": the model's own page at its makers'.
"""

import functools
from dataclasses import dataclass

_SD_SAMPLERS = ("Euler a", "DPM++ 2M Karras", "DPM++ SDE Karras", "DPM++ 2M SDE Karras", "DDIM", "Euler")
_FLOW_SAMPLERS = ("Euler", "Euler Simple", "Euler Beta", "Heun")


@dataclass(frozen=True)
class Sampling:
    """The usual settings of a family, and the bounds of its cfg scale.

    `cfg_range`: the widest that a program offers. `most_steps`: of a composed call, since more cost time and
    change little; what somebody else asks for may be more. `samplers`: the usual ones, the default first.
    `has_negative_prompt`: false where it changes nothing at the usual cfg scale.
    """

    cfg: float = 7.0
    cfg_range: tuple[float, float] = (1.0, 30.0)
    steps: int = 20
    most_steps: int = 40
    samplers: tuple[str, ...] = _SD_SAMPLERS
    has_negative_prompt: bool = True

    @property
    def sampler(self) -> str:
        """The default one."""
        return self.samplers[0]


# the paper's default call, section 4.1; form: cfg 1 to 30, A1111's as well
SD = Sampling()
# pipeline: cfg 7, 28 steps; the port of 3.5 Large in keras-hub: cfg 4.5, 40 steps
SD3 = Sampling(4.5, (1, 20), 28, 40, _FLOW_SAMPLERS)
# form: cfg 2 to 20, 3.5, 25 steps of 20 to 50, no negative prompt; in ComfyUI cfg 1 and a guidance
FLUX = Sampling(3.5, (1, 20), 25, 40, _FLOW_SAMPLERS, has_negative_prompt=False)
# form: draft mode without cfg and steps; card: guidance 0, at most 4 steps
SCHNELL = Sampling(1, (1, 20), 4, 8, _FLOW_SAMPLERS, has_negative_prompt=False)
# form: steps 4 to 12, 8, a negative prompt; the base models below it have rows of their own
KLEIN = Sampling(1, (1, 20), 8, 12, _FLOW_SAMPLERS)
# form: cfg 2 to 20, 3.5; pipeline of AuraFlow: cfg 3.5, 50 steps, a negative prompt
AURA = Sampling(3.5, (1, 20), 30, 50, _FLOW_SAMPLERS)
# form: works best with 40 steps and more, at most 50
PONY_V7 = Sampling(3.5, (1, 20), 40, 50, _FLOW_SAMPLERS)
# form: cfg 2 to 20, 3.5, 25 steps; pipeline: cfg 5, 35 steps, a negative prompt
CHROMA = Sampling(3.5, (1, 20), 30, 40, _FLOW_SAMPLERS)
# form: cfg 2 to 20, 3.5, 20 to 50 steps; pipeline: true cfg 4, 50 steps, a negative prompt
QWEN = Sampling(3.5, (1, 20), 25, 50, _FLOW_SAMPLERS)
# form: cfg 1 to 2, 9 of 1 to 15 steps, no negative prompt; card: guidance off, 8 steps
Z_TURBO = Sampling(1, (1, 2), 9, 15, _FLOW_SAMPLERS, has_negative_prompt=False)
# form: cfg 1 to 10, 4, 20 of 1 to 50 steps, Euler and Heun
Z_BASE = Sampling(4, (1, 10), 20, 50, _FLOW_SAMPLERS)
# form: cfg 1 to 20, 7, 25 of 10 to 50 steps, euler_a first
ANIMA = Sampling(7, (1, 20), 25, 40, ("Euler a", "Euler", "ER SDE", "DPM++ 2M", "Heun"))
# form: cfg 1 to 20, 4, 20 of 1 to 50 steps, Euler; pipeline: cfg 4
ERNIE = Sampling(4, (1, 20), 20, 40, _FLOW_SAMPLERS)
# form, full: cfg 1 to 20, 5, 50 of 20 to 100 steps, UniPC; pipeline: cfg 5, 50 steps
HIDREAM = Sampling(5, (1, 20), 50, 50, ("UniPC", *_FLOW_SAMPLERS))
# form, full: cfg 1 to 20, 4.5, 50 of 1 to 100 steps
HIDREAM_O1 = Sampling(4.5, (1, 20), 50, 50, _FLOW_SAMPLERS)
# form: cfg 1 to 10, 4, 25 of 1 to 50 steps; it takes no negative prompt
IDEOGRAM = Sampling(4, (1, 10), 25, 40, _FLOW_SAMPLERS, has_negative_prompt=False)
# form, raw: cfg 1 to 10, 3.5, 52 of 1 to 60 steps
KREA = Sampling(3.5, (1, 10), 52, 60, _FLOW_SAMPLERS)
# form: cfg 1 to 8, 4, 35 of 1 to 50 steps
BOOGU = Sampling(4, (1, 8), 35, 40, _FLOW_SAMPLERS)
# form: cfg 1 to 20, 5, 20 of 1 to 50 steps, Euler
LENS = Sampling(5, (1, 20), 20, 40, _FLOW_SAMPLERS)
# form: cfg 1 to 10, 5, 30 of 10 to 50 steps, no negative prompt
MAGE_FLOW = Sampling(5, (1, 10), 30, 40, _FLOW_SAMPLERS, has_negative_prompt=False)
# pipeline: cfg 4, 30 steps
LUMINA = Sampling(4, (1, 20), 30, 40, _FLOW_SAMPLERS)
# pipeline: cfg 4.5, 20 steps
PIXART = Sampling(4.5, (1, 20), 20, 40, ("DPM++ 2M", "Euler", "Euler a"))
# pipeline: cfg 5, 50 steps
HUNYUAN = Sampling(5, (1, 20), 30, 50, ("DPM++ 2M", "DDIM", "Euler"))
# pipeline: cfg 5, 50 steps
KOLORS = Sampling(5, (1, 20), 30, 40, ("Euler", "DPM++ 2M Karras", "Euler a"))
# card: guidance 3
PLAYGROUND = Sampling(3, (1, 20), 30, 40, ("Euler", "DPM++ 2M Karras", "Euler a"))
# pipeline of the prior: cfg 4, 20 steps
CASCADE = Sampling(4, (1, 20), 20, 40, ("Euler a", "Euler"))

# distilled for a few steps, among the base models of a family that is not; the cfg scale is 1 where a card
# says that guidance is off
_VARIANTS: dict[str, Sampling] = {
    # diffusers' guide to latent consistency models: 4 to 8 steps, guidance 1 to 2
    "SD 1.5 LCM": Sampling(1.5, (1, 8), 6, 12, ("LCM",)),
    "SDXL 1.0 LCM": Sampling(1.5, (1, 8), 6, 12, ("LCM",)),
    # card of Hyper-SD: 1 to 8 steps, guidance off
    "SD 1.5 Hyper": Sampling(1, (1, 8), 8, 12, ("DDIM", "LCM", "Euler a")),
    "SDXL Hyper": Sampling(1, (1, 8), 8, 12, ("DDIM", "LCM", "Euler a")),
    # card: 1 to 4 steps, guidance off; those trained from it take more
    "SDXL Turbo": Sampling(1, (1, 8), 4, 10, ("Euler a", "DPM++ SDE Karras")),
    # card: a file each for 1, 2, 4 and 8 steps, Euler with trailing steps, guidance off
    "SDXL Lightning": Sampling(1, (1, 8), 8, 12, ("Euler SGM Uniform", "Euler a", "DPM++ SDE Karras")),
    # card: 4 steps, guidance off
    "SD 3.5 Large Turbo": Sampling(1, (1, 20), 4, 8, _FLOW_SAMPLERS),
    # form: cfg 2 to 20, 7, 30 of 20 to 50 steps
    "Flux.2 Klein 9B-base": Sampling(7, (1, 20), 30, 40, _FLOW_SAMPLERS),
    "Flux.2 Klein 4B-base": Sampling(7, (1, 20), 30, 40, _FLOW_SAMPLERS),
}


def sampling_of(base_model: str, usual: Sampling) -> Sampling:
    """Of a base model as Civitai spells it: its own where it is distilled, else the family's usual one."""
    return _variants().get(_fold(base_model), usual)


def _fold(name: str) -> str:
    return "".join(char for char in name[:200].casefold() if char.isalnum())


@functools.cache
def _variants() -> dict[str, Sampling]:
    return {_fold(name): sampling for name, sampling in _VARIANTS.items()}

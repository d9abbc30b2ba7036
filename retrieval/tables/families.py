"""One table of the families of base models: which LoRAs fit, at what size, under which AIR name.

    >>> family_of("SDXL Lightning").name, family_of("stable diffusion v1.5").default_size
    ('SDXL 1.0', (512, 512))

A family is what a LoRA may be loaded on without a warning. Families of one `architecture` share the shapes of
their weights, so that a LoRA of one loads on another and works in part (Pony, Illustrious and NoobAI are
trained from SDXL 1.0). Names and grouping follow Civitai's own list of base models, as its public source had
it in 2026 (src/shared/constants/basemodel.constants.ts; Boogu and MageFlow as its AIRs name them). Those
whose weights nobody can download and those that make video or sound have no family here. A default model is
Civitai's own. How pictures of a family are sampled is in family_sampling.py.
"""

import difflib
import functools
import unicodedata
from dataclasses import dataclass

from retrieval.errors import UnknownBaseModel
from retrieval.tables import family_sampling as usual
from retrieval.tables.family_sampling import Sampling


@dataclass(frozen=True)
class Family:
    """Base models that take the same LoRAs. Sizes are in pixels."""

    name: str
    air: str
    architecture: str
    native_size: int
    aliases: tuple[str, ...] = ()
    default_model_id: int | None = None
    default_model: str | None = None
    # the slider changes nothing on other architectures, and on SDXL the last layer is always skipped
    has_clip_skip: bool = False
    sampling: Sampling = usual.SD
    min_side: int = 256
    max_side: int = 2048
    multiple: int = 8
    recommended_multiple: int = 64

    @property
    def default_width(self) -> int:
        """The native size."""
        return self.native_size

    @property
    def default_height(self) -> int:
        """The native size."""
        return self.native_size

    @property
    def default_size(self) -> tuple[int, int]:
        """Width and height."""
        return self.native_size, self.native_size

    @property
    def max_pixels(self) -> int:
        """Four times the native area: beyond it a picture made in one go repeats its subject."""
        return 4 * self.native_size**2


DEFAULT_FAMILY = "SD 1.5"
"""Whose sizes, limits and base model hold where nothing says which family is meant."""

FAMILIES: tuple[Family, ...] = (
    Family(
        name=DEFAULT_FAMILY,
        air="sd1",
        architecture="sd1",
        native_size=512,
        aliases=(
            *("SD 1.4", "SD 1.5 LCM", "SD 1.5 Hyper", "SD 1.x", "SD1", "SD v1.5", "SD v1.4"),
            *("Stable Diffusion 1.5", "Stable Diffusion v1.5", "Stable Diffusion 1.4", "Stable Diffusion 1"),
            *("Stable Diffusion v1.4", "Stable Diffusion 1.x", "v1-5-pruned-emaonly"),
        ),
        default_model_id=62437,
        default_model="v1-5-pruned-emaonly",
        has_clip_skip=True,
    ),
    Family(
        name="SD 2.1",
        air="sd2",
        architecture="sd2",
        native_size=768,
        aliases=(
            *("SD 2.0", "SD 2.0 768", "SD 2.1 768", "SD 2.1 Unclip", "SD 2.x", "SD2", "Stable Diffusion 2"),
            *("Stable Diffusion 2.1", "Stable Diffusion v2.1", "Stable Diffusion 2.0"),
        ),
    ),
    Family(
        name="SDXL 1.0",
        air="sdxl",
        architecture="sdxl",
        native_size=1024,
        aliases=(
            *("SDXL 0.9", "SDXL 1.0 LCM", "SDXL Distilled", "SDXL Turbo", "SDXL Lightning", "SDXL Hyper"),
            *("SDXL", "SD XL", "SD XL 1.0", "XL", "SDXL v1.0", "SDXL base 1.0", "Stable Diffusion XL"),
            *("Stable Diffusion XL 1.0", "SDXLDistilled"),
        ),
        default_model_id=101055,
        default_model="SD XL",
        min_side=512,
    ),
    Family(
        name="Pony",
        air="sdxl",
        architecture="sdxl",
        native_size=1024,
        aliases=("Pony Diffusion", "Pony V6", "Pony Diffusion V6", "Pony Diffusion V6 XL", "Pony XL"),
        default_model_id=257749,
        default_model="Pony Diffusion V6 XL",
        min_side=512,
    ),
    Family(
        name="Illustrious",
        air="sdxl",
        architecture="sdxl",
        native_size=1024,
        aliases=("Illustrious XL", "Illustrious v0.1", "IL", "ILXL"),
        default_model_id=795765,
        default_model="Illustrious-XL",
        min_side=512,
    ),
    Family(
        name="NoobAI",
        air="sdxl",
        architecture="sdxl",
        native_size=1024,
        aliases=("NoobAI XL", "Noob AI", "Noob", "NAI-XL"),
        default_model_id=833294,
        default_model="NoobAI-XL (NAI-XL)",
        min_side=512,
    ),
    Family(
        name="SD 3.5",
        air="sd3",
        architecture="sd3",
        native_size=1024,
        aliases=("SD 3.5 Large", "SD 3.5 Large Turbo", "Stable Diffusion 3.5", "Stable Diffusion 3.5 Large"),
        default_model_id=878387,
        default_model="Stable Diffusion 3.5 Large",
        sampling=usual.SD3,
        min_side=512,
        multiple=16,
    ),
    Family(
        name="SD 3.5 Medium",
        air="sd3",
        architecture="sd3-medium",
        native_size=1024,
        aliases=("Stable Diffusion 3.5 Medium",),
        default_model_id=896953,
        default_model="Stable Diffusion 3.5 Medium",
        sampling=usual.SD3,
        min_side=512,
        multiple=16,
    ),
    Family(
        name="SD 3",
        air="sd3",
        architecture="sd3-2b",
        native_size=1024,
        aliases=("SD3", "SD 3 Medium", "Stable Diffusion 3", "Stable Diffusion 3 Medium"),
        sampling=usual.SD3,
        min_side=512,
        multiple=16,
    ),
    Family(
        name="Flux.1 D",
        air="flux1",
        architecture="flux1",
        native_size=1024,
        aliases=("Flux", "Flux.1", "Flux 1", "Flux dev", "Flux.1 dev", "Flux D"),
        default_model_id=618692,
        default_model="FLUX",
        sampling=usual.FLUX,
        multiple=16,
    ),
    Family(
        name="Flux.1 S",
        air="flux1",
        architecture="flux1",
        native_size=1024,
        aliases=("Flux schnell", "Flux.1 schnell", "Flux S"),
        sampling=usual.SCHNELL,
        multiple=16,
    ),
    Family(
        "Flux.1 Krea",
        "fluxkrea",
        "flux1",
        1024,
        ("Flux.1 Krea dev", "Flux Krea"),
        multiple=16,
        sampling=usual.FLUX,
    ),
    Family(
        "Flux.1 Kontext", "flux1kontext", "flux1", 1024, ("Flux Kontext",), multiple=16, sampling=usual.FLUX
    ),
    Family(
        "Flux.2 D",
        "flux2",
        "flux2",
        1024,
        ("Flux.2", "Flux 2", "Flux.2 dev"),
        multiple=16,
        sampling=usual.FLUX,
    ),
    Family(
        "Flux.2 Klein 9B",
        "flux2",
        "flux2-klein-9b",
        1024,
        ("Flux.2 Klein 9B-base",),
        multiple=16,
        sampling=usual.KLEIN,
    ),
    Family(
        "Flux.2 Klein 4B",
        "flux2",
        "flux2-klein-4b",
        1024,
        ("Flux.2 Klein 4B-base",),
        multiple=16,
        sampling=usual.KLEIN,
    ),
    Family("AuraFlow", "auraflow", "auraflow", 1024, multiple=16, sampling=usual.AURA),
    Family(
        "Pony V7", "auraflow", "auraflow", 1024, ("Pony Diffusion V7",), multiple=16, sampling=usual.PONY_V7
    ),
    Family("Anima", "anima", "anima", 1024, multiple=16, sampling=usual.ANIMA),
    Family("Boogu", "boogu", "boogu", 1024, ("Boogu Image",), multiple=16, sampling=usual.BOOGU),
    Family(
        "Chroma",
        "chroma",
        "chroma",
        1024,
        ("Chroma1", "Chroma HD", "Chroma1-HD"),
        multiple=16,
        sampling=usual.CHROMA,
    ),
    Family("Ernie", "ernie", "ernie", 1024, multiple=16, sampling=usual.ERNIE),
    Family("HiDream", "hidream", "hidream", 1024, multiple=16, sampling=usual.HIDREAM),
    Family("HiDream-O1", "hidream-o1", "hidream-o1", 1024, multiple=16, sampling=usual.HIDREAM_O1),
    Family("Hunyuan 1", "hydit1", "hunyuan-dit", 1024, ("Hunyuan DiT",), multiple=16, sampling=usual.HUNYUAN),
    Family("Ideogram 4.0", "ideogram", "ideogram", 1024, multiple=16, sampling=usual.IDEOGRAM),
    Family("Kolors", "kolors", "kolors", 1024, sampling=usual.KOLORS),
    Family("Krea 2", "krea2", "krea2", 1024, multiple=16, sampling=usual.KREA),
    Family("Lens", "lens", "lens", 1024, multiple=16, sampling=usual.LENS),
    Family("Lumina", "lumina", "lumina", 1024, multiple=16, sampling=usual.LUMINA),
    Family("MageFlow", "mageflow", "mageflow", 1024, ("Mage Flow",), multiple=16, sampling=usual.MAGE_FLOW),
    Family("PixArt a", "pixarta", "pixart", 1024, ("PixArt alpha",), multiple=16, sampling=usual.PIXART),
    Family("PixArt E", "pixarte", "pixart", 1024, ("PixArt sigma",), multiple=16, sampling=usual.PIXART),
    Family("Playground v2", "playgroundv2", "playground", 1024, sampling=usual.PLAYGROUND),
    Family("Qwen", "qwen", "qwen-image", 1024, ("Qwen Image",), multiple=16, sampling=usual.QWEN),
    Family("Qwen 2", "qwen2", "qwen-image-2", 1024, ("Qwen Image 2",), multiple=16, sampling=usual.QWEN),
    Family("Stable Cascade", "scascade", "cascade", 1024, multiple=64, sampling=usual.CASCADE),
    Family(
        "ZImageTurbo", "zimageturbo", "z-image", 1024, ("Z-Image Turbo",), multiple=16, sampling=usual.Z_TURBO
    ),
    Family(
        "ZImageBase",
        "zimagebase",
        "z-image",
        1024,
        ("Z-Image Base", "Z-Image"),
        multiple=16,
        sampling=usual.Z_BASE,
    ),
)


def family_of(base_model: str) -> Family:
    """The family of a base model, however it is spelled (`sdxl`, `SD XL`, `Stable Diffusion v1-5`).

    Raises:
        UnknownBaseModel: no such family; the message says the closest name and the error holds all of them.
    """
    key = _fold(base_model)
    found = _families().get(key)
    if found is not None:
        return found
    known = tuple(family.name for family in FAMILIES)
    close = difflib.get_close_matches(key, _families(), n=1, cutoff=0.75)
    hint = f"; did you mean {_families()[close[0]].name!r}?" if close else ""
    shown = base_model if len(base_model) <= 60 else base_model[:60] + "…"
    raise UnknownBaseModel(
        f"found the base model {shown!r}, which is of no known family{hint} (known are {', '.join(known)})",
        value=base_model,
        known=known,
    )


def _fold(name: str) -> str:
    """Letters and digits only, so that `SD-1.5`, `sd 1.5` and `SD1.5` are one."""
    folded = unicodedata.normalize("NFKC", name[:200]).casefold()
    return "".join(char for char in folded if char.isalnum())


@functools.cache
def _families() -> dict[str, Family]:
    table: dict[str, Family] = {}
    for family in FAMILIES:
        for name in (family.name, *family.aliases):
            table[_fold(name)] = family
    return table

"""Families of base models (first cut)."""

from dataclasses import dataclass

from retrieval.errors import UnknownBaseModel


@dataclass(frozen=True)
class Family:
    name: str
    air: str
    native_size: int
    architecture: str
    aliases: tuple[str, ...] = ()
    has_clip_skip: bool = False
    default_model_id: int | None = None
    min_side: int = 256
    max_side: int = 2048
    multiple: int = 8
    recommended_multiple: int = 64
    max_pixels: int = 2048 * 2048

    @property
    def default_size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.native_size, self.native_size


FAMILIES = (
    Family("SD 1.5", "sd1", 512, "sd1", ("SD 1.4", "SD1.5", "SD 1.5 LCM", "SD 1.5 Hyper"), True, 62437),
    Family("SDXL 1.0", "sdxl", 1024, "sdxl", ("SDXL 0.9", "SDXL"), False, 101055),
)


def family_of(base_model: str) -> Family:
    wanted = "".join(base_model.split()).casefold()
    for family in FAMILIES:
        if wanted in {"".join(n.split()).casefold() for n in (family.name, *family.aliases)}:
            return family
    known = [family.name for family in FAMILIES]
    raise UnknownBaseModel(
        f"the base model {base_model!r} is of no known family; needed is one of {', '.join(known)}",
        value=base_model,
        known=known,
    )

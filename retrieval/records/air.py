"""AIR, the names under which Civitai's own programs know a model: `urn:air:sd1:lora:civitai:123@456`.

>>> make_air("SD 1.5", "LORA", 123, 456)
'urn:air:sd1:lora:civitai:123@456'
"""

import re
from dataclasses import dataclass

from retrieval.tables.families import family_of

_AIR = re.compile(
    r"(?:urn:)?(?:air:)?(?P<ecosystem>[a-z0-9_-]+):(?P<type>[a-z0-9_-]+):civitai:"
    r"(?P<model>[0-9]{1,18})(?:@(?P<version>[0-9]{1,18}))?(?:\.[a-z0-9]+)?",
    re.IGNORECASE,
)

_SHORT = re.compile(
    r"(?:(?:urn:)?(?:air:)?civitai\s?:\s?)?(?P<model>[0-9]{1,18})\s?@\s?(?P<version>[0-9]{1,18})",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Air:
    """The parts of an AIR; `version_id` is None where the AIR names the model alone."""

    ecosystem: str
    type: str
    model_id: int
    version_id: int | None

    def __str__(self) -> str:
        version = "" if self.version_id is None else f"@{self.version_id}"
        return f"urn:air:{self.ecosystem}:{self.type}:civitai:{self.model_id}{version}"


def make_air(family: str, type: str, model_id: int, version_id: int) -> str:
    """The AIR of a version, such as `urn:air:sdxl:checkpoint:civitai:101055@128078`.

    Raises:
        UnknownBaseModel: no such family.
    """
    return str(Air(family_of(family).air, type.lower(), model_id, version_id))


def short_ids(text: str) -> tuple[int, int] | None:
    """Model and version of the short form that Civitai's page copies, `civitai: 4384 @ 109123`, also bare."""
    match = _SHORT.fullmatch(text.strip())
    return (int(match["model"]), int(match["version"])) if match else None


def parse_air(text: str) -> Air | None:
    """The parts of an AIR of Civitai, or None if the text is no such thing."""
    match = _AIR.fullmatch(text.strip())
    if match is None:
        return None
    version = match["version"]
    return Air(
        ecosystem=match["ecosystem"].lower(),
        type=match["type"].lower(),
        model_id=int(match["model"]),
        version_id=None if version is None else int(version),
    )

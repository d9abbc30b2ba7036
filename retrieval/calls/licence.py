"""Whether the images of a call may be sold: by the licence of each model in it.

sale = may_sell(api, Catalogue.starter())
sale.allowed, SALE_WORDS[sale.allowed]
"""

from dataclasses import dataclass

from retrieval.catalogue import Catalogue
from retrieval.records.api import T2IApi

SALE_WORDS = {True: "allowed", False: "not allowed", None: "not known"}
"""what a card says of selling images"""
_WORDS = {
    True: "yes, its creator lets you sell the images",
    False: "no, its creator does not let you sell the images",
    None: "the catalogue does not know whether its images may be sold",
}


@dataclass(frozen=True)
class Sale:
    """What the licences say of each part of a call, the model first, and all together; None is unknown."""

    parts: tuple[tuple[str, bool | None], ...]

    @property
    def allowed(self) -> bool | None:
        """False where a part forbids it, True where every part allows it, else unknown."""
        said = [allowed for _, allowed in self.parts]
        return False if False in said else None if None in said else True

    @property
    def sentences(self) -> tuple[str, ...]:
        """A sentence a part."""
        return tuple(f"{name}: {_WORDS[allowed]}." for name, allowed in self.parts)


def may_sell(api: T2IApi, catalogue: Catalogue) -> Sale:
    """What the catalogue knows; a model that it does not hold is unknown."""
    parts = [(api.model, api.model_id)]
    if api.base_checkpoint is not None:
        parts.append((api.base_checkpoint.model, api.base_checkpoint.model_id))
    parts += [(lora.model, lora.model_id) for lora in api.loras]
    known = (
        (name, catalogue.get(number) if number is not None and number in catalogue else None)
        for name, number in parts
    )
    return Sale(tuple((name, record.allows_commercial_use() if record else None) for name, record in known))

"""The types of what a record holds: numbers in their range, and texts that are inert (inert.py).

    class Version(BaseModel):
        version_id: Id
        version: Line

A number that is not finite or beyond its range is refused where it enters, and pydantic's message names the
field.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from retrieval.records.inert import lines, one_line

MAX_ID = 2**63 - 1
"""The greatest whole number that databases and indexes hold."""
MAX_NAME_CHARS = 10_000
"""A longer name is no name."""


def _readable(text: str) -> str:
    made = one_line(text)
    if not made.strip():
        raise ValueError("it holds nothing that can be read; needed is a name")
    # names are looked up without spaces around them, and those in place of what was taken out are such
    return made if made == text else " ".join(made.split())


def _words(value: tuple[str, ...]) -> tuple[str, ...]:
    return value if "".join(value).isprintable() else tuple(map(one_line, value))


def _terms(value: Mapping[str, float]) -> Mapping[str, float]:
    if "".join(value).isprintable():
        return value
    return {one_line(term): weight for term, weight in value.items()}


Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Count = Annotated[int, Field(ge=0, le=MAX_ID)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(_readable)]
Line = Annotated[str, AfterValidator(one_line)]
Lines = Annotated[str, AfterValidator(lines)]
Words = Annotated[tuple[str, ...], AfterValidator(_words)]
Terms = Annotated[Mapping[str, Share], AfterValidator(_terms)]

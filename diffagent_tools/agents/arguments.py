"""What a calling model fills in, whichever protocol it calls by: one schema a tool, and faults as sentences.

    arguments = SelectArguments.model_validate({"prompt": "a corgi, pixel art", "width": 768})

Knows neither LangChain nor MCP; tool.py and mcp_server.py are the shells.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from diffagent_tools.select.selection import Selection
from retrieval.calls.limits import corrections
from retrieval.tables.families import family_of


def _type_name(value: object) -> object:
    """`lora` and `checkpoint` in any case are understood."""
    names = {"lora": "LORA", "checkpoint": "Checkpoint"}
    return names.get(value.casefold().strip(), value) if isinstance(value, str) else value


Level = Literal[1, 2, 4, 8, 16]
NO_MODEL = (
    "no model passes these filters; try fewer of base_model, type, commercial_use, exclude, "
    "or a higher max_nsfw"
)
_LEVELS = (
    "The most explicit model that may come: 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX. Omit it, for only safe ones, "
    "unless the user asked for more."
)
ModelKind = Annotated[Literal["LORA", "Checkpoint"], BeforeValidator(_type_name)]


class SelectArguments(BaseModel):
    """What the calling model fills in to choose a model."""

    prompt: str = Field(description="The whole image request in words: subject, style, medium, mood.")
    negative_prompt: str = Field(default="", description="What must not be in the image.")
    base_model: str | None = Field(
        default=None,
        description="Only this family, such as 'SD 1.5' or 'SDXL 1.0'. Omit if none was said.",
    )
    type: ModelKind | None = Field(default=None, description="Only checkpoints or only LoRAs.")
    commercial_use: bool | None = Field(
        default=None, description="true: only models whose licence lets the images be sold."
    )
    exclude: list[int | str] = Field(
        default_factory=list, description="Model ids or names that were refused already."
    )
    max_nsfw: Level | None = Field(default=None, description=_LEVELS)
    k: int = Field(default=1, ge=1, le=20, description="How many ranked answers.")
    width: int | None = Field(default=None, description="Pixels, if the user wants a size or shape.")
    height: int | None = Field(default=None, description="Pixels; wide is 768x512 for SD 1.5.")


class CheckArguments(BaseModel):
    """What the calling model fills in to have an API checked."""

    api: str | dict[str, Any] = Field(
        description="A model's name, or the text-to-image API as JSON with 'model', 'base model', ..."
    )
    instruction: str = Field(
        default="", description="The image request it is meant for; helps to find a substitute."
    )


class SearchArguments(BaseModel):
    """What the calling model fills in to look for models."""

    query: str = Field(description="What the model shall be good at, in words.")
    base_model: str | None = Field(
        default=None, description="Only this family, such as 'SD 1.5' or 'SDXL 1.0'."
    )
    type: ModelKind | None = Field(default=None, description="Only checkpoints or only LoRAs.")
    commercial_use: bool | None = Field(
        default=None, description="true: only models whose licence lets the images be sold."
    )
    max_nsfw: Level | None = Field(default=None, description=_LEVELS)
    k: int = Field(default=5, ge=1, le=50, description="How many models.")


def resized(selection: Selection, width: int | None, height: int | None) -> Selection:
    """The answer at the size that was asked for, or the nearest that its family can do, which is noted."""
    if width is None and height is None:
        return selection
    api = selection.api
    asked = api.model_copy(
        update={
            "width": api.width if width is None else width,
            "height": api.height if height is None else height,
        }
    )
    faults = [
        change
        for change in corrections(asked, family_of(api.base_model), None)
        if change.field in ("width", "height")
    ]
    made = asked.model_copy(update={change.attribute: change.after for change in faults})
    notes = tuple(f"{change.field} {change.before} became {change.after}: {change.why}" for change in faults)
    return selection.model_copy(update={"api": made, "notes": (*selection.notes, *notes)})


def bad_arguments(error: ValidationError) -> str:
    """One line a wrong argument, for the calling model."""
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'][:2])}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    ]
    return f"These arguments cannot be used: {'; '.join(faults)}. Correct them and call again."

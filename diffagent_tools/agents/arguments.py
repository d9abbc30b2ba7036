"""What a calling model fills in, whichever protocol it calls by: one schema a tool, and faults as sentences.

    arguments = SelectArguments.model_validate({"prompt": "a corgi, pixel art", "width": 768})
    operations.select(arguments)

Knows neither LangChain nor MCP; langchain.py and mcp.py are the shells.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, create_model, model_validator

from diffagent_tools.quoting import family_words
from retrieval.requests.sizes import Shape
from retrieval.search.filters import FilterWords


def _type_name(value: object) -> object:
    """`lora` and `checkpoint` in any case are understood."""
    names = {"lora": "LORA", "checkpoint": "Checkpoint"}
    return names.get(value.casefold().strip(), value) if isinstance(value, str) else value


ModelKind = Annotated[Literal["LORA", "Checkpoint"], BeforeValidator(_type_name)]
Level = Literal[1, 2, 4, 8, 16]
Export = Literal["infotext", "comfyui", "comfyui-ui", "diffusers"]
_FAMILIES = 12


# free text, in which these words may be meant
_FREE = ("prompt", "negative_prompt", "query", "instruction", "api")
_NOTHING = ("", "none", "null")


class Arguments(BaseModel):
    """Arguments in which null, an empty text and `none` are as good as left out, where something may be."""

    @model_validator(mode="before")
    @classmethod
    def _said(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        needed = {name for name, info in cls.model_fields.items() if info.is_required()}
        return {key: value for key, value in given.items() if key in needed or not _is_nothing(key, value)}


def _is_nothing(name: str, value: object) -> bool:
    word = value.strip().casefold() if isinstance(value, str) else None
    return value is None or (word in _NOTHING and (name not in _FREE or not word))


class FilterArguments(Arguments):
    """Which models may come."""

    base_model: str | None = Field(
        default=None,
        description="Only this family of models. Omit if none was said.",
    )
    type: ModelKind | None = Field(default=None, description="Omit for both.")
    commercial_use: bool | None = Field(
        default=None, description="true: only models whose images may be sold."
    )
    exclude: list[int | str] = Field(default_factory=list, description="Ids or names already refused.")
    max_nsfw: Level | None = Field(
        default=None,
        description="Most explicit allowed: 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX. Omit (safe) unless the user "
        "asked for more.",
    )

    def words(self, max_nsfw: int | None = None) -> FilterWords:
        """As selectors and indexes take it; `max_nsfw` stands where the caller said none."""
        return FilterWords(
            base_model=self.base_model,
            type=self.type,
            commercial_use=self.commercial_use,
            exclude=self.exclude,
            max_nsfw=max_nsfw if self.max_nsfw is None else self.max_nsfw,
        )


class _Export(Arguments):
    export: Export | None = Field(
        default=None,
        description="Also write it for A1111 and Forge (infotext), ComfyUI (-ui: to open), Python.",
    )


class _Wish(Arguments):
    prompt: str = Field(description="The whole image request: subject, style, medium, mood.")
    negative_prompt: str = Field(default="", description="What must not be in it.")


# a schema lists the fields of the last base first, and a calling model reads what it must give first of all
class SelectArguments(_Export, FilterArguments, _Wish):
    """What the calling model fills in to choose a model."""

    k: int = Field(default=1, ge=1, le=20, description="How many ranked answers.")
    orientation: Shape | None = Field(default=None, description="If the user wants a shape.")
    width: int | None = Field(default=None, description="Pixels, if the user wants a size.")
    height: int | None = Field(default=None, description="Pixels.")
    installed: bool = Field(default=False, description="Only models on the user's disk.")
    loras: int = Field(default=1, ge=1, le=3, description="LoRAs at once.")
    write: bool = Field(default=False, description="Word the prompt as the model's own samples do.")


class _Written(Arguments):
    api: str | dict[str, Any] = Field(
        description="A model's name, or a text-to-image API as JSON: 'model', 'base model', ..."
    )
    instruction: str = Field(default="", description="The image request; helps to find a substitute.")


class CheckArguments(_Export, _Written):
    """What the calling model fills in to have an API checked."""


class _Query(Arguments):
    query: str = Field(description="What the models should be good at.")


class SearchArguments(FilterArguments, _Query):
    """What the calling model fills in to look for models."""

    k: int = Field(default=5, ge=1, le=50, description="How many models.")


def offering(schema: type[BaseModel], families: Sequence[str]) -> type[BaseModel]:
    """The schema with the families of a catalogue named, the most frequent first."""
    listed = ", ".join(family_words(family) for family in families[:_FAMILIES])
    if not listed or "base_model" not in schema.model_fields:
        return schema
    said = f"Only this family; there are {listed}. Omit if none was said."
    field: Any = (str | None, Field(default=None, description=said))
    return create_model(schema.__name__, __base__=schema, __doc__=schema.__doc__, base_model=field)


def bad_arguments(error: ValidationError) -> str:
    """One line a wrong argument, for the calling model."""
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'][:2])}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    ]
    return f"These arguments cannot be used: {'; '.join(faults)}. Correct them and call again."

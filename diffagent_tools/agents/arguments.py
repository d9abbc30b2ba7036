"""What a calling model fills in, whichever protocol it calls by: one schema a tool, and faults as sentences.

    arguments = SelectArguments.model_validate({"prompt": "a corgi, pixel art", "width": 768})
    operations.select(arguments)

Knows neither LangChain nor MCP; langchain.py and mcp.py are the shells.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from retrieval.search.filters import FilterWords


def _type_name(value: object) -> object:
    """`lora` and `checkpoint` in any case are understood."""
    names = {"lora": "LORA", "checkpoint": "Checkpoint"}
    return names.get(value.casefold().strip(), value) if isinstance(value, str) else value


ModelKind = Annotated[Literal["LORA", "Checkpoint"], BeforeValidator(_type_name)]
Level = Literal[1, 2, 4, 8, 16]


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
        description="Only this family, such as 'SD 1.5' or 'SDXL 1.0'. Omit if none was said.",
    )
    type: ModelKind | None = Field(default=None, description="Only checkpoints or only LoRAs.")
    commercial_use: bool | None = Field(
        default=None, description="true: only models whose licence lets the images be sold."
    )
    exclude: list[int | str] = Field(default_factory=list, description="Ids or names refused already.")
    max_nsfw: Level | None = Field(
        default=None,
        description="The most explicit model that may come: 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX. Omit it, for "
        "only safe ones, unless the user asked for more.",
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


class _Wish(Arguments):
    prompt: str = Field(description="The whole image request in words: subject, style, medium, mood.")
    negative_prompt: str = Field(default="", description="What must not be in the image.")


# a schema lists the fields of the last base first, and a calling model reads what it must give first of all
class SelectArguments(FilterArguments, _Wish):
    """What the calling model fills in to choose a model."""

    k: int = Field(default=1, ge=1, le=20, description="How many ranked answers.")
    width: int | None = Field(default=None, description="Pixels, if the user wants a size or shape.")
    height: int | None = Field(default=None, description="Pixels; wide is 768x512 for SD 1.5.")
    installed: bool = Field(default=False, description="Only models that the user has.")


class CheckArguments(Arguments):
    """What the calling model fills in to have an API checked."""

    api: str | dict[str, Any] = Field(
        description="A model's name, or the text-to-image API as JSON with 'model', 'base model', ..."
    )
    instruction: str = Field(
        default="", description="The image request it is meant for; helps to find a substitute."
    )


class _Query(Arguments):
    query: str = Field(description="What the model shall be good at, in words.")


class SearchArguments(FilterArguments, _Query):
    """What the calling model fills in to look for models."""

    k: int = Field(default=5, ge=1, le=50, description="How many models.")


def bad_arguments(error: ValidationError) -> str:
    """One line a wrong argument, for the calling model."""
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'][:2])}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    ]
    return f"These arguments cannot be used: {'; '.join(faults)}. Correct them and call again."

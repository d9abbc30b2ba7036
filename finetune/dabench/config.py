"""The thresholds of the dataset's build, read from YAML; finetune/configs/dabench.yaml explains each.

    config = read_config(Path("mine.yaml"), seed=1)

A key that is left out has the value of the packaged file.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from retrieval.errors import InvalidInput, UnknownBaseModel
from retrieval.tables.families import family_of

DEFAULTS = Path(__file__).parents[1] / "configs" / "dabench.yaml"


@dataclass(frozen=True)
class BuildConfig:
    """One value a key of finetune/configs/dabench.yaml, which says what each means."""

    families: tuple[str, ...]
    types: tuple[str, ...]
    nsfw: bool
    real_people: bool
    max_model_level: int
    max_version_level: int
    max_image_level: int
    min_downloads: int
    min_votes: int
    min_approval: float
    max_steps: int
    min_cfg_scale: float
    max_cfg_scale: float
    max_prompt_chars: int
    images_from_images: bool
    packaged_checkpoints: bool
    near_duplicate: float
    train: float
    align: float
    val: float
    seed: int

    @property
    def parts(self) -> dict[str, float]:
        """The splits and the share of each."""
        return {"train": self.train, "align": self.align, "val": self.val}


def read_config(path: Path | None = None, **changes: Any) -> BuildConfig:
    """The packaged values, over them those of the file, over them the changes that are not None.

    Raises:
        InvalidInput: no such file, no mapping in it, an unknown key, or a value of another kind.
    """
    values = _read(DEFAULTS) | (_read(path) if path is not None else {})
    values |= {key: value for key, value in changes.items() if value is not None}
    known = {field.name: field.type for field in fields(BuildConfig)}
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        raise InvalidInput(
            f"the build's configuration has {', '.join(unknown)}; known keys are {', '.join(known)}"
        )
    config = BuildConfig(**{key: _value(key, value, known[key]) for key, value in values.items()})
    try:
        families = tuple(dict.fromkeys(family_of(name).name for name in config.families))
    except UnknownBaseModel as error:
        raise InvalidInput(f"families: {error}") from error
    if not families or not 0 < config.near_duplicate <= 1 or min(config.parts.values()) <= 0:
        raise InvalidInput(
            "the build's configuration needs at least one family, near_duplicate above 0 and at most 1, and "
            "shares of train, align and val above 0"
        )
    if set(config.types) - {"LORA", "Checkpoint"} or not config.types:
        raise InvalidInput(
            f"types are {', '.join(config.types) or 'none'}; needed are LORA, Checkpoint or both"
        )
    return replace(config, families=families)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(
            f"cannot read the configuration {path} ({error}); needed is a YAML file"
        ) from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidInput(f"{path} holds no mapping; needed are lines such as 'min_downloads: 100'")
    return {str(key): value for key, value in found.items()}


def _value(key: str, value: Any, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        listed = [value] if isinstance(value, str) else value
        if isinstance(listed, list | tuple) and all(isinstance(item, str) for item in listed):
            return tuple(listed)
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif type(value) is kind:
        return value
    wanted = "a list of names" if kind == tuple[str, ...] else f"a value of type {kind.__name__}"
    raise InvalidInput(f"{key} is {value!r} in the build's configuration; needed is {wanted}")

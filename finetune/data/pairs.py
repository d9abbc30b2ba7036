"""Instruction-API pairs, and the one reader of them: what is trained on, measured on and built from.

    pairs = read_pairs(Path("pairs_train.jsonl.gz"))
    known = known_pairs(Path("pairs_train.jsonl.gz"), Catalogue.starter())

A pair is a line of JSON as in DABench (paper section 3.1). No evaluation data is part of this project;
`WHERE` says where it can be had.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from retrieval.catalogue import Catalogue
from retrieval.errors import DataError
from retrieval.records.api import MAX_SIDE
from retrieval.records.border import MAX_ID
from retrieval.storage import read_jsonl

WHERE = (
    "evaluation data is not part of this project: pairs are collected from Civitai's API with "
    "`diffagent dabench`, Parti Prompts are PartiPrompts.tsv of github.com/google-research/parti, "
    "COCO captions are in the annotations of cocodataset.org (one caption a line)"
)


class Pair(TypedDict):
    """An instruction, the model that made the image, and the parameters as far as the file gives them."""

    prompt: str
    negative_prompt: str
    model_id: int
    id: NotRequired[str | int | None]
    model: NotRequired[str]
    sampling_method: NotRequired[str | None]
    sampling_steps: NotRequired[int | None]
    cfg_scale: NotRequired[float | None]
    width: NotRequired[int | None]
    height: NotRequired[int | None]
    clip_skip: NotRequired[int | None]
    base_checkpoint: NotRequired[Mapping[str, Any] | None]


_PARAMETERS = {
    "sampling_method": str,
    "sampling_steps": int,
    "cfg_scale": float,
    "width": int,
    "height": int,
}
_NUMBERED = {**_PARAMETERS, "clip_skip": int}
_MOST = {
    "sampling_steps": 10_000,
    "cfg_scale": 1_000,
    "width": MAX_SIDE,
    "height": MAX_SIDE,
    "clip_skip": 100,
}
"""What a picture can have been made with; below nought nothing is."""


def read_pairs(path: Path, needed: Sequence[str] = ()) -> list[Pair]:
    """Reads `.jsonl` or `.jsonl.gz`; prompt and model_id are always needed.

    Raises:
        DataError: no such file, no pair in it, or a line that is no pair; it names the line.
    """
    return read_jsonl(path, ("prompt", "model_id", *needed), _pair, hint=WHERE)


def known_pairs(path: Path, catalogue: Catalogue) -> list[Pair]:
    """The pairs of a file whose models the catalogue holds.

    Raises:
        DataError: as `read_pairs`, or no pair names a model of the catalogue.
    """
    pairs = read_pairs(path)
    kept = [pair for pair in pairs if pair["model_id"] in catalogue]
    if not kept:
        raise DataError(
            f"none of the {len(pairs):,} pairs in {path} names a model of {catalogue.name}; name pairs and "
            "catalogue of one data set"
        )
    return kept


def parameters_of(pair: Pair) -> dict[str, Any]:
    """The parameters of a call that the pair gives."""
    given = cast(Mapping[str, Any], pair)
    return {name: given[name] for name in _PARAMETERS if given.get(name) not in (None, "")}


def _pair(row: dict[str, Any]) -> Pair:
    if not isinstance(row["prompt"], str) or type(row["model_id"]) is not int:
        raise TypeError(
            f"the prompt is {str(row['prompt'])[:40]!r} and the model_id {row['model_id']!r}; needed are "
            "text and the whole number of the model that made the image"
        )
    if not 1 <= row["model_id"] <= MAX_ID:
        raise ValueError(f"model_id is {str(row['model_id'])[:40]}, needed is 1 to {MAX_ID}")
    row["negative_prompt"] = str(row.get("negative_prompt") or "")
    for name, kind in _NUMBERED.items():
        value = row.get(name)
        if value is None or value == "":
            continue
        try:
            row[name] = kind(value)
        except (TypeError, ValueError, OverflowError) as error:
            shown = repr(value)[:40]
            raise ValueError(f"{name} is {shown}, needed is a value of type {kind.__name__}") from error
        # so that NaN, which compares with nothing, is refused too
        if name in _MOST and not 0 <= row[name] <= _MOST[name]:
            raise ValueError(f"{name} is {str(row[name])[:40]}, needed is 0 to {_MOST[name]:,}")
    return cast(Pair, row)

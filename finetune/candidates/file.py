"""The file of candidates (finetune/candidates/make.py) and that of scored responses (finetune/rrhf/data.py).

    lines = read_candidates(Path("candidates.jsonl"))
    write_scored(Path("scored.jsonl"), [(line, (0.7, 0.4)) for line in lines], reward="clip")

A line of candidates is a prompt with its responses; `dropped` says what the model wrote that is no candidate:

    {"id": "...", "instruction": {"prompt": "...", "negative prompt": "..."}, "dropped": {"invented": 1},
     "responses": [{"api": {...}, "source": "sampled"}, ...]}

A first line `{"run": {...}}` says how the file was made.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from retrieval.errors import DataError, InvalidInput
from retrieval.records.api import Instruction, T2IApi, read_instruction
from retrieval.storage import atomic_write, read_jsonl

HOW = "finetune/candidates/make.py writes such a file"


@dataclass(frozen=True)
class Candidate:
    """A complete response and where it came from: "sampled", "beams", "default", or a method of Table 2."""

    api: T2IApi
    source: str

    @cached_property
    def text(self) -> str:
        """What a language model is trained on."""
        return self.api.paper_json()


@dataclass(frozen=True)
class CandidateLine:
    """A prompt with its candidates, of which there may be none, and how many were dropped for each reason."""

    id: str
    instruction: Instruction
    candidates: tuple[Candidate, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "instruction": self.instruction.to_wire(),
            "responses": [{"api": each.api.to_wire(), "source": each.source} for each in self.candidates],
            "dropped": dict(self.dropped),
        }


def read_line(row: Mapping[str, Any]) -> CandidateLine:
    """Raises KeyError, TypeError or ValueError where it is no prompt with its responses."""
    return CandidateLine(
        str(row["id"]),
        read_instruction(row["instruction"]),
        tuple(
            Candidate(_api(response["api"]), str(response.get("source", ""))) for response in row["responses"]
        ),
        row.get("dropped", {}),
    )


def read_candidates(path: Path) -> list[CandidateLine]:
    """All lines of a candidates file.

    Raises:
        DataError: the file cannot be read or holds no prompt, a line is not a prompt with its responses, or
            two lines have one id; the message names it.
    """
    rows = read_jsonl(path, (), lambda row: None if "run" in row else read_line(row), hint=HOW)
    lines = [line for line in rows if line is not None]
    if not lines:
        raise DataError(f"{path} holds no prompt; {HOW}")
    for name, count in Counter(line.id for line in lines).items():
        if count > 1:
            raise DataError(f"{count} lines of {path} have the id {name!r}; each prompt needs one of its own")
    return lines


def _api(given: object) -> T2IApi:
    try:
        api = T2IApi.model_validate(given)
    except ValidationError as error:  # its own text is five lines long
        first = error.errors()[0]
        raise ValueError(f"api: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    api.to_wire()  # refuses numbers that no program could use, by their names
    return api


def write_scored(
    path: Path, scored: Iterable[tuple[CandidateLine, Sequence[float]]], *, reward: str, note: str = ""
) -> None:
    """One line a prompt: id, instruction, responses (texts), scores, and which reward gave them.

    Args:
        note: what a reader of the scores must know, such as that no image was rendered.

    Raises:
        InvalidInput: a score is no finite number, or there are not as many scores as candidates.
        StorageError: the file cannot be written.
    """
    rows: list[str] = []
    for line, scores in scored:
        if len(scores) != len(line.candidates):
            raise InvalidInput(
                f"{len(line.candidates)} candidates of {line.id!r} have {len(scores)} scores; give one each"
            )
        if not all(map(math.isfinite, scores)):
            raise InvalidInput(
                f"a score of {line.id!r} by {reward} is not a finite number ({[float(s) for s in scores]}); "
                "nothing can be ranked by it, look at its image or leave the prompt out"
            )
        row: dict[str, Any] = {
            "id": line.id,
            "instruction": line.instruction.to_wire(),
            "responses": [candidate.text for candidate in line.candidates],
            "scores": [float(score) for score in scores],
            "reward": reward,
        }
        rows.append(json.dumps(row | ({"note": note} if note else {}), ensure_ascii=False) + "\n")
    atomic_write(path, "".join(rows).encode())

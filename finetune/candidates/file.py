"""The file of candidates (finetune/candidates/make.py writes it) and that of scored responses
(finetune/rrhf/run.py
reads it): one JSON object a line and a prompt.

    lines = read_candidates(Path("candidates.jsonl"))
    write_scored(Path("scored.jsonl"), [(line, (0.7, 0.4)) for line in lines], reward="clip")
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from retrieval.errors import DataError, InvalidInput
from retrieval.records.api import Instruction, T2IApi, read_instruction
from retrieval.storage import atomic_write, read_jsonl


@dataclass(frozen=True)
class Candidate:
    """A response: the call, the text that a language model is trained on, and where it came from."""

    api: T2IApi
    text: str
    source: str


@dataclass(frozen=True)
class CandidateLine:
    """A prompt with its candidates; there may be none."""

    id: str
    instruction: Instruction
    candidates: tuple[Candidate, ...]


def read_candidates(path: Path) -> list[CandidateLine]:
    """All lines of a candidates file.

    Raises:
        DataError: the file cannot be read or holds no line, a line is not a prompt with its responses, or two
            lines have one id; the message names the line.
    """
    lines = read_jsonl(path, ("id", "instruction", "responses"), _read, hint=_HOW)
    for line, count in Counter(line.id for line in lines).items():
        if count > 1:
            raise DataError(f"{count} lines of {path} have the id {line!r}; each prompt needs one of its own")
    return lines


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


_HOW = "finetune/candidates/make.py writes such a file"


def _read(row: dict[str, Any]) -> CandidateLine:
    return CandidateLine(
        str(row["id"]),
        read_instruction(row["instruction"]),
        tuple(
            Candidate(
                _api(response["api"]),
                str(response["text"]),
                str(response.get("source", "")),
            )
            for response in row["responses"]
        ),
    )


def _api(given: object) -> T2IApi:
    try:
        return T2IApi.model_validate(given)
    except ValidationError as error:  # its own text is five lines long
        first = error.errors()[0]
        raise ValueError(f"api: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error

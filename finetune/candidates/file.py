"""The file of candidates (finetune/candidates/make.py writes it) and that of scored responses
(finetune/rrhf/run.py
reads it): one JSON object a line and a prompt.

    lines = read_candidates(Path("candidates.jsonl"))
    write_scored(Path("scored.jsonl"), [(line, (0.7, 0.4)) for line in lines], reward="clip")
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from retrieval.errors import DataError, InvalidInput
from retrieval.records.api import Instruction, T2IApi, read_instruction
from retrieval.storage import atomic_write


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
    try:
        # not splitlines(), which takes a line separator inside a JSON string for an end of line
        rows = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise DataError(f"cannot read the candidates {path} ({reason}); {_HOW}") from error
    lines: list[CandidateLine] = []
    known: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            line = _read(json.loads(row))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"line {number} of {path} is not a prompt with its responses ({_said(error)}); {_HOW}"
            ) from error
        if known.setdefault(line.id, number) != number:
            raise DataError(
                f"lines {known[line.id]} and {number} of {path} both have the id {line.id!r}; "
                "each prompt needs one of its own"
            )
        lines.append(line)
    if not lines:
        raise DataError(f"{path} holds no prompt; {_HOW}")
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
                T2IApi.model_validate(response["api"]),
                str(response["text"]),
                str(response.get("source", "")),
            )
            for response in row["responses"]
        ),
    )


def _said(error: Exception) -> str:
    """The reason in a few words."""
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"api: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)

"""What a selector is measured on: pairs with a known model, raw and stripped, or plain prompts without one.

    pairs = read_rows(Path("pairs_val.jsonl.gz"))
    cases = cases_of(pairs, "stripped", named, negative=True)
    prompts = read_prompts(Path("PartiPrompts.tsv"))

No evaluation data is part of this project; `WHERE` says where it can be had.
"""

import csv
import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from finetune.data.stripping import strip_prompt
from retrieval.errors import DataError

Row = Mapping[str, Any]
Variant = Literal["raw", "stripped"]
Named = Mapping[int, tuple[str, Sequence[str]]]
"""model id -> name and trigger words, by which a prompt is stripped."""

WHERE = (
    "evaluation data is not part of this project: pairs are collected from Civitai's API with "
    "`diffagent dabench`, Parti Prompts are PartiPrompts.tsv of github.com/google-research/parti, "
    "COCO captions are in the annotations of cocodataset.org (one caption a line)"
)
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Case:
    """One request, the model that answers it (None where unknown) and the pair's other fields."""

    prompt: str
    negative_prompt: str = ""
    gold: int | None = None
    pair: Row | None = None

    @property
    def digest(self) -> str:
        """Of what is asked, so that a resumed run sees whether the request is still the same."""
        asked = json.dumps([self.prompt, self.negative_prompt, self.gold], ensure_ascii=False)
        return hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest()[:12]

    @property
    def empty(self) -> bool:
        return not self.prompt.strip()


def read_rows(path: Path, needed: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Reads `.jsonl` or `.jsonl.gz`, one object a line; empty lines are passed over.

    Raises:
        DataError: there is no such file, or a line is no object with the needed fields; it names the line.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}; needed is one JSON object a line") from error
        missing = [name for name in needed if not isinstance(row, dict) or name not in row]
        if missing:
            raise DataError(f"{path}, line {number}: no {', '.join(missing)}; needed are {', '.join(needed)}")
        rows.append(row)
    if not rows:
        raise DataError(f"{path} holds no line; {WHERE}")
    return rows


def read_pairs(path: Path) -> list[dict[str, Any]]:
    """Instruction-API pairs: prompt, negative_prompt and model_id at least.

    Raises:
        DataError: as `read_rows`.
    """
    rows = read_rows(path, ("prompt", "model_id"))
    for number, row in enumerate(rows, start=1):
        if not isinstance(row["prompt"], str) or type(row["model_id"]) is not int:
            raise DataError(f"{path}, pair {number}: the prompt must be text and the model_id a whole number")
        row["negative_prompt"] = row.get("negative_prompt") or ""
    return rows


def read_prompts(path: Path) -> list[Case]:
    """Prompts without a known model: a `.tsv` with a column `Prompt`, else one prompt a line.

    Raises:
        DataError: there is no such file, no prompt in it, or no such column.
    """
    lines = _text(path).split("\n")
    if path.name.removesuffix(".gz").endswith(".tsv"):
        table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        if "Prompt" not in (table.fieldnames or ()):
            found = ", ".join(table.fieldnames or ()) or "no columns"
            raise DataError(f"{path} has {found}; needed is a column called Prompt")
        lines = [row["Prompt"] or "" for row in table]
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise DataError(f"{path} holds no prompt; {WHERE}")
    return [Case(prompt) for prompt in prompts]


def cases_of(pairs: Sequence[Row], variant: Variant, named: Named, *, negative: bool = True) -> list[Case]:
    """One case a pair, in their order.

    Args:
        named: of every pair's model; a model that is missing strips nothing.
        negative: whether the negative prompt is asked, too.
    """
    found = []
    for pair in pairs:
        prompt = pair["prompt"]
        if variant == "stripped" and pair["model_id"] in named:
            prompt = strip_prompt(prompt, *named[pair["model_id"]])
        said = pair["negative_prompt"] if negative else ""
        found.append(Case(prompt, said, pair["model_id"], pair))
    return found


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        return content.decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} ({error}); {WHERE}") from error

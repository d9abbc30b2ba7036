"""What a selector is measured on: pairs with a known model, raw and stripped, or plain prompts without one.

pairs = read_pairs(Path("pairs_val.jsonl.gz"))
cases = cases_of(pairs, "stripped", named, negative=True)
prompts = read_prompts(Path("PartiPrompts.tsv"))
"""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finetune.data.pairs import WHERE, Pair
from finetune.data.stripping import strip_prompt
from retrieval.errors import DataError
from retrieval.storage import read_unpacked

Variant = Literal["raw", "stripped"]
Named = Mapping[int, tuple[str, Sequence[str]]]
"""model id -> name and trigger words, by which a prompt is stripped."""


@dataclass(frozen=True)
class Case:
    """One request, the model that answers it (None where unknown) and the pair's other fields."""

    prompt: str
    negative_prompt: str = ""
    gold: int | None = None
    pair: Pair | None = None

    @property
    def digest(self) -> str:
        """Of what is asked, so that a resumed run sees whether the request is still the same."""
        asked = json.dumps([self.prompt, self.negative_prompt, self.gold], ensure_ascii=False)
        return hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest()[:12]

    @property
    def empty(self) -> bool:
        return not self.prompt.strip()


def read_prompts(path: Path) -> list[Case]:
    """Prompts without a known model: a `.tsv` with a column `Prompt`, else one prompt a line.

    Raises:
        DataError: there is no such file, no prompt in it, or no such column.
    """
    try:
        lines = read_unpacked(path).decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} ({error}); {WHERE}") from error
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


def cases_of(pairs: Sequence[Pair], variant: Variant, named: Named, *, negative: bool = True) -> list[Case]:
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

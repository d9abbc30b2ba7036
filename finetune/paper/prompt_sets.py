"""The prompts of the paper's tables: DABench's validation pairs, and 1,000 each of COCO Caption and Parti.

    sets = read_sets(pairs=Path("pairs_val.jsonl.gz"), coco=Path("captions.txt"), limit=100)

COCO and Parti prompts are drawn at random as in the paper (section 4.1), and a smaller `limit` takes the
first ones of the same draw, so that a longer run goes on where a shorter one was.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.data.cases import Case, cases_of, read_prompts
from finetune.data.pairs import WHERE, read_pairs
from retrieval.errors import InvalidInput

DABENCH = "DABench"
COCO = "COCO Caption"
PARTI = "Parti Prompts"
SAMPLE = 1000
RAW = "raw"


@dataclass(frozen=True)
class PromptSet:
    """Cases under the paper's name for them.

    `source` says which file and how many of it; `prompts` is "raw", or what rewrote them.
    """

    name: str
    cases: Sequence[Case]
    source: str
    prompts: str = RAW

    @property
    def slug(self) -> str:
        """For file names."""
        return self.name.casefold().replace(" ", "_")


Rewrite = Callable[[Sequence[str]], tuple[list[str], str]]
"""Concise prompts to well-structured ones, and in words how they were made."""


def read_sets(
    *,
    pairs: Path | None = None,
    coco: Path | None = None,
    parti: Path | None = None,
    sample: int = SAMPLE,
    seed: int = 0,
    limit: int | None = None,
    rewrite: Rewrite | None = None,
) -> list[PromptSet]:
    """The sets whose files are given, in the paper's order.

    Args:
        sample: how many COCO and Parti prompts are drawn, or all where there are no more.
        limit: the first so many of each set only.
        rewrite: applied to COCO and Parti prompts, which are concise; DABench's are people's own.

    Raises:
        DataError: a file is missing or broken.
        InvalidInput: no file is given, or a count below 1.
    """
    if sample < 1 or (limit is not None and limit < 1):
        raise InvalidInput(f"the sample is {sample} and the limit {limit}; needed is 1 or more")
    sets: list[PromptSet] = []
    if pairs is not None:
        rows = read_pairs(pairs)
        kept = rows[:limit]
        sets.append(PromptSet(DABENCH, cases_of(kept, "raw", {}), _source(pairs, len(kept), len(rows))))
    for name, path in ((COCO, coco), (PARTI, parti)):
        if path is None:
            continue
        found = read_prompts(path)
        drawn = random.Random(seed).sample(range(len(found)), min(sample, len(found)))[:limit]
        kept_cases = [found[place] for place in drawn]
        how = RAW
        if rewrite is not None:
            texts, how = rewrite([case.prompt for case in kept_cases])
            kept_cases = [replace(case, prompt=text) for case, text in zip(kept_cases, texts, strict=True)]
        source = f"{_source(path, len(drawn), len(found))}, drawn with seed {seed}"
        sets.append(PromptSet(name, kept_cases, source, how))
    if not sets:
        raise InvalidInput(f"no prompts are given; name --pairs, --coco or --parti. {WHERE}")
    return sets


def _source(path: Path, kept: int, held: int) -> str:
    return f"{path.name}, {kept:,} of {held:,}"

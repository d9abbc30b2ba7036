"""How often people used two LoRAs in one picture: counts, by the ids of both.

    seen_together([28511, 44206])           # the fewest of all pairs, None where nobody counted them

Counted by `python -m finetune.civitai.together` from public pictures of models of the starter; what is said
there of a pair holds whatever catalogue names it.
"""

import functools
import itertools
import json
from collections.abc import Iterable
from pathlib import Path

FILE = Path(__file__).parent / "starter" / "together.json"


def seen_together(model_ids: Iterable[int | None]) -> int | None:
    """In how many pictures some models were seen two by two: the count of the rarest pair; None where one
    pair was never seen. An id that is None is of no site, and was seen nowhere."""
    given = list(model_ids)
    ids = sorted(model_id for model_id in given if model_id is not None)
    counts = [_counts().get(pair) for pair in itertools.combinations(ids, 2)]
    known = [count for count in counts if count is not None]
    return min(known) if known and len(known) == len(counts) and len(ids) == len(given) else None


@functools.cache
def _counts() -> dict[tuple[int, int], int]:
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    return {(first, second): count for first, second, count in rows}

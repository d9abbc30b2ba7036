"""Retrieval's best few models weighed once more, with the language model's scores where they count.

    weights = load_weights(adapter)
    weigh(candidates, weights, llama.scores(instruction, names))    # the best first
    weigh(candidates, weights)           # the same, where `needs_llm(weights)` is false

The weights are fitted on held-out folds (finetune/ranker/fusion.py, stage shortlist), none below nought. A
weight of nought says that the language model does not change the answer: then it need not be loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools.llm.adapter import read_card
from retrieval.search.fusion import Fusion, softmax

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.search.ranker import Candidate

SHORTLIST_FILE = "shortlist.safetensors"
LLM_SCORES = ("llm.total", "llm.mean")
"""what `Llama.scores` gives"""


@dataclass(frozen=True)
class Weighed:
    """A candidate with all its evidence: its place in the list that was given, the score that orders it, its
    calibrated chance (None where no weights were fitted), and the language model's length-normalised
    log-probability (Eq. 7; None where it was not asked)."""

    place: int
    score: float
    chance: float | None
    llm_score: float | None


def load_weights(adapter: Path) -> Fusion | None:
    """The fitted weights of an adapter's folder; None where nobody fitted any for a trained adapter.

    Raises:
        AdapterError: the files cannot be read.
    """
    file = adapter / SHORTLIST_FILE
    return Fusion.load(file) if read_card(adapter) and file.is_file() else None


def needs_llm(weights: Fusion | None) -> bool:
    """Whether the language model's scores can change an order; without fitted weights they count in full."""
    return weights is None or weights.reads(*LLM_SCORES)


def weigh(
    candidates: "Sequence[Candidate]",
    weights: Fusion | None,
    llm: "Mapping[str, NDArray[np.float32]] | None" = None,
) -> list[Weighed]:
    """Candidates in the order of all their evidence, best first; equal scores stay in retrieval's order.

    Chances share out what retrieval gave the candidates all together.

    Args:
        llm: scores of the candidates by name, each [n]; needed where `needs_llm(weights)`.
    """
    import numpy as np

    retrieval = np.asarray([candidate.logit for candidate in candidates], dtype=np.float32)
    scores = llm if llm is not None else {name: np.zeros_like(retrieval) for name in LLM_SCORES}
    if weights is None:
        logits = np.log(softmax(retrieval)) + scores["llm.mean"]
        chances = None
    else:
        logits = weights.logits({"retrieval": retrieval, **scores})
        # where the language model counts nothing, retrieval's own chances stand
        chances = (
            np.asarray([each.chance for each in candidates])
            if not needs_llm(weights)
            else softmax(logits, weights.temperature) * sum(each.chance for each in candidates)
        )
    return [
        Weighed(
            place=int(place),
            score=float(logits[place]),
            chance=None if chances is None else float(chances[place]),
            llm_score=None if llm is None else float(llm["llm.mean"][place]),
        )
        for place in np.argsort(-logits, kind="stable")
    ]

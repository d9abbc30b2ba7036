"""Which models of a large catalogue are weighed for a request: who leads by some evidence, and a sample.

    pool = Pool.whole(968)                       # of a small catalogue every model
    pool = Pool.of(evidence, allowed, most=300)  # of a large one the best few hundred by each evidence

To weigh all evidence together costs more than to find who leads by one kind of it. The chance of a model
depends on how likely all others are together, too: every so many of those that lead by nothing are weighed as
well, and each stands for its neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from retrieval.search.fusion import STATIC_SCORES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]
    Rows = NDArray[np.intp]

WHOLE_UP_TO = 4096
"""Of a catalogue of up to so many models all are weighed."""
MOST = 300
"""Models that are taken by each kind of evidence."""
_SAMPLE = 2000
_TELLING = ("all.cosine", "retriever.prompts", "retriever.facts")
"""the cosines that say most of how likely a model is"""
_APART = "unseen"


class Near(Protocol):
    """Finds cosines where the models' vectors are stored elsewhere."""

    def __call__(
        self, vector: "Scores", found: "Scores | None" = None, rows: "Rows | None" = None, /
    ) -> "Scores":
        """[N]: of the models that are nearest to a vector, and -1 for the others.

        Args:
            found: what an earlier call found; it is completed by those of `rows`.
        """
        ...


@dataclass(frozen=True, eq=False)
class Pool:
    """The models that are weighed: `rows` [C] of the catalogue, no two the same. The last `sample` of them
    stand for `copies` models each, themselves included."""

    rows: "Rows"
    sample: int = 0
    copies: int = 1

    @classmethod
    def whole(cls, count: int) -> Self:
        """All models of a catalogue."""
        import numpy as np

        return cls(np.arange(count))

    @classmethod
    def of(
        cls,
        evidence: "Mapping[str, Scores]",
        allowed: "Rows",
        most: int = MOST,
        also: Sequence[int] = (),
    ) -> Self:
        """The best by each kind of evidence, [N] each, of all models and of those that are allowed.

        Args:
            most: as many are taken by each kind; of all models, the filters aside, a quarter, as they count
                for how decided a request is.
            also: rows that are weighed in any case.
        """
        import numpy as np

        count = len(next(iter(evidence.values())))
        chosen = np.zeros(count, bool)
        chosen[list(also)] = True
        passing = np.zeros(count, bool)
        passing[allowed] = True
        if len(allowed) <= most:
            chosen[allowed] = True
        for name, scores in evidence.items():
            if name in STATIC_SCORES:
                continue
            # the best of all is what others are compared with
            chosen[scores.argmax()] = True
            chosen[leading(scores, max(1, most // 4))] = True
            if len(allowed) > most:
                chosen[leading(scores, most, passing)] = True
        rest = np.flatnonzero(~chosen)
        copies = max(1, len(rest) // _SAMPLE)
        if copies > 1:
            # neighbours are those that are about as likely; models without sample prompts are apart
            near = np.sum([evidence[name][rest] for name in _TELLING if name in evidence], axis=0)
            rest = rest[np.argsort(near + evidence[_APART][rest] * (len(_TELLING) + 1))]
        sample = rest[copies // 2 :: copies]
        return cls(np.concatenate([np.flatnonzero(chosen), sample]), len(sample), copies)

    def among(self, passing: "NDArray[np.bool_]") -> "tuple[Rows, int]":
        """Places in `rows` of the models that pass, [N], and how many of them are of the sample."""
        import numpy as np

        places = np.flatnonzero(passing[self.rows])
        return places, int((places >= len(self.rows) - self.sample).sum())

    def spread(self, values: "Scores", sample: int) -> "Scores":
        """Values of models, the last `sample` of them of the sample, and then those of the models that these
        stand for."""
        import numpy as np

        if self.copies == 1 or not sample:
            return values
        others: Scores = np.tile(values[len(values) - sample :], self.copies - 1)
        return np.concatenate([values, others])


def leading(scores: "Scores", most: int, passing: "NDArray[np.bool_] | None" = None) -> "Rows":
    """Places of the `most` highest scores, in no order, of those that pass; none of the lowest, as of models
    without a word."""
    import numpy as np

    some = scores > scores.min(initial=np.inf)
    places = np.flatnonzero(some if passing is None else some & passing)
    if len(places) <= most:
        return places
    found: Rows = places[np.argpartition(scores[places], len(places) - most)[len(places) - most :]]
    return found

"""Three ways in which a request comes about, and the chance of each model under all of them together.

    mixture = Mixture.load(folder)
    sentence = mixture.sentence(request, by_fusion)          # not a prompt as uploaders write them
    mixture.chances(by_fusion, scores, sentence)             # [n], summing to one

A prompt out of somebody's gallery says words that only its model's samples say: the learnt fusion finds it
(retrieval/search/fusion.py). A person who asks in a sentence says what the picture shall be: what models are
made for decides, with the encoder's cosine, and then what most users take. And a prompt that somebody tries
on a popular checkpoint says nothing of the model at all. `P = s E + (1 - s) ((1 - p) U + p D)`: E, U and D
are the chances of the three, s is a logistic regression over the wording and over how undecided U is, and p,
the share of what is tried on popular models, grows with that indecision. finetune/ranker/wording.py fits s.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from retrieval.errors import AdapterError
from retrieval.records.api import Instruction
from retrieval.requests.understanding import reads_as_prompt
from retrieval.search.fusion import softmax, usable
from retrieval.storage import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

_Weights = TypeVar("_Weights")
FILE = "mixture.json"
CONFIDENCE_FILE = "confidence.json"
SIGNS = (
    "constant",
    "prompt",
    "sentence",
    "fit",
    "style",
    "unmet",
    "nearness",
    "all-round",
    "special",
)
"""what the chance that an answer is right is judged by; see `signs`"""
WORDING = (
    "constant",
    "commas",
    "function words",
    "quality words",
    "weights",
    "length",
    "words a clause",
    "negative prompt",
    "undecided",
    "very undecided",
    "reads as prompt",
)
"""what the wording is judged by; see `wording`"""
_FUNCTION_WORDS = """
    a an the of in on at with and to for from by is are my me i you your under over near into that this it its
    his her their as like without not no some please can could make want need wearing standing sitting holding
"""
_QUALITY_WORDS = """
    masterpiece best quality highres absurdres detailed 8k 4k hdr uhd ultra artstation octane unreal render
    trending highly extremely intricate realistic photorealistic cinematic lighting sharp focus solo 1girl
    1boy girls looking viewer hair eyes wallpaper cg unity raw hires official
"""
_FUNCTION, _QUALITY = frozenset(_FUNCTION_WORDS.split()), frozenset(_QUALITY_WORDS.split())
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SEGMENT = re.compile(r"[,\n;|.]")
_SIGN = re.compile(r"[()\[\]{}<>_:|]")
_SIGNS, _LONGEST_CLAUSE = 3, 10
_REFUSED = 6
"""half made for what is refused leaves a model a hundredth of its chance"""
_UNDECIDED_FROM, _UNDECIDED_STEEP, _VERY_UNDECIDED = 4.5, 3.0, 4.5
_PLAINLY, _COMMAS = 1.0, 2
_SHARPER = 2.0
"""on the gate's logit: a sentence is answered by many equals, whose chances are small beside one of U's"""


def entropy(chances: "Scores") -> float:
    """In nats; 0 where one model has all of the chance."""
    import numpy as np

    return float(-(chances * np.log(chances + 1e-9)).sum())


def wording(request: Instruction, undecided: float) -> list[float]:
    """The features of `WORDING`, each about 0 to 2; `undecided` is an entropy in nats."""
    spoken = [word.casefold() for word in _WORD.findall(request.prompt)]
    count = max(1, len(spoken))
    clauses = max(1, sum(bool(part.strip()) for part in _SEGMENT.split(request.prompt)))
    return [
        1.0,
        request.prompt.count(",") / count,
        sum(word in _FUNCTION for word in spoken) / count,
        sum(word in _QUALITY for word in spoken) / count,
        min(_SIGNS, len(_SIGN.findall(request.prompt))) / _SIGNS,
        math.log(count) / 3,
        min(_LONGEST_CLAUSE, count / clauses) / 5,
        float(bool(request.negative_prompt.strip())),
        undecided / 6,
        max(0.0, undecided - _VERY_UNDECIDED),
        float(reads_as_prompt(request.prompt)),
    ]


def _plain(request: Instruction) -> bool:
    """A few words without a prompt's marks, lists or negative prompt, as nearly every person's wish is."""
    said = request.prompt.strip()
    listed = said.count(",") > _COMMAS or not said[:1].isalnum()
    return not (listed or request.negative_prompt.strip() or reads_as_prompt(said))


@dataclass(frozen=True)
class Mixture:
    """The weights. `gate`: of `WORDING`. `everyday`: of the scores that a sentence is answered by, whose
    softmax has `temperature`. `popular`: the greatest share of what is tried on popular checkpoints."""

    gate: Mapping[str, float]
    everyday: Mapping[str, float]
    temperature: float
    popular: float
    downloads: float
    checkpoint: float

    def sentence(self, request: Instruction, chances: "Scores") -> float:
        """How likely the request is a sentence, in [0, 1].

        Args:
            chances: of all models by the learnt fusion, [N].
        """
        features = wording(request, entropy(chances))
        logit = sum(self.gate[name] * value for name, value in zip(WORDING, features, strict=True))
        logit += _PLAINLY if _plain(request) else 0.0
        return 1 / (1 + math.exp(-_SHARPER * logit))

    def everyday_logits(self, scores: Mapping[str, "Scores"]) -> "Scores":
        """What a sentence is answered by, [N]; scores that are not there count nothing."""
        import numpy as np

        total: Scores = np.zeros_like(scores["facets.fit"])
        for name, weight in self.everyday.items():
            if name in scores:
                total = total + np.float32(weight) * scores[name]
        return total

    def use_logits(self, scores: Mapping[str, "Scores"]) -> "Scores":
        """What most users take, [N], of "downloads" and "checkpoint"."""
        found: Scores = self.downloads * scores["downloads"] + self.checkpoint * scores["checkpoint"]
        return found

    def chances(self, by_fusion: "Scores", scores: Mapping[str, "Scores"], sentence: float) -> "Scores":
        """The chance of each model, [n], summing to one.

        Args:
            by_fusion: the chances U of the models that may be chosen, [n].
            scores: of the same models: "everyday" and "downloads", "checkpoint".
        """
        by_wish = softmax(scores["everyday"], self.temperature)
        by_use = softmax(self.use_logits(scores))
        undecided = entropy(by_fusion)
        share = self.popular / (1 + math.exp(-_UNDECIDED_STEEP * (undecided - _UNDECIDED_FROM)))
        mixed = sentence * by_wish + (1 - sentence) * ((1 - share) * by_fusion + share * by_use)
        found: Scores = mixed.astype(by_fusion.dtype)
        return found

    def save(self, folder: Path) -> None:
        atomic_write(folder / FILE, (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The weights in a folder; None where it has none: then the learnt fusion alone decides.

        Raises:
            AdapterError: the file is damaged.
        """
        return _read(folder / FILE, cls._made, "finetune/ranker/wording.py")

    @classmethod
    def _made(cls, fields: Any) -> Self:
        made = cls(**fields)
        if set(made.gate) != set(WORDING):
            raise ValueError(f"the gate weighs {sorted(made.gate)}")
        for group in ("gate", "everyday"):
            for name, weight in getattr(made, group).items():
                usable(f"{group}: {name}", weight)
        usable("temperature", made.temperature, least=1e-9)
        for name in ("popular", "downloads", "checkpoint"):
            usable(name, getattr(made, name))
        if not 0 <= made.popular <= 1:
            raise ValueError(f"popular is {made.popular}, needed is a share within 0 and 1")
        return made


@dataclass(frozen=True)
class Calibration:
    """The chance that an answer is right for its request, a logistic regression over `SIGNS`.

    Of a sentence several models may be right, so these chances do not sum to one: who is made for the style
    is right, however many others are, too. finetune/evaluate/confidence.py fits the weights.
    """

    weights: Mapping[str, float]

    def right(
        self,
        chances: "Scores",
        scores: Mapping[str, "Scores"],
        sentence: float,
        *,
        style: bool,
        unmet: bool,
    ) -> "Scores":
        """In [0, 1], [n]; arguments as of `signs`."""
        import numpy as np

        found = signs(chances, scores, sentence, style=style, unmet=unmet)
        logits = sum(np.float32(self.weights[name]) * found[name] for name in SIGNS)
        right: Scores = np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)
        return right

    def save(self, folder: Path) -> None:
        atomic_write(folder / CONFIDENCE_FILE, (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The weights in a folder; None where it has none: then the chances among all models are told.

        Raises:
            AdapterError: the file is damaged.
        """
        return _read(folder / CONFIDENCE_FILE, cls._made, "finetune/evaluate/confidence.py")

    @classmethod
    def _made(cls, fields: Any) -> Self:
        made = cls(**fields)
        if set(made.weights) != set(SIGNS):
            raise ValueError(f"it weighs {sorted(made.weights)}")
        for name, weight in made.weights.items():
            usable(name, weight)
        return made


def _read(path: Path, make: Callable[[Any], _Weights], program: str) -> _Weights | None:
    """What a file of weights says; None where it is not there. `program` writes it."""
    if not path.is_file():
        return None
    try:
        return make(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise AdapterError(f"cannot read {path} ({error}); {program} writes it") from error


CALIBRATED = ("facets.fit", "facets.general", "special", "retriever.facts")
"""the evidence that `signs` reads"""


def signs(
    chances: "Scores",
    scores: Mapping[str, "Scores"],
    sentence: float,
    *,
    style: bool,
    unmet: bool,
) -> dict[str, "Scores"]:
    """The features of `SIGNS`, [n] each.

    Args:
        chances: of the answers, among all models.
        scores: "facets.fit", "facets.general", "special" and, where there is an encoder, "retriever.facts".
        sentence: how likely the request is one, in [0, 1].
        style: whether it names a style.
        unmet: whether it names a medium that no model is made for.
    """
    import numpy as np

    chance = np.clip(chances.astype(np.float32), 1e-4, 1 - 1e-4)
    whole = np.full_like(chance, sentence)
    near = scores.get("retriever.facts", np.zeros_like(chance))
    return {
        "constant": np.ones_like(chance),
        "prompt": (1 - whole) * np.log(chance / (1 - chance)),
        "sentence": whole,
        "fit": whole * scores["facets.fit"],
        "style": whole * np.float32(style),
        "unmet": whole * np.float32(unmet),
        "nearness": whole * near,
        "all-round": whole * scores["facets.general"],
        "special": whole * scores["special"],
    }


def without(chances: "Scores", against: "Scores") -> "Scores":
    """Chances after refusals, [n], summing to one: a model that is made for what is refused goes down.

    Args:
        against: how much each model is made for each refused thing, [r, n] in [0, 1].
    """
    import numpy as np

    kept = np.prod(np.maximum(1 - against, 0.0) ** _REFUSED, axis=0)
    left = chances.astype(np.float64) * kept + 1e-12
    found: Scores = np.asarray(left / left.sum(), dtype=np.float32)
    return found

"""Retrieval's answer: the models of a catalogue ranked for a request, without a language model.

    ranker = Ranker.packaged(Catalogue.starter())
    ranker.rank(Instruction(prompt="corgi, pixel art"), ranker.filter(type="LORA")).best(5)

Word scores (retrieval/search/lexical.py) and, where the adapter brings a retriever, its cosines are
weighed by fusions that were fitted on held-out training folds (finetune/ranker/fusion.py). Where the folder
of weights has a mixture (retrieval/search/mixture.py), sentences are answered by what models are made for
(retrieval/search/purpose.py). Of a large catalogue only those that lead by some evidence are weighed
(retrieval/search/pool.py).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from retrieval.catalogue import Catalogue
from retrieval.catalogue.ordered import Records
from retrieval.errors import InvalidInput
from retrieval.kept import kept_tables, packed, unpacked
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.filters import FacetTable, Filter, FilterWords, facet_tables
from retrieval.search.fusion import Fusion, softmax
from retrieval.search.lexical import LexicalScorer, word_tables
from retrieval.search.mixture import CALIBRATED, Calibration, Mixture, without
from retrieval.search.pool import MOST, WHOLE_UP_TO, Near, Pool
from retrieval.search.purpose import MADE_FOR, Purposes, asked_facets, is_medium, is_subject, purpose_tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.kept import Tables
    from retrieval.search.dense import Retriever

    Scores = NDArray[np.float32]

STARTER_WEIGHTS = Path(__file__).parent / "starter"
LEXICAL_FILE = "lexical.safetensors"
RETRIEVAL_FILE = "retrieval.safetensors"
_MIXED = ("retrieval", "everyday", "downloads", "checkpoint")
"""what the mixture compares all models by"""


@dataclass(frozen=True)
class Candidate:
    """A ranked model: `logit` and `chance` by all retrieval evidence, `scores` the evidence by name.

    `right`: the chance that it is right for the request, whoever else is, too. `made_for`: the asked facets
    that it is made for, with the phrases of the request.
    """

    record: ModelRecord
    logit: float
    chance: float
    right: float
    scores: dict[str, float]
    made_for: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Models in their order: `places` [n] into `records` and their `ids`, with `logits` and `chances` [n] in
    that order.

    `scores`: each kind of evidence by name, of all that were weighed; `at` [n] says where. `sentence`: how
    likely the request is one, in [0, 1]. `made_for`: for each asked facet its phrase, and the strength of all
    that were weighed.
    """

    records: Sequence[ModelRecord]
    ids: "NDArray[np.int64]"
    places: "NDArray[np.intp]"
    at: "NDArray[np.intp]"
    logits: "Scores"
    chances: "Scores"
    scores: Mapping[str, "Scores"]
    sentence: float = 0.0
    calibration: Calibration | None = None
    made_for: Mapping[str, tuple[str, "Scores"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)

    def best(self, k: int) -> list[Candidate]:
        """The first `k`, fewer where there are fewer."""
        return [self._candidate(rank) for rank in range(min(k, len(self)))]

    def led_by(self, model_id: int | None, k: int) -> list[Candidate]:
        """As `best`, a model that the request names before the others, if it is ranked."""
        named = self.of(model_id) if model_id is not None else None
        if named is None:
            return self.best(k)
        return [named, *(each for each in self.best(k) if each.record is not named.record)][:k]

    @property
    def has_style(self) -> bool:
        """Whether the request names more than what is to be seen."""
        return not all(is_subject(name) for name in self.made_for)

    @property
    def unmet(self) -> tuple[str, ...]:
        """What the request says of a medium that no model which may be chosen is made for."""
        return tuple(
            phrase
            for name, (phrase, strength) in self.made_for.items()
            if is_medium(name) and not (strength[self.at] >= MADE_FOR).any()
        )

    @functools.cached_property
    def right(self) -> "Scores":
        """The chance that each answer is right, [n]; its chance among all where nobody fitted it."""
        if self.calibration is None:
            return self.chances
        scores = {name: values[self.at] for name, values in self.scores.items() if name in CALIBRATED}
        return self.calibration.right(
            self.chances,
            scores,
            self.sentence,
            style=self.has_style,
            unmet=bool(self.unmet),
        )

    def of(self, model_id: int) -> Candidate | None:
        """A model by its id; None where it is not ranked."""
        ranks = (self.ids[self.places] == model_id).nonzero()[0]
        return self._candidate(int(ranks[0])) if len(ranks) else None

    def _candidate(self, rank: int) -> Candidate:
        place = self.at[rank]
        return Candidate(
            record=self.records[self.places[rank]],
            logit=float(self.logits[rank]),
            chance=float(self.chances[rank]),
            right=float(self.right[rank]),
            scores={name: float(values[place]) for name, values in self.scores.items()},
            made_for={
                name: phrase
                for name, (phrase, strength) in self.made_for.items()
                if strength[place] >= MADE_FOR
            },
        )


def _tables(catalogue: Catalogue) -> "Tables":
    """All that a ranker knows of a catalogue's models: kept where the catalogue was read from a file."""

    def made() -> "dict[str, NDArray[Any]]":
        records = tuple(catalogue)
        digest = {"digest": packed([catalogue.digest])}
        return {**facet_tables(records), **word_tables(records), **purpose_tables(records), **digest}

    if catalogue.file_digest is None:
        return made()
    tables = kept_tables(catalogue.file_digest, made)
    # to compute it, all records would have to be read
    catalogue.digest = unpacked(tables["digest"])[0]
    return tables


class Ranker:
    """Ranks the records of a catalogue for a request; safe to share between threads.

    Args:
        lexical: weighs the word scores.
        retriever: adds its cosines; None for words alone.
        retrieval: weighs "lexical" and the retriever's scores; needed with a retriever.
        mixture: answers sentences by what models are made for; None: the fusion alone decides.
        calibration: tells how likely an answer is right; None: its chance among all.
        tables: what is known of the catalogue's models, if it is at hand.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        lexical: Fusion,
        *,
        retriever: "Retriever | None" = None,
        retrieval: Fusion | None = None,
        mixture: Mixture | None = None,
        calibration: Calibration | None = None,
        tables: "Tables | None" = None,
    ) -> None:
        if (retriever is None) != (retrieval is None):
            raise InvalidInput("a retriever needs its fusion weights, and they need the retriever")
        self.catalogue = catalogue
        self.records: Sequence[ModelRecord] = Records(catalogue)
        tables = tables if tables is not None else _tables(catalogue)
        self._facets = FacetTable((), tables)
        self._ids = self._facets.ids
        self._scorer = LexicalScorer((), tables)
        self._purposes = Purposes((), tables)
        self._mixture = mixture
        self._calibration = calibration
        self._lexical = lexical
        self._retriever = retriever
        self._retrieval = retrieval

    @classmethod
    def packaged(
        cls,
        catalogue: Catalogue,
        folder: Path = STARTER_WEIGHTS,
        *,
        progress: Callable[[str], None] | None = None,
    ) -> "Ranker":
        """With the weights in a folder.

        Raises:
            AdapterError: the folder has no fusion weights.
        """
        from retrieval.search.dense import Retriever

        tables = _tables(catalogue)
        sampled = tables["words.unseen"] == 0
        retriever = Retriever.load(folder, catalogue, sampled=sampled, progress=progress)
        return cls(
            catalogue,
            Fusion.load(folder / LEXICAL_FILE),
            retriever=retriever,
            retrieval=Fusion.load(folder / RETRIEVAL_FILE) if retriever else None,
            mixture=Mixture.load(folder),
            calibration=Calibration.load(folder),
            tables=tables,
        )

    @property
    def retriever(self) -> "Retriever":
        """The encoder with its vectors.

        Raises:
            InvalidInput: the weights have none.
        """
        if self._retriever is None:
            raise InvalidInput("these weights have no encoder; finetune/ranker/encoder.py trains one")
        return self._retriever

    def scores(self, instruction: Instruction) -> dict[str, "Scores"]:
        """All evidence by name, each [N]: "retrieval" the logit of the fusion, "everyday" what a sentence is
        answered by."""
        evidence = self._scorer.features(instruction)
        if self._retriever is not None:
            vector = self._retriever.vector(instruction)
            evidence["retriever.prompts"] = self._retriever.prompts(instruction, vector)
            evidence["retriever.facts"] = self._retriever.facts @ vector
        return self._weighed(evidence, self._purposes, asked_facets(instruction.prompt))

    def _weighed(
        self, evidence: "Mapping[str, Scores]", purposes: Purposes, asked: Mapping[str, str]
    ) -> "dict[str, Scores]":
        """The evidence of some models with what the fusions and the mixture make of it."""
        scores = dict(evidence)
        scores["lexical"] = scores["retrieval"] = self._lexical.logits(scores)
        if self._retrieval is not None:
            scores["retrieval"] = self._retrieval.logits(scores)
        scores.update(purposes.scores(asked))
        if self._mixture is not None:
            scores["everyday"] = self._mixture.everyday_logits(scores)
        return scores

    def _pool(
        self,
        evidence: "Mapping[str, Scores]",
        asked: Mapping[str, str],
        allowed: "NDArray[np.intp]",
        most: int,
        also: Sequence[int],
    ) -> Pool:
        """The models that are weighed; `also` by their ids."""
        import numpy as np

        kinds = dict(evidence)
        if self._mixture is not None:
            made_for = self._purposes.fitting(asked)
            # what it lacks can only take from a score
            kinds["everyday"] = self._mixture.everyday_logits({**kinds, **made_for})
            kinds["use"] = self._mixture.use_logits(made_for)
        kinds |= {f"facet {name}": self._purposes.strength(name) for name in asked if is_medium(name)}
        return Pool.of(kinds, allowed, most, np.flatnonzero(np.isin(self._ids, list(also))).tolist())

    @property
    def temperature(self) -> float:
        return (self._retrieval or self._lexical).temperature

    def rank(
        self,
        instruction: Instruction,
        wanted: Filter,
        refused: Sequence[str] = (),
        *,
        is_sentence: bool | None = None,
        near: Near | None = None,
        most: int | None = MOST,
        also: Sequence[int] = (),
    ) -> "Ranking":
        """The models that the filter lets pass, best first; equal chances by downloads, then id. Of a large
        catalogue those that lead by some evidence, and a sample of the others.

        Args:
            refused: what the picture must not be, in words; models that are made for it go down.
            is_sentence: where it is known; else the wording tells.
            near: finds the cosines with the models' facts, where their vectors are stored elsewhere.
            most: of a large catalogue as many are taken by each kind of evidence; None: all are weighed.
            also: ids of models that are weighed in any case.
        """
        import numpy as np

        passing = self._facets.mask(wanted) & ~self._facets.shows
        asked = asked_facets(instruction.prompt)
        evidence = self._scorer.features(instruction)
        vector = None
        if self._retriever is not None:
            vector = self._retriever.vector(instruction)
            evidence["retriever.prompts"] = self._retriever.prompts(instruction, vector)
            evidence["retriever.facts"] = self._retriever.facts @ vector if near is None else near(vector)
        if most is None or len(self.records) <= WHOLE_UP_TO:
            pool = Pool.whole(len(self.records))
        else:
            pool = self._pool(evidence, asked, np.flatnonzero(passing), most, also)
        if near is not None and vector is not None:
            evidence["retriever.facts"] = near(vector, evidence["retriever.facts"], pool.rows)
        purposes = self._purposes.at(pool.rows)
        scores = self._weighed(
            {name: values[pool.rows] for name, values in evidence.items()}, purposes, asked
        )
        at, sampled = pool.among(passing)
        places = pool.rows[at]
        here = {name: pool.spread(scores[name][at], sampled) for name in _MIXED if name in scores}
        sentence = 0.0
        chances = softmax(here["retrieval"], self.temperature)
        logits = here["retrieval"]
        if self._mixture is not None and len(places):
            everywhere = softmax(pool.spread(scores["retrieval"], pool.sample), self.temperature)
            sentence = self._mixture.sentence(instruction, everywhere) if is_sentence is None else is_sentence
            chances = self._mixture.chances(chances, here, sentence)
            logits = np.log(chances + np.float32(1e-12))
        against = purposes.against(refused)
        if len(against) and len(places):
            kept = np.stack([pool.spread(row[at], sampled) for row in against])
            chances = without(chances, kept)
            logits = np.log(chances + np.float32(1e-12))
        # what stands for others is ranked once
        chances, logits = chances[: len(places)], logits[: len(places)]
        order = np.lexsort((self._ids[places], -self._facets.downloads[places], -logits))
        return Ranking(
            records=self.records,
            ids=self._ids,
            places=places[order],
            at=at[order],
            logits=logits[order],
            chances=chances[order],
            scores=scores,
            sentence=sentence,
            calibration=self._calibration,
            made_for={name: (phrase, purposes.strength(name)) for name, phrase in asked.items()},
        )

    def named(self, name: str, sure: bool) -> int | None:
        """The id of the model with exactly this name, for `retrieval.requests.understanding`.

        Args:
            sure: the text says that it is a model's name ("use X"); else a name that is made of everyday
                words ("Night", "Splash") is taken for those words.
        """
        matches = self.catalogue.find(name) if len(name) > 1 else []
        if not matches or matches[0].how not in ("name", "alias", "version"):
            return None
        everyday = self._scorer.says_nothing_but_words(name)
        if everyday and not (sure and name[:1].isupper()):
            return None
        return matches[0].record.model_id

    def says_name(self, record: ModelRecord, instruction: Instruction) -> bool:
        """Whether the request says the model's name, if that is more than everyday words."""
        return self._scorer.says_name(record, instruction.prompt)

    def knows(self, instruction: Instruction) -> bool:
        """Whether any word of the request is a word of any model; if not, a ranking would be a lottery."""
        return self._scorer.knows(instruction)

    def shared_terms(self, record: ModelRecord, prompt: str) -> tuple[str, ...]:
        """What the request and the model's sample prompts both say, the most telling first."""
        return self._scorer.shared_terms(record, prompt)

    def allowed(self, wanted: Filter) -> "NDArray[np.intp]":
        """Places of the records that may be chosen; those of real persons and of minors never may."""
        import numpy as np

        return np.flatnonzero(self._facets.mask(wanted) & ~self._facets.shows)

    def filter(self, **words: Unpack[FilterWords]) -> Filter:
        """The filter that a caller's words mean (retrieval/search/filters.py); only what may be offered.

        Raises:
            UnknownBaseModel, InvalidInput: see `Filter.of`.
        """
        return Filter.offered(self.catalogue, **words)

"""Selectors: from a request in words to ranked T2I APIs.

    selector = LlamaSelector()                      # the embedded default; loads on the first request
    selector.select("A cute happy corgi, pixel art")[0].api.to_json(indent=2)

`LlamaSelector` decides in one of three ways. "shortlist": retrieval proposes, the language model scores the
proposed names (paper Eq. 7), and fitted weights put both together; where its scores have the weight nought,
as in the packaged adapter, it is not loaded. "constrained": the language model decodes a name, held to the
catalogue by a prefix trie. "free": the language model writes the paper's whole JSON, which is then read,
checked and repaired. `RetrievalSelector` asks no language model at all.

Only the name is decoded; every field that the catalogue knows is filled in from it
(retrieval/calls/compose.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Unpack, get_args

from diffagent_tools.llm.adapter import STARTER_ADAPTER, ranker_folder, read_card
from diffagent_tools.llm.llama import Llama
from diffagent_tools.llm.prompt import MAX_PROMPT_TOKENS
from diffagent_tools.llm.served import ServedModel, Unanswered
from diffagent_tools.llm.served_llama import ServedLlama, tokenizer_of
from diffagent_tools.select.all_rounder import all_rounder, as_understood
from diffagent_tools.select.reasons import (
    NOT_KNOWN,
    NOTHING_FITS,
    fits_nothing,
    is_all_round,
    reason_for,
    unmet_notes,
)
from diffagent_tools.select.selection import (
    BatchItem,
    Evidence,
    InThread,
    Mode,
    Request,
    Selection,
    answer_each,
    consent_notes,
)
from diffagent_tools.select.shortlist import load_weights, needs_llm, weigh
from diffagent_tools.select.writing.negative import negative_for
from retrieval.calls.base_checkpoint import mixed_families, on_offered_checkpoint
from retrieval.calls.compose import api_for, composed_notes
from retrieval.calls.licence import may_sell
from retrieval.calls.repair import repair
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi, InvalidInput
from retrieval.records.api import Instruction, read_api, read_instruction
from retrieval.records.model import SAFE
from retrieval.requests.consent import refuse
from retrieval.search.filters import Ask, Filter, FilterWords, understood
from retrieval.search.fusion import Fusion
from retrieval.search.lexical import matched_triggers
from retrieval.search.pool import MOST
from retrieval.search.ranker import Candidate, Ranker, Ranking

SHORTLIST = 8
"""of retrieval's candidates the language model scores as many"""
NAMED = 0.99
"""the confidence in a model that the request names"""


@dataclass(frozen=True)
class _Ranked:
    candidate: Candidate
    score: float
    confidence: float | None
    llm_score: float | None = None
    said: str | None = None
    notes: tuple[str, ...] = ()
    named: bool = False
    fits_nothing: bool = False


class _Selector(InThread, ABC):
    """What both selectors share: filters, batches, and the way from a ranked model to an answer."""

    def __init__(
        self,
        catalogue: Catalogue | None = None,
        *,
        adapter: Path | str | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self._progress = progress
        self.catalogue = catalogue if catalogue is not None else Catalogue.starter()
        self.adapter = Path(adapter) if adapter is not None else STARTER_ADAPTER
        self._lock = RLock()
        self._ranker: Ranker | None = None

    @property
    def ranker(self) -> Ranker:
        """The retrieval part; made on first use.

        Raises:
            AdapterError: there is no such folder, or its files cannot be read.
        """
        with self._lock:
            if self._ranker is None:
                folder = ranker_folder(self.adapter)
                self._ranker = Ranker.packaged(self.catalogue, folder, progress=self._progress)
            return self._ranker

    def select(self, instruction: Request, *, k: int = 1, **words: Unpack[FilterWords]) -> list[Selection]:
        """See `diffagent_tools.select.selection.Selector.select`."""
        _positive(k)
        wanted = self.ranker.filter(**words)
        return self._answer(read_instruction(instruction), wanted, k)

    def select_batch(
        self, requests: Iterable[Request], *, k: int = 1, **words: Unpack[FilterWords]
    ) -> Iterator[BatchItem]:
        """See `diffagent_tools.select.selection.Selector.select_batch`."""
        _positive(k)
        wanted = self.ranker.filter(**words)
        return answer_each(requests, lambda request: self._answer(request, wanted, k))

    def _answer(self, instruction: Instruction, wanted: Filter, k: int) -> list[Selection]:
        refuse(instruction)
        ask = understood(instruction, wanted, k, self.ranker.named)
        named = self._named(ask)
        if named is None and ask.sentence is None and not self.ranker.knows(ask.instruction):
            return all_rounder(self.ranker, ask, NOT_KNOWN)[:k]
        ranked = self._rank(ask)
        if named is not None:
            others = (each for each in ranked if each.candidate.record is not named.candidate.record)
            ranked = [named, *others][:k]
        found = [self._selection(each, ask) for each in ranked]
        if named is None and ranked and ranked[0].fits_nothing:
            return [*all_rounder(self.ranker, ask, NOTHING_FITS), *found][:k]
        return found

    def _ranking(self, ask: Ask, *, whole: bool = False) -> Ranking:
        """Of a large catalogue, where not all models are needed, of those that may lead."""
        named = ask.understood.named if ask.understood is not None else None
        return self.ranker.rank(
            ask.evidence,
            ask.wanted,
            ask.refused,
            is_sentence=ask.sentence,
            most=None if whole else max(MOST, ask.k),
            also=() if named is None else (named,),
        )

    def _named(self, ask: Ask) -> "_Ranked | None":
        """The model that the request names, if the filters let it pass."""
        if ask.understood is None or ask.understood.named is None:
            return None
        candidate = self._ranking(ask).of(ask.understood.named)
        return None if candidate is None else _Ranked(candidate, candidate.logit, NAMED, named=True)

    @abstractmethod
    def _rank(self, ask: Ask) -> list[_Ranked]: ...

    def _selection(self, ranked: _Ranked, ask: Ask) -> Selection:
        request, wanted = ask.instruction, ask.wanted
        candidate = ranked.candidate
        record = candidate.record
        triggers = matched_triggers(record, request.prompt)
        terms = self.ranker.shared_terms(record, request.prompt)
        evidence = Evidence(
            matched_trigger_words=triggers,
            matched_terms=terms,
            name_said=ranked.named or self.ranker.says_name(record, request),
            made_for=tuple(dict.fromkeys(candidate.made_for.values())),
            # only where no style is named is a model's worth for anything told
            all_round=candidate.scores["facets.general"] > 0 and is_all_round(candidate),
            similarity=candidate.scores.get("retriever.facts"),
            retrieval_score=candidate.logit,
            llm_score=ranked.llm_score,
            said=ranked.said,
        )
        api = api_for(record, request, confidence=ranked.confidence)
        api, notes = on_offered_checkpoint(api, self.catalogue, wanted)
        api, notes = as_understood(api, ask, notes)
        negative = negative_for(api, record, request.prompt)
        api = api.model_copy(update={"negative_prompt": negative})
        told = (*composed_notes(record, request, api), mixed_families(api, self.catalogue))
        return Selection(
            api=api,
            score=ranked.score,
            confidence=ranked.confidence,
            evidence=evidence,
            reason=reason_for(evidence, record),
            page_url=record.page_url,
            rating=record.rating,
            max_nsfw=wanted.max_nsfw or SAFE,
            may_sell=may_sell(api, self.catalogue).allowed,
            notes=(*ranked.notes, *notes, *filter(None, told), *consent_notes(request)),
            understood=ask.understood.words if ask.understood else (),
        )


class RetrievalSelector(_Selector):
    """Chooses by retrieval alone: no language model, answers in milliseconds.

    Args:
        catalogue: the models that can be chosen; the packaged starter if None.
        adapter: a folder with fusion weights; the packaged one if None.
        progress: told, in one line each, what takes long on the first request.
    """

    def _rank(self, ask: Ask) -> list[_Ranked]:
        ranking = self._ranking(ask)
        notes, nothing = unmet_notes(ranking), fits_nothing(ranking)
        return [
            _Ranked(candidate, candidate.logit, candidate.right, notes=notes, fits_nothing=nothing)
            for candidate in ranking.best(ask.k)
        ]


class LlamaSelector(_Selector):
    """Chooses with a fine-tuned LLaMA.

    Args:
        catalogue: the models that can be chosen; the packaged starter if None.
        base: a folder or hub id of a LLaMA, which is then asked in every mode; the embedded default if None.
        adapter: a folder with a LoRA adapter and fusion weights; the packaged one if None.
        mode: how to decide, see the module.
        served: in free mode, the server of the fine-tuned LLaMA, of which `base` is then the tokenizer.
        progress: told, in one line each, what takes long on the first request.

    Raises:
        InvalidInput: no such mode.
        AdapterMismatch: on first use of the language model, the adapter was trained for another base model or
            catalogue.
        BaseModelError: on first use of the language model, it cannot be had.
    """

    def __init__(
        self,
        catalogue: Catalogue | None = None,
        *,
        base: str | None = None,
        adapter: Path | str | None = None,
        mode: Mode = "shortlist",
        served: ServedModel | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(catalogue, adapter=adapter, progress=progress)
        if mode not in get_args(Mode):
            raise InvalidInput(f"no mode {mode!r}; use one of {', '.join(get_args(Mode))}")
        self.mode: Mode = mode
        self._base = base
        self._loaded: Llama | None = None
        self._served = served

    @cached_property
    def _weights(self) -> Fusion | None:
        return load_weights(self.adapter)

    @property
    def asks_llama(self) -> bool:
        """Whether answers need the language model: by the mode, the fitted weights, or because one is named.

        Raises:
            AdapterError: the adapter's folder cannot be read.
        """
        return self.mode != "shortlist" or self._base is not None or needs_llm(self._weights)

    @property
    def llama(self) -> Llama:
        """The language model with its adapter; loaded on first use, once."""
        with self._lock:
            if self._loaded is None:
                self._loaded = Llama.load(
                    self.catalogue, base=self._base, adapter=self.adapter, progress=self._progress
                )
            return self._loaded

    @cached_property
    def _writer(self) -> "Llama | ServedLlama":
        """What writes the answers of free mode."""
        if self._served is None:
            return self.llama
        longest = int(read_card(self.adapter).get("max_prompt_tokens", MAX_PROMPT_TOKENS))
        return ServedLlama(self._served, tokenizer_of(self._base), max_prompt_tokens=longest)

    def _rank(self, ask: Ask) -> list[_Ranked]:
        if self.mode == "constrained":
            return self._constrained(ask)
        return self._free(ask) if self.mode == "free" else self._from_shortlist(ask)

    def _from_shortlist(self, ask: Ask) -> list[_Ranked]:
        ranking = self._ranking(ask)
        notes, nothing = unmet_notes(ranking), fits_nothing(ranking)
        found = ranking.best(max(ask.k, SHORTLIST))
        head, tail = found[:SHORTLIST], found[SHORTLIST:]
        if not head:
            return []
        names = [candidate.record.model for candidate in head]
        llm = self.llama.scores(ask.instruction, names) if self.asks_llama else None
        scored = weigh(head, self._weights, llm)
        # where the language model counts nothing, retrieval tells how likely each is right
        sure = [item.chance if self.asks_llama else head[item.place].right for item in scored]
        ranked = [
            _Ranked(
                head[item.place],
                item.score,
                chance,
                item.llm_score,
                notes=notes,
                fits_nothing=nothing and not self.asks_llama,
            )
            for item, chance in zip(scored, sure, strict=True)
        ]
        # what is not among the best few stays behind them, in retrieval's order
        lowest = min(item.score for item in scored)
        ranked += [
            _Ranked(candidate, lowest + candidate.logit - head[-1].logit - 1.0, candidate.right)
            for candidate in tail
        ]
        return ranked[: ask.k]

    def _constrained(self, ask: Ask) -> list[_Ranked]:
        ranking = self._ranking(ask, whole=True)
        if not len(ranking):
            return []
        # in the catalogue's order, in which the trie of the last request is kept
        allowed = [self.ranker.records[place] for place in sorted(ranking.places)]
        named = self.llama.decode_names(ask.instruction, allowed, ask.k)
        found = ((ranking.of(model_id), score) for model_id, score in named)
        return [_Ranked(candidate, score, None, score) for candidate, score in found if candidate]

    def _free(self, ask: Ask) -> list[_Ranked]:
        ranking = self._ranking(ask, whole=True)
        if not len(ranking):
            return []
        (nearest,) = ranking.best(1)
        try:
            said = self._writer.write(ask.instruction)
        except Unanswered as error:
            return [_Ranked(nearest, nearest.logit, None, notes=(f"the served model {error}",))]
        try:
            mended = repair(read_api(said).api, self.catalogue, instruction=ask.instruction)
        except InvalidApi as error:
            return [_Ranked(nearest, nearest.logit, None, None, said, (f"the model's answer: {error}",))]
        notes = tuple(f"{change.field}: {change.why}" for change in mended.changes if change.field == "model")
        # the paper's nine fields hold no id
        match = self.catalogue.resolve(
            mended.api.model, type=mended.api.type, base_model=mended.api.base_model
        )
        chosen = ranking.of(match.record.model_id) if match else None
        if chosen is None or mended.abstained:
            why = "the model that was named does not exist or does not pass the filters"
            return [_Ranked(nearest, nearest.logit, None, None, said, (*notes, why))]
        return [_Ranked(chosen, chosen.logit, None, None, said, notes)]


def _positive(k: int) -> None:
    if k < 1:
        raise InvalidInput(f"k is {k}; ask for one model or more")

"""A selector with a served model beside it: that reads the request, and has a say in the order of the best.

    selector = ServedSelector(RetrievalSelector(), ServedModel("http://localhost:8000", "qwen3-8b"))
    selector.select("un renard dans la neige, aquarelle")

The inner selector finds, filters and composes, so every answer is one that it would give. Without an answer
of the served model its order stands, and a note says why.
"""

from collections.abc import Iterable, Iterator
from typing import Unpack

from diffagent_tools.llm.served import ServedModel, Silent, Unanswered
from diffagent_tools.select.selection import BatchItem, InThread, Request, Selection, Selector, answer_each
from diffagent_tools.select.selector import NAMED
from diffagent_tools.select.served.chooser import BEST, weighed
from diffagent_tools.select.served.reader import Reading, read
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction, read_instruction
from retrieval.requests.consent import refuse
from retrieval.search.filters import FilterWords


class ServedSelector(InThread):
    """Follows the `Selector` protocol.

    Args:
        inner: finds the models and composes the calls.
        served: reads and chooses.
    """

    def __init__(self, inner: Selector, served: ServedModel) -> None:
        self._inner = inner
        self._served = served

    @property
    def catalogue(self) -> Catalogue:
        return self._inner.catalogue

    def select(self, instruction: Request, *, k: int = 1, **words: Unpack[FilterWords]) -> list[Selection]:
        """See `diffagent_tools.select.selection.Selector.select`."""
        request = read_instruction(instruction)
        refuse(request)  # before anything leaves this machine
        notes: list[str] = []
        silent = False
        try:
            reading = read(request.prompt, self._served)
        except Unanswered as error:
            reading = Reading(request.prompt)
            silent = isinstance(error, Silent)
            alone = "rules and retrieval answer alone" if silent else "the request was read by rules alone"
            notes.append(f"{self._served.name} {error}; {alone}")
        if reading.note is not None:
            notes.append(reading.note)
        asked = request.model_copy(update={"prompt": reading.sentence})
        found = self._inner.select(asked, k=max(k, BEST) if k > 0 else k, **words)
        head, tail = found[:BEST], found[BEST:]
        if not silent and len(head) > 1 and not head[0].abstained and (head[0].confidence or 0) < NAMED:
            try:
                head = weighed(head, reading.sentence, self._served, self.catalogue)
            except Unanswered as error:
                notes.append(f"{self._served.name} {error}; the order is retrieval's")
            else:
                # what follows stays behind, whatever the scale of its scores was
                last = head[-1].score - (tail[0].score if tail else 0.0) - 1.0
                tail = [each.model_copy(update={"score": each.score + last}) for each in tail]
        ranked = [*head, *tail][:k]
        if ranked and notes:
            ranked[0] = ranked[0].model_copy(update={"notes": (*notes, *ranked[0].notes)})
        return ranked

    def select_batch(
        self, requests: Iterable[Request], *, k: int = 1, **words: Unpack[FilterWords]
    ) -> Iterator[BatchItem]:
        """See `diffagent_tools.select.selection.Selector.select_batch`."""

        def answer(request: Instruction) -> list[Selection]:
            return self.select(request, k=k, **words)

        return answer_each(requests, answer)

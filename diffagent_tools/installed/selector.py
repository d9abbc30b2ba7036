"""Chooses among the models that are installed, and says in one line what is missing but better.

    selector = InstalledSelector(lambda catalogue: RetrievalSelector(catalogue), beyond=RetrievalSelector())
    selector.select("a corgi, pixel art")[0].files        # the LoRA and its checkpoint, by name and path

It names nothing that is not there: a file that was taken away since the scan is passed over.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import RLock
from typing import Unpack

from diffagent_tools.installed.library import Library
from diffagent_tools.select.selection import BatchItem, InstalledFile, InThread, Request, Selection, Selector
from retrieval.catalogue import Catalogue
from retrieval.errors import DiffAgentError, UnknownModel
from retrieval.records.model import VersionRecord
from retrieval.search.filters import FilterWords

_LOOKED_AT = 5


class InstalledSelector(InThread):
    """A selector over the catalogue of the last scan, made anew after every scan.

    Args:
        make: makes a selector over a catalogue.
        library: where the scan is kept; that of this user by default.
        beyond: chooses among all models, to say what is missing; None says nothing of it.
    """

    def __init__(
        self,
        make: Callable[[Catalogue], Selector],
        *,
        library: Library | None = None,
        beyond: Selector | None = None,
    ) -> None:
        self._make = make
        self._library = library
        self._beyond = beyond
        self._stamp: tuple[int, int] | None = None
        self._inner: Selector | None = None
        self._lock = RLock()

    @property
    def catalogue(self) -> Catalogue:
        """What is installed.

        Raises:
            InvalidInput: nothing has been scanned.
        """
        return self._selector().catalogue

    def select(self, instruction: Request, *, k: int = 1, **words: Unpack[FilterWords]) -> list[Selection]:
        """See `diffagent_tools.select.selection.Selector.select`.

        Raises:
            InvalidInput: nothing has been scanned; and what the selector raises.
        """
        inner = self._selector()
        found = inner.select(instruction, k=k, **words)
        located = [located_in(each, inner.catalogue) for each in found]
        if any(_gone(each) for each in located):
            inner = self._selector(anew=True)
            located = [located_in(each, inner.catalogue) for each in inner.select(instruction, k=k, **words)]
        return self._with_missing(located, instruction, words, inner.catalogue)

    def select_batch(
        self, requests: Iterable[Request], *, k: int = 1, **words: Unpack[FilterWords]
    ) -> Iterator[BatchItem]:
        """See `diffagent_tools.select.selection.Selector.select_batch`; without `missing`."""
        inner = self._selector()
        for item in inner.select_batch(requests, k=k, **words):
            yield item.model_copy(
                update={"ranked": tuple(located_in(each, inner.catalogue) for each in item.ranked)}
            )

    def _selector(self, anew: bool = False) -> Selector:
        with self._lock:
            library = self._library = self._library or Library()
            if self._inner is None or anew or library.stamp != self._stamp:
                self._stamp = library.stamp
                self._inner = self._make(library.catalogue())
            return self._inner

    def _with_missing(
        self, found: list[Selection], instruction: Request, words: FilterWords, here: Catalogue
    ) -> list[Selection]:
        """The answers, the first with a line on the model that would be better, were it there."""
        if self._beyond is None or not found:
            return found
        asked = words.copy()
        # names and numbers of files that are only here exclude nothing there
        asked["exclude"] = [each for each in asked.get("exclude", ()) if isinstance(each, int)]
        try:
            others = self._beyond.select(instruction, k=_LOOKED_AT, **asked)
        except DiffAgentError:
            return found
        better = [each for each in others if each.api.model_id not in here and _is_better(each, found[0])]
        if not better:
            return found
        best, page = better[0].api, better[0].page_url
        kind = f"{best.type} for {best.base_model}" + (f", {page}" if page else "")
        line = f"not installed, but nearer to the request: {best.model} ({kind})"
        return [found[0].model_copy(update={"missing": line}), *found[1:]]


def located_in(selection: Selection, catalogue: Catalogue) -> Selection:
    """The answer with the files that it is made with, the model's own first."""
    api = selection.api
    pairs: list[tuple[str, int | None, int | None]] = [(api.type, api.model_id, api.version_id)]
    if api.base_checkpoint is not None:
        pairs.append(("Checkpoint", api.base_checkpoint.model_id, api.base_checkpoint.version_id))
    pairs += [("LORA", lora.model_id, lora.version_id) for lora in api.loras]
    files = tuple(
        InstalledFile(kind=kind, name=version.file_names[0], path=version.path)
        for kind, model_id, version_id in pairs
        if (version := _version(catalogue, model_id, version_id)) is not None and version.file_names
    )
    return selection.model_copy(update={"files": files})


def _version(catalogue: Catalogue, model_id: int | None, version_id: int | None) -> VersionRecord | None:
    try:
        record = catalogue.get(model_id or 0)
    except UnknownModel:
        return None
    return (record.version(version_id) if version_id is not None else None) or record.default_version


def _gone(selection: Selection) -> bool:
    return any(file.path is not None and not Path(file.path).exists() for file in selection.files)


def _is_better(other: Selection, ours: Selection) -> bool:
    """Whether more of the request points at the other one; scores of two catalogues cannot be compared."""
    return not other.abstained and (ours.abstained or _telling(other) > _telling(ours))


def _telling(selection: Selection) -> tuple[bool, int, int]:
    evidence = selection.evidence
    return evidence.name_said, len(evidence.made_for), len(evidence.matched_trigger_words)

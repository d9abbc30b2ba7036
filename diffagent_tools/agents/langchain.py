"""The LangChain tools: choose a model, check what another model emitted, search, and a retriever.

    agent = create_agent(chat_model, tools=[DiffAgentTool(), CheckT2IApiTool()])   # examples/agent.py
    DiffAgentTool(selector=my_selector).invoke({"prompt": "a corgi, pixel art"})
    ModelRetriever(index=my_index, k=4).invoke("pixel art")

Thin shells over `Operations` (operations.py), whose engines are passed in; without them the packaged ones are
made at the first call. The calling model reads short text; the whole record is the message's artifact.
"""

import asyncio
import functools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field, SkipValidation

from diffagent_tools.agents.arguments import (
    CheckArguments,
    FilterArguments,
    ModelKind,
    SearchArguments,
    SelectArguments,
    bad_arguments,
    offering,
)
from diffagent_tools.agents.operations import CHECK, SEARCH, SELECT, Answer, Operations, hit_wire
from diffagent_tools.quoting import DOCUMENT_CHARS, plain
from diffagent_tools.select.selection import Selector
from retrieval.catalogue import Catalogue
from retrieval.errors import CatalogueError, InvalidInput
from retrieval.records.model import document_text
from retrieval.search.filters import FilterWords
from retrieval.search.searching import Hit

if TYPE_CHECKING:
    from diffagent_tools.select.selector import LlamaSelector
    from retrieval.search.index import DescriptionIndex

_LOCK = threading.RLock()


class _Tool(BaseTool):
    """A shell over an operation; faults of the call are told to the calling model."""

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: Any = True
    handle_validation_error: Any = Field(default_factory=lambda: bad_arguments)

    def model_post_init(self, context: Any) -> None:
        """The schema names the families of the catalogue."""
        super().model_post_init(context)
        schema = self.args_schema
        if isinstance(schema, type) and issubclass(schema, FilterArguments):
            self.args_schema = offering(schema, self._families())

    def _families(self) -> Sequence[str]:
        return ()

    def _answer(self, given: dict[str, Any]) -> Answer:
        raise NotImplementedError

    def _run(self, **given: Any) -> tuple[str, dict[str, Any]]:
        with _told_to_the_model():
            answer = self._answer(given)
            return answer.text, answer.data

    async def _arun(self, **given: Any) -> tuple[str, dict[str, Any]]:
        return await asyncio.to_thread(self._run, **given)


class DiffAgentTool(_Tool):
    """Chooses a real text-to-image model and its settings for a request.

    Args:
        selector: chooses; by default a `LlamaSelector` over the packaged catalogue.
        max_nsfw: the highest browsing level of a call that names none; None: only safe models.
        installed: chooses among installed models; by default those of the last `diffagent scan`.
    """

    name: str = "select_text_to_image_model"
    description: str = SELECT
    args_schema: type[BaseModel] = SelectArguments
    selector: SkipValidation[Selector | None] = Field(default=None, exclude=True, repr=False)
    max_nsfw: int | None = None
    installed: SkipValidation[Selector | None] = Field(default=None, exclude=True, repr=False)

    def _families(self) -> Sequence[str]:
        return _families_of(self.selector)

    def _answer(self, given: dict[str, Any]) -> Answer:
        selector = self.selector if self.selector is not None else default_selector()
        here = self.installed if self.installed is not None else default_installed()
        operations = Operations(selector.catalogue, selector, installed=here)
        return operations.select(SelectArguments(**given), self.max_nsfw)


class CheckT2IApiTool(_Tool):
    """Says whether a T2I API that some model emitted can be called, and gives one that can.

    Args:
        catalogue: what exists; the packaged one by default.
        index: finds substitutes by meaning; by default the packaged catalogue's, else shared words count.
    """

    name: str = "check_text_to_image_api"
    description: str = CHECK
    args_schema: type[BaseModel] = CheckArguments
    catalogue: SkipValidation[Catalogue | None] = Field(default=None, exclude=True, repr=False)
    index: SkipValidation[Any] = Field(default=None, exclude=True, repr=False)

    def _answer(self, given: dict[str, Any]) -> Answer:
        index = self.index
        if index is None and self.catalogue is None:
            index = default_index()
        catalogue = self.catalogue if self.catalogue is not None else Catalogue.starter()
        return Operations(catalogue, index=index).check(CheckArguments(**given))


class SearchModelsTool(_Tool):
    """Lists models by what they are good at.

    Args:
        index: a `DescriptionIndex`; by default the packaged catalogue's, built at the first query.
    """

    name: str = "search_text_to_image_models"
    description: str = SEARCH
    args_schema: type[BaseModel] = SearchArguments
    index: SkipValidation[Any] = Field(default=None, exclude=True, repr=False)

    def _families(self) -> Sequence[str]:
        return _families_of(self.index)

    def _answer(self, given: dict[str, Any]) -> Answer:
        index = self.index if self.index is not None else default_index()
        return Operations(index.catalogue, index=index).search(SearchArguments(**given))


class ModelRetriever(BaseRetriever):
    """Models whose descriptions fit a query, as documents: the text, and the facts as metadata.

    Args:
        index: a `DescriptionIndex`; by default the packaged catalogue's, built at the first query.
        k: how many documents; also `invoke(query, k=...)`.
        max_nsfw: the highest browsing level of Civitai that may come; only safe models by default.
    """

    index: SkipValidation[Any] = Field(default=None, exclude=True, repr=False)
    k: int = Field(default=4, ge=1)
    base_model: str | None = None
    type: ModelKind | None = None
    commercial_use: bool | None = None
    max_nsfw: int | None = None

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        return self._documents(query, k)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        return await asyncio.to_thread(self._documents, query, k)

    def _documents(self, query: str, k: int | None) -> list[Document]:
        index = self.index if self.index is not None else default_index()
        words = FilterWords(
            base_model=self.base_model,
            type=self.type,
            commercial_use=self.commercial_use,
            max_nsfw=self.max_nsfw,
        )
        operations = Operations(index.catalogue, index=index)
        return [_document(hit) for hit in operations.find(query, self.k if k is None else k, **words)]


def default_selector() -> Selector:
    """One `LlamaSelector` over the packaged catalogue for all tools of the process; it loads at first use."""
    with _LOCK:
        return _default_selector()


def default_installed() -> Selector:
    """One selector over the models that are installed for all tools of the process."""
    with _LOCK:
        return _default_installed()


def default_index() -> "DescriptionIndex":
    """One index of the packaged catalogue for the process; built at the first search if need be."""
    with _LOCK:
        return _default_index()


@functools.cache
def _default_selector() -> "LlamaSelector":
    from diffagent_tools.select.selector import LlamaSelector

    return LlamaSelector()


@functools.cache
def _default_installed() -> Selector:
    from diffagent_tools.installed.selector import InstalledSelector
    from diffagent_tools.select.selector import LlamaSelector

    return InstalledSelector(LlamaSelector, beyond=default_selector())


@functools.cache
def _default_index() -> "DescriptionIndex":
    from retrieval.search.index import DescriptionIndex

    return DescriptionIndex(Catalogue.starter(), ranker=lambda: _default_selector().ranker)


def _families_of(engine: Any) -> Sequence[str]:
    """Of the engine's catalogue; of the packaged one, which is quickly read, where there is none yet."""
    catalogue: Catalogue = Catalogue.starter() if engine is None else engine.catalogue
    return catalogue.families


def _document(hit: Hit) -> Document:
    """A model's text, with its facts as metadata."""
    record = hit.record
    return Document(
        id=str(record.model_id),
        page_content=plain(record.description or document_text(record), DOCUMENT_CHARS),
        metadata={name: value for name, value in hit_wire(hit).items() if name != "description"},
    )


@contextmanager
def _told_to_the_model() -> Iterator[None]:
    """Faults of the call reach the calling model as a message; faults of the installation are raised."""
    try:
        yield
    except (InvalidInput, CatalogueError) as error:
        raise ToolException(str(error)) from error

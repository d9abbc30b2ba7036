"""Names the right Stable Diffusion checkpoint or LoRA, with its settings, for an image asked for in words.

    from diffagent_tools import LlamaSelector

    selection = LlamaSelector().select("A cute happy corgi, pixel art")[0]
    print(selection.reason, selection.api.to_json(indent=2))

Importing this package loads nothing else: every name is imported at its first use. Errors are in
`diffagent_tools.errors`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the table below for type checkers, which run none of this
    from diffagent_tools.agents.langchain import CheckT2IApiTool as CheckT2IApiTool
    from diffagent_tools.agents.langchain import DiffAgentTool as DiffAgentTool
    from diffagent_tools.agents.langchain import ModelRetriever as ModelRetriever
    from diffagent_tools.formats.read import import_file as import_file
    from diffagent_tools.formats.write import export as export
    from diffagent_tools.select.selection import BatchItem as BatchItem
    from diffagent_tools.select.selection import Selection as Selection
    from diffagent_tools.select.selection import Selector as Selector
    from diffagent_tools.select.selector import LlamaSelector as LlamaSelector
    from diffagent_tools.select.selector import RetrievalSelector as RetrievalSelector
    from retrieval.calls.check import Check as Check
    from retrieval.calls.check import check as check
    from retrieval.calls.repair import Repair as Repair
    from retrieval.calls.repair import repair as repair
    from retrieval.catalogue.catalogue import Catalogue as Catalogue
    from retrieval.errors import DiffAgentError as DiffAgentError
    from retrieval.errors import InvalidInput as InvalidInput
    from retrieval.records.api import Instruction as Instruction
    from retrieval.records.api import T2IApi as T2IApi
    from retrieval.records.api import read_api as read_api
    from retrieval.records.api import read_instruction as read_instruction
    from retrieval.records.model import ModelRecord as ModelRecord
    from retrieval.search.filters import Filter as Filter
    from retrieval.search.index import DescriptionIndex as DescriptionIndex

__version__ = "0.1.0"

HOMES = {
    "BatchItem": "diffagent_tools.select.selection:BatchItem",
    "Catalogue": "retrieval.catalogue.catalogue:Catalogue",
    "Check": "retrieval.calls.check:Check",
    "CheckT2IApiTool": "diffagent_tools.agents.langchain:CheckT2IApiTool",
    "DescriptionIndex": "retrieval.search.index:DescriptionIndex",
    "DiffAgentError": "retrieval.errors:DiffAgentError",
    "DiffAgentTool": "diffagent_tools.agents.langchain:DiffAgentTool",
    "Filter": "retrieval.search.filters:Filter",
    "Instruction": "retrieval.records.api:Instruction",
    "InvalidInput": "retrieval.errors:InvalidInput",
    "LlamaSelector": "diffagent_tools.select.selector:LlamaSelector",
    "ModelRecord": "retrieval.records.model:ModelRecord",
    "ModelRetriever": "diffagent_tools.agents.langchain:ModelRetriever",
    "Repair": "retrieval.calls.repair:Repair",
    "RetrievalSelector": "diffagent_tools.select.selector:RetrievalSelector",
    "Selection": "diffagent_tools.select.selection:Selection",
    "Selector": "diffagent_tools.select.selection:Selector",
    "T2IApi": "retrieval.records.api:T2IApi",
    "check": "retrieval.calls.check:check",
    "export": "diffagent_tools.formats.write:export",
    "import_file": "diffagent_tools.formats.read:import_file",
    "read_api": "retrieval.records.api:read_api",
    "read_instruction": "retrieval.records.api:read_instruction",
    "repair": "retrieval.calls.repair:repair",
}
"""Every public name, and where it lives: module and name there."""

__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    """Imports what `name` lives in, and keeps it here (PEP 562)."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, own = HOMES[name].partition(":")
    value = getattr(importlib.import_module(module), own)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Names the right Stable Diffusion checkpoint or LoRA, with its settings, for an image asked for in words.

    from diffagent_tools import LlamaSelector

    selection = LlamaSelector().select("A cute happy corgi, pixel art")[0]
    print(selection.reason, selection.api.to_json(indent=2))

Importing this package loads nothing else: every name is imported at its first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffagent_tools.agents.langchain import CheckT2IApiTool, DiffAgentTool, ModelRetriever
    from diffagent_tools.select.selection import BatchItem, Evidence, Selection, Selector
    from diffagent_tools.select.selector import LlamaSelector, RetrievalSelector
    from retrieval.calls.check import Verdict, check
    from retrieval.calls.examine import Examination, examine
    from retrieval.calls.repair import Repair, repair
    from retrieval.catalogue import Catalogue
    from retrieval.errors import (
        AdapterError,
        BaseModelError,
        CatalogueError,
        DescriptionIndexError,
        DiffAgentError,
        InvalidApi,
        InvalidInput,
        InvalidInstruction,
        StorageError,
        UnknownBaseModel,
    )
    from retrieval.records.api import Instruction, T2IApi, api_json_schema, read_api, read_instruction
    from retrieval.records.model import ModelRecord
    from retrieval.search.index import DescriptionIndex

__version__ = "0.1.0"

_HOMES = {
    "retrieval.calls.examine": ("Examination", "examine"),
    "diffagent_tools.select.selection": ("BatchItem", "Evidence", "Selection", "Selector"),
    "diffagent_tools.select.selector": ("LlamaSelector", "RetrievalSelector"),
    "diffagent_tools.agents.langchain": ("CheckT2IApiTool", "DiffAgentTool", "ModelRetriever"),
    "retrieval.records.api": ("Instruction", "T2IApi", "api_json_schema", "read_api", "read_instruction"),
    "retrieval.catalogue.catalogue": ("Catalogue", "ModelRecord"),
    "retrieval.calls.check": ("Verdict", "check"),
    "retrieval.errors": (
        "AdapterError",
        "BaseModelError",
        "CatalogueError",
        "DescriptionIndexError",
        "DiffAgentError",
        "InvalidApi",
        "InvalidInput",
        "InvalidInstruction",
        "StorageError",
        "UnknownBaseModel",
    ),
    "retrieval.search.index": ("DescriptionIndex",),
    "retrieval.calls.repair": ("Repair", "repair"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AdapterError",
    "BaseModelError",
    "BatchItem",
    "Catalogue",
    "CatalogueError",
    "CheckT2IApiTool",
    "DescriptionIndex",
    "DescriptionIndexError",
    "DiffAgentError",
    "DiffAgentTool",
    "Evidence",
    "Examination",
    "Instruction",
    "InvalidApi",
    "InvalidInput",
    "InvalidInstruction",
    "LlamaSelector",
    "ModelRecord",
    "ModelRetriever",
    "Repair",
    "RetrievalSelector",
    "Selection",
    "Selector",
    "StorageError",
    "T2IApi",
    "UnknownBaseModel",
    "Verdict",
    "api_json_schema",
    "check",
    "examine",
    "read_api",
    "read_instruction",
    "repair",
]


def __getattr__(name: str) -> Any:
    """Imports what `name` lives in, and keeps it here (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

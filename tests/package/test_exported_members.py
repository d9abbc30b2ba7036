"""What `diffagent_tools` offers, and that offering it loads nothing."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import diffagent_tools

INIT = Path(diffagent_tools.__file__)
EXPECTED = [
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


def test_the_exported_names_are_these() -> None:
    assert diffagent_tools.__all__ == EXPECTED
    assert set(EXPECTED) <= set(dir(diffagent_tools))


@pytest.mark.parametrize("name", EXPECTED)
def test_every_exported_name_is_there_and_is_its_own(name: str) -> None:
    assert getattr(diffagent_tools, name).__name__ == name


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(INIT.read_text(encoding="utf-8"))
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(EXPECTED)


def test_what_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Unicorn'"):
        diffagent_tools.Unicorn  # noqa: B018


def test_the_version_is_the_distribution_s() -> None:
    project = tomllib.loads((INIT.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert diffagent_tools.__version__ == project["project"]["version"]


def test_importing_loads_nothing_of_the_project() -> None:
    code = (
        "import sys, diffagent_tools\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('retrieval', 'pydantic', 'torch')\n"
        "       or n.startswith(('diffagent_tools.', 'langchain'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

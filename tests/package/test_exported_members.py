"""What `diffagent_tools` offers, and that offering it loads nothing."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import diffagent_tools

INIT = Path(diffagent_tools.__file__)
ROOT = INIT.parents[1]
AGENT = "diffagent_tools.chat.agent"
"""What the agent of the examples shares with the chat is of no use to any other program."""


def imported(text: str) -> list[tuple[str, str]]:
    """Module and name of each `from ... import ...` of a Python text."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    return [(str(node.module), alias.name) for node in nodes for alias in node.names]


@pytest.mark.parametrize("name", diffagent_tools.__all__)
def test_every_exported_name_is_found_where_the_table_says(name: str) -> None:
    found = getattr(diffagent_tools, name)
    home, _, own = diffagent_tools.HOMES[name].partition(":")
    assert (found.__module__, found.__name__) == (home, own)
    assert found.__doc__


def test_type_checkers_and_people_see_the_same_names() -> None:
    tree = ast.parse(INIT.read_text(encoding="utf-8"))
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname for node in ast.walk(typed) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == set(diffagent_tools.__all__)
    assert set(diffagent_tools.__all__) <= set(dir(diffagent_tools))


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_needs_no_more_than_is_public(example: Path) -> None:
    for module, name in imported(example.read_text(encoding="utf-8")):
        if module.split(".")[0] in ("diffagent_tools", "retrieval", "finetune") and module != AGENT:
            assert (module, name in diffagent_tools.__all__) == ("diffagent_tools", True), f"{module}.{name}"


def test_what_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Unicorn'"):
        diffagent_tools.Unicorn  # noqa: B018


def test_the_version_is_the_distribution_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert diffagent_tools.__version__ == project["project"]["version"]


def test_importing_loads_nothing_of_the_project() -> None:
    code = (
        "import sys, diffagent_tools\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('retrieval', 'pydantic', 'torch')\n"
        "       or n.startswith(('diffagent_tools.', 'langchain'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

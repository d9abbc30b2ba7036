"""The chain `finetune` -> `diffagent_tools` -> `retrieval`, proved from the code's own imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("retrieval", "diffagent_tools", "finetune")
HEAVY = {
    *("torch", "transformers", "chromadb", "sentence_transformers", "peft", "trl", "datasets", "sklearn"),
    *("diffusers", "scipy", "bm25s", "gguf", "matplotlib"),
}
# decoding.py subclasses transformers' LogitsProcessor, and is itself imported inside functions only
LAZY = {"diffagent_tools/llm/trie.py"}
ONLY_IN = {"chromadb": "retrieval/search/index.py", "diffusers": "diffagent_tools/render/renderer.py"}
FILES = sorted(path.relative_to(ROOT).as_posix() for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


@dataclass(frozen=True)
class Import:
    """One imported module; `inside` a function or not, and not counted where only a type checker reads it."""

    module: str
    inside: bool
    line: int

    @property
    def top(self) -> str:
        """The package."""
        return self.module.split(".")[0]


def imports_of(file: str) -> list[Import]:
    """The imports of one file of the project."""
    return list(_imports(ast.parse((ROOT / file).read_text(encoding="utf-8")), file, inside=False))


def _imports(node: ast.AST, file: str, *, inside: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, inside, child.lineno)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{file}:{child.lineno} imports relatively"
            for alias in child.names:
                yield Import(f"{child.module}.{alias.name}", inside, child.lineno)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _imports(other, file, inside=inside)
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, file, inside=inside or function)


@pytest.mark.parametrize("file", FILES)
def test_a_layer_imports_only_those_below_it(file: str) -> None:
    layer = file.split("/")[0]
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    for found in imports_of(file):
        if found.top not in above:
            continue
        command = file == "diffagent_tools/cli/command.py" or file.endswith("_command.py")
        allowed = command and found.top == "finetune" and found.inside
        assert allowed, f"{file}:{found.line} imports {found.module}, which lies above {layer}"


@pytest.mark.parametrize("file", FILES)
def test_nothing_imports_tests_or_examples(file: str) -> None:
    assert not {found.top for found in imports_of(file)} & {"tests", "examples", "benchmarks"}


@pytest.mark.parametrize("file", FILES)
def test_a_heavy_library_is_imported_by_its_one_file(file: str) -> None:
    for found in imports_of(file):
        owner = ONLY_IN.get(found.top)
        assert owner in (None, file), f"{file}:{found.line} imports {found.top}; only {owner} may"


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("finetune/")])
def test_heavy_libraries_are_imported_inside_functions(file: str) -> None:
    for found in imports_of(file):
        if found.inside:
            continue
        assert found.top not in HEAVY or file in LAZY, (
            f"{file}:{found.line} imports {found.module} at its top"
        )
        lazy = {name.removesuffix(".py").replace("/", ".") for name in LAZY}
        eager = any(found.module == name or found.module.startswith(f"{name}.") for name in lazy)
        assert not eager or file in LAZY, (
            f"{file}:{found.line} imports {found.module}, which is heavy, at its top"
        )


def test_errors_import_nothing_of_the_project() -> None:
    assert not {found.top for found in imports_of("retrieval/errors.py")} & {*LAYERS, *HEAVY}


def test_the_records_index_and_selector_know_no_langchain() -> None:
    langchain = {"langchain", "langchain_core", "langchain_community"}
    for file in FILES:
        if file.startswith("retrieval/") or file.endswith(("/selector.py", "/base.py", "/decoding.py")):
            assert not {found.top for found in imports_of(file)} & langchain, f"{file} imports LangChain"

"""The order of packages and rooms, and that nothing goes in circles: proved from the code's own imports."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from heavy import HEAVY, LAZY

ROOT = Path(__file__).parents[2]
ROOMS = {
    "retrieval": "errors quiet together storage kept tables records catalogue kept_vectors requests search "
    "calls",
    "diffagent_tools": "errors extras quiet quoting exits same_origin http_guard llm select files formats "
    "installed render agents serve chat ui cli",
    "finetune": "describe data civitai dabench training ranker sft candidates rewards rrhf evaluate "
    "paper study",
}
"""Each may import from what stands before it, and from every room of the packages above."""
LAYERS = tuple(ROOMS)
MOST_MODULES, MOST_LINES = 15, 400
ONLY_IN = {
    "chromadb": "retrieval/search/index.py",
    "diffusers": "diffagent_tools/render/",
    "gradio": "diffagent_tools/ui/",
    "ray": "finetune/rewards/ray.py",
}
FILES = sorted(path.relative_to(ROOT).as_posix() for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
MODULES = {file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file for file in FILES}


@dataclass(frozen=True)
class Import:
    """One imported module; `inside` a function or not, `typed` where only a type checker reads it."""

    module: str
    line: int
    inside: bool
    typed: bool

    @property
    def top(self) -> str:
        """The package."""
        return self.module.split(".")[0]


@cache
def imports_of(file: str) -> list[Import]:
    """The imports of one file of the project."""
    return list(_imports(ast.parse((ROOT / file).read_text(encoding="utf-8")).body, file))


def _imports(
    nodes: Iterable[ast.AST], file: str, *, inside: bool = False, typed: bool = False
) -> Iterator[Import]:
    for child in nodes:
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, inside, typed)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{file}:{child.lineno} imports relatively"
            for alias in child.names:
                yield Import(f"{child.module}.{alias.name}", child.lineno, inside, typed)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(child.body, file, inside=inside, typed=True)
            yield from _imports(child.orelse, file, inside=inside, typed=typed)
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(ast.iter_child_nodes(child), file, inside=inside or function, typed=typed)


def room_of(module: str) -> str:
    """The room of a module of the project, `package.room`."""
    return ".".join(module.split(".")[:2])


def project_imports(file: str) -> Iterator[tuple[Import, str]]:
    """What a file imports of the project, and the module that it is in."""
    for found in imports_of(file):
        if found.top in ROOMS:
            module = found.module
            while module not in MODULES:
                module = module.rpartition(".")[0]
            yield found, module


def test_the_whole_house_is_seen() -> None:
    assert len(FILES) > 200
    for package, rooms in ROOMS.items():
        there = {room_of(module).partition(".")[2] for module in MODULES if module.startswith(f"{package}.")}
        assert there - {"__main__"} == set(rooms.split())


@pytest.mark.parametrize("file", FILES)
def test_a_room_imports_only_those_before_it(file: str) -> None:
    package, _, inside = file.partition("/")
    rooms = ROOMS[package].split()
    room = inside.partition("/")[0].removesuffix(".py")
    for found, module in project_imports(file):
        where, _, theirs = room_of(module).partition(".")
        said = f"{file}:{found.line} imports {found.module}"
        if where != package:
            above = LAYERS.index(where) > LAYERS.index(package)
            may = file.startswith("diffagent_tools/cli/") and (found.inside or found.typed)
            assert not above or may, f"{said}, which lies above {package}"
        elif room in rooms and theirs in rooms:
            assert rooms.index(theirs) <= rooms.index(room), f"{said}, a room behind its own"


def test_nothing_goes_in_circles() -> None:
    graph = {
        module: {other for _, other in project_imports(file)} - {module} for module, file in MODULES.items()
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_no_folder_and_no_file_holds_too_much() -> None:
    held = Counter(file.rpartition("/")[0] for file in FILES if not file.endswith("/__init__.py"))
    assert not {folder: count for folder, count in held.items() if count > MOST_MODULES}
    lines = {file: (ROOT / file).read_text(encoding="utf-8").count("\n") for file in FILES}
    assert not {file: count for file, count in lines.items() if count > MOST_LINES}


@pytest.mark.parametrize("file", [file for file in FILES if file.endswith("/__init__.py")])
def test_a_room_says_what_lives_there(file: str) -> None:
    said = ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    assert said
    assert said.endswith(".")


@pytest.mark.parametrize("file", FILES)
def test_nothing_imports_tests_or_examples(file: str) -> None:
    assert not {found.top for found in imports_of(file)} & {"tests", "examples", "benchmarks"}


@pytest.mark.parametrize("file", FILES)
def test_a_heavy_library_is_imported_by_its_one_file(file: str) -> None:
    for found in imports_of(file):
        owner = ONLY_IN.get(found.top)
        assert owner is None or file.startswith(owner), f"{file}:{found.line}: only {owner} may import it"


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("finetune/")])
def test_heavy_libraries_are_imported_inside_functions(file: str) -> None:
    for found in imports_of(file):
        if found.inside or found.typed:
            continue
        lazy = file.removesuffix(".py").replace("/", ".") in LAZY
        eager = any(found.module == name or found.module.startswith(f"{name}.") for name in LAZY)
        assert lazy or not (eager or found.top in HEAVY), (
            f"{file}:{found.line} imports {found.module} at its top"
        )


def test_the_records_index_and_selector_know_no_langchain() -> None:
    langchain = {"langchain", "langchain_core", "langchain_community"}
    for file in FILES:
        if file.startswith(("retrieval/", "diffagent_tools/select/", "diffagent_tools/llm/")):
            assert not {found.top for found in imports_of(file)} & langchain, f"{file} imports LangChain"

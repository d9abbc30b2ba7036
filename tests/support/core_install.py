"""The command and the scripts as they are on the install without extras.

    site = core_site(tmp_path / "site")
    run_all([("check", ["diffagent_tools", "check", "DreamShaper"])], site)    # {"check": (0, "")}

Run as a program it is the inside of `run_all`: cases on standard input, outcomes on standard output.
"""

import contextlib
import importlib.metadata
import io
import json
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
Outcome = tuple[int | str, str]
"""Exit code, or a traceback in its place, and standard error."""


def core_distributions() -> set[str]:
    """The names of what `pip install diffagent-tools` brings."""
    found: dict[str, set[str]] = {}
    waiting = [("diffagent-tools", frozenset[str]())]
    while waiting:
        name, extras = waiting.pop()
        known = found.get(name)
        if known is not None and extras <= known:
            continue
        found[name] = (known or set()) | extras
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # for another platform
            continue
        for text in required:
            need = Requirement(text)
            asked = [{"extra": extra} for extra in (*found[name], "")]
            if need.marker is None or any(need.marker.evaluate(each) for each in asked):
                waiting.append((canonicalize_name(need.name), frozenset(need.extras)))
    return set(found)


def core_site(folder: Path) -> Path:
    """Makes a folder of links to what the core's distributions consist of: an install without extras."""
    folder.mkdir()
    for name in core_distributions():
        try:
            files = importlib.metadata.distribution(name).files or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in files:
            top = file.parts[0]
            if top not in ("..", "bin") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
    return folder


def run_all(cases: Sequence[tuple[str, Sequence[str]]], site: Path, **environment: str) -> dict[str, Outcome]:
    """Runs each case with nothing to import but the folder of `core_site` and this project."""
    done = subprocess.run(
        [sys.executable, "-S", __file__],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)]), **environment},
    )
    assert done.returncode == 0, done.stderr
    return {name: (code, said) for name, (code, said) in json.loads(done.stdout).items()}


def run(arguments: Sequence[str]) -> Outcome:
    """What `python -m ...` comes to."""
    module, *rest = arguments
    said = io.StringIO()
    sys.argv = [module, *rest]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as ending:
            return int(ending.code or 0), said.getvalue()
        except BaseException:
            return traceback.format_exc(), said.getvalue()
    return 0, said.getvalue()


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    sys.stdin = io.TextIOWrapper(io.BytesIO())
    print(json.dumps({name: run(arguments) for name, arguments in cases}))

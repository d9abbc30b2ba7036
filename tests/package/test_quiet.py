"""Nothing but the command's own lines reaches somebody who uses it, whatever the libraries say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOISE = """
import logging, warnings
import retrieval.search.ranker as ranking

rank = ranking.Ranker.rank

def noisy(self, *given, **named):
    import tqdm
    warnings.warn("renamed in the next version", FutureWarning)
    warnings.warn("old", DeprecationWarning)
    logging.getLogger("some.library").warning("a library's line")
    from transformers.utils.logging import get_logger as of_transformers
    from huggingface_hub.utils.logging import get_logger as of_the_hub
    of_transformers("transformers.x").warning("a line of transformers")
    of_the_hub("huggingface_hub.x").warning("a line of the hub")
    logging.getLogger("asyncio").error("an error that nobody caught")
    logging.getLogger("retrieval.noise").warning("a line of our own")
    for _ in tqdm.tqdm(range(3), desc="a library's bar"):
        pass
    return rank(self, *given, **named)

ranking.Ranker.rank = noisy
"""
MAIN = (
    "import sys\nfrom diffagent_tools.cli.command import main\n{noise}\nsys.argv[0] = 'diffagent'\nmain()\n"
)


def said(home: Path, *arguments: str, noise: str = "", **environment: str) -> str:
    """Standard error of the command in a process of its own, told nothing of warnings by its environment."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    code = MAIN.format(noise=noise)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={
            **kept,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "DIFFAGENT_HOME": str(home),
            **environment,
        },
    )
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.strip()
    return done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("select", "a happy corgi, pixel art"),
        ("chat", "a happy corgi, pixel art", "make it wide"),
        ("check", "DreamShaper"),
    ],
)
def test_the_first_run_says_nothing_beside_the_answer(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert said(tmp_path, *arguments) == ""


def test_what_takes_longer_is_one_line(tmp_path: Path) -> None:
    lines = said(tmp_path, "check", "Corgi Ultra Diffusion XL", "--instruction", "a corgi").splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("building the index of the starter catalogue, once, in ")
    assert said(tmp_path, "check", "Corgi Ultra Diffusion XL", "--instruction", "a corgi") == ""


def test_noisy_libraries_are_not_heard_and_our_own_lines_are(tmp_path: Path) -> None:
    request = ("select", "a happy corgi, pixel art", "--mode", "retrieval")
    assert sorted(said(tmp_path, *request, noise=NOISE).splitlines()) == [
        "a line of our own",
        "an error that nobody caught",
    ]
    asked = {
        "PYTHONWARNINGS": "default",
        "TQDM_DISABLE": "",
        "TRANSFORMERS_VERBOSITY": "warning",
        "HF_HUB_VERBOSITY": "warning",
    }
    heard = said(tmp_path, *request, noise=NOISE, **asked)
    for line in (
        "renamed in the next version",
        "a library's line",
        "a library's bar",
        "a line of transformers",
        "a line of the hub",
    ):
        assert line in heard

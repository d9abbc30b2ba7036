"""`diffagent serve` as processes: the command's own answers, and one Chroma server that goes away."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from chroma_server import chroma_command, chroma_server, free_port
from served import ask, started
from small_world import small_catalogue
from typer.testing import CliRunner

from diffagent_tools.cli import command as cli

QUERY = {"query": "neon streets at night", "k": 2}


def printed(*arguments: str) -> Any:
    return json.loads(CliRunner().invoke(cli.app, list(arguments)).stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    (folder / "chroma").mkdir()
    small_catalogue().save(folder / "small.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFAGENT_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def servers(home: Path, port: int) -> Iterator[list[str]]:
    """Two, the first of two processes, each with a home of its own; no Chroma server yet."""
    options = ["--catalogue", str(home / "small.jsonl"), "--mode", "retrieval"]
    options += ["--index-url", f"http://127.0.0.1:{port}"]
    with ExitStack() as running, ThreadPoolExecutor(2) as pool:
        made = [
            started(*options, *more, DIFFAGENT_HOME=str(home / name))
            for name, more in (("one", ["--workers", "2"]), ("two", []))
        ]
        yield list(pool.map(running.enter_context, made))


def test_answers_of_many_at_once_are_those_of_the_command(home: Path, servers: list[str]) -> None:
    small = ["--catalogue", str(home / "small.jsonl")]
    wishes = ["pixel art", "neon streets in the rain", "a happy pet, watercolor", "use Free Pixels: a cat"]
    asked = [(url, {"prompt": wish, "k": 2}) for _ in range(3) for url in servers for wish in wishes]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda each: ask(f"{each[0]}/select", each[1]).json(), asked))
    command = [
        printed("select", wish, "-k", "2", "--json", *small, "--mode", "retrieval") for wish in wishes[:2]
    ]
    assert answers[:2] == command
    assert answers == answers[: len(wishes)] * 6
    checked = ask(f"{servers[0]}/check", {"api": "free pixels.safetensors"}).json()
    assert checked.pop("accepted")
    assert checked == printed("check", "free pixels.safetensors", "--json", *small)


@pytest.mark.skipif(chroma_command() is None, reason="the command `chroma` is not installed")
def test_one_chroma_server_that_goes_away_and_comes_back(home: Path, port: int, servers: list[str]) -> None:
    small = ["--catalogue", str(home / "small.jsonl")]
    with chroma_server(home / "chroma", port) as chroma:
        built = printed("index", "build", *small, "--url", chroma, "--json")
        assert (built["records"], built["complete"]) == (7, True)
        before = [ask(f"{url}/search", QUERY).json() for url in servers]
        assert before[0] == before[1]
        assert before[0]["models"][0]["model_id"] == 204
        assert not list(home.glob("*/index/*/chroma.sqlite3")), "the index is on the server alone"
    for url in servers:
        gone = ask(f"{url}/search", QUERY)
        assert gone.status_code == 503
        assert f"the Chroma server {chroma} cannot be used" in gone.json()["error"]
        assert ask(f"{url}/select", {"prompt": "pixel art"}).json()["model id"] == 201
        assert ask(f"{url}/ready").status_code == 200
    with chroma_server(home / "chroma", port):
        assert [ask(f"{url}/search", QUERY).json() for url in servers] == before

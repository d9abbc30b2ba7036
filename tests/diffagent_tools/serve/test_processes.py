"""`diffagent serve` as processes: the same answers as the command's, several workers, one Chroma server."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from served import ask, chroma_command, chroma_server, free_port, started
from small_world import small_catalogue
from typer.testing import CliRunner

from diffagent_tools.cli import command as cli


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    small_catalogue().save(folder / "small.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFAGENT_HOME", str(folder))
        yield folder


def printed(*arguments: str) -> Any:
    return json.loads(CliRunner().invoke(cli.app, list(arguments)).stdout)


def test_answers_of_many_at_once_are_those_of_the_command(home: Path) -> None:
    small = ["--catalogue", str(home / "small.jsonl"), "--mode", "retrieval"]
    wishes = ["pixel art", "neon streets in the rain", "a happy pet, watercolor", "use Free Pixels: a cat"]
    with started(*small, "--workers", "2") as url, ThreadPoolExecutor(16) as pool:
        asked = [{"prompt": wish, "k": 2} for wish in wishes * 4]
        answers = list(pool.map(lambda body: ask(f"{url}/select", body).json(), asked))
        checked = ask(f"{url}/check", {"api": "free pixels.safetensors"}).json()
    for wish, answer in zip(wishes * 4, answers, strict=True):
        assert answer == answers[wishes.index(wish)]
    assert answers[: len(wishes)] == [printed("select", wish, "-k", "2", "--json", *small) for wish in wishes]
    assert checked.pop("accepted")
    assert checked == printed("check", "free pixels.safetensors", "--json", *small[:2])


@pytest.mark.skipif(chroma_command() is None, reason="the command `chroma` is not installed")
def test_two_servers_over_one_chroma_server_that_goes_away_and_comes_back(home: Path) -> None:
    small = ["--catalogue", str(home / "small.jsonl")]
    port, query = free_port(), {"query": "neon streets at night", "k": 2}
    (home / "chroma").mkdir()
    with ExitStack() as both:
        with chroma_server(home / "chroma", port) as chroma:
            built = printed("index", "build", *small, "--url", chroma, "--json")
            assert (built["records"], built["complete"]) == (7, True)
            options = [*small, "--mode", "retrieval", "--index-url", chroma]
            servers = [started(*options, DIFFAGENT_HOME=str(home / name)) for name in ("one", "two")]
            with ThreadPoolExecutor(2) as pool:
                urls = list(pool.map(both.enter_context, servers))
            before = [ask(f"{url}/search", query).json() for url in urls]
            assert before[0] == before[1]
            assert before[0]["models"][0]["model_id"] == 204
            assert not list(home.glob("*/index/*/chroma.sqlite3")), "the index is on the server alone"
        for url in urls:
            gone = ask(f"{url}/search", query)
            assert gone.status_code == 503
            assert f"the Chroma server {chroma} cannot be used" in gone.json()["error"]
            assert ask(f"{url}/select", {"prompt": "pixel art"}).json()["model id"] == 201
            assert ask(f"{url}/ready").status_code == 200
        with chroma_server(home / "chroma", port):
            assert [ask(f"{url}/search", query).json() for url in urls] == before

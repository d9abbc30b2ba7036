"""The tests of `diffagent scan` and `diffagent select --installed`."""

import json
from pathlib import Path

import pytest
from dabench_world import sha256_of as made_up_digest
from installed_world import installed_world, kohya, version_of, weights
from replay_server import ReplayServer
from small_world import WordSelector
from typer.testing import CliRunner, Result

from diffagent_tools.cli import command as cli
from diffagent_tools.cli import options
from diffagent_tools.cli import select as select_command
from diffagent_tools.installed.library import Library
from retrieval.storage import sha256_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CIVITAI_API_KEY", raising=False)
    for module in (options, select_command):
        monkeypatch.setattr(module, "make_selector", lambda catalogue, *given: WordSelector(catalogue))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def test_a_folder_of_everything(tmp_path: Path) -> None:
    root = installed_world(tmp_path / "models")
    done = run("scan", str(root), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["models"]["LORA for SD 1.5"] >= 8
    assert told["models"]["Checkpoint for Pony"] == 1
    assert sum(map(len, told["left"].values())) >= 20
    catalogue = Library().catalogue()
    by_name = {record.model: record for record in catalogue}
    assert by_name["pixelcorgi"].trigger_words == ("pixelcorgi",)
    assert by_name["pixelcorgi"].terms["dog"] == pytest.approx(0.95)
    assert by_name["unsafe"].browsing_level == 16
    assert by_name["retro"].settings is not None
    assert by_name["retro"].settings.lora_weight == 0.55
    assert all(record.description for record in catalogue)
    again = run("scan")
    assert again.exit_code == 0
    assert "LORA for SD 1.5" in again.stdout


def test_select_installed_names_what_is_there(tmp_path: Path) -> None:
    root = installed_world(tmp_path / "models")
    run("scan", str(root))
    done = run("select", "--installed", "pixelcorgi on grass", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["model"] == "pixelcorgi"
    assert told["rating"] == "not rated"
    assert [file["name"] for file in told["files"]] == ["pixelcorgi.safetensors", "sd15.safetensors"]
    assert all(Path(file["path"]).is_file() for file in told["files"])
    shown = run("select", "--installed", "pixelcorgi on grass")
    assert f"file: pixelcorgi.safetensors ({root / 'loras' / 'pixelcorgi.safetensors'})" in shown.stdout


def test_comfyui_gets_the_name_that_it_lists(tmp_path: Path) -> None:
    root = installed_world(tmp_path / "models")
    run("scan", str(root))
    done = run("select", "--installed", "the style of Ink Wash, inkwash", "--format", "comfyui")
    assert done.exit_code == 0, done.output
    assert '"styles/ink.safetensors"' in done.stdout


def test_nothing_scanned_is_told() -> None:
    for command in (("scan",), ("select", "--installed", "a corgi"), ("chat", "--installed", "a corgi")):
        done = run(*command)
        assert done.exit_code == 2
        assert "diffagent scan FOLDER" in done.stderr


def test_a_folder_without_models(tmp_path: Path) -> None:
    done = run("scan", str(tmp_path))
    assert done.exit_code == 1
    assert "0 files" in done.stderr


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = run("scan", str(tmp_path / "nothing"))
    assert (done.exit_code, done.stdout) == (2, "")


def test_nobody_at_the_address() -> None:
    assert run("scan", "http://127.0.0.1:9").exit_code == 3


def test_civitai_is_asked_once_for_what_nobody_knows(tmp_path: Path) -> None:
    root = tmp_path / "models"
    known = weights(root / "loras" / "renamed.safetensors", kohya(768))
    weights(root / "loras" / "private.safetensors", kohya(1024))
    digest = sha256_of(known).upper()
    version = version_of(601, 6011, files=[{"name": "a", "type": "Model", "hashes": {"SHA256": digest}}])
    with ReplayServer([{"id": 601, "name": "Ink Wash", "modelVersions": [version]}]) as server:
        done = run("scan", str(root), "--online", "--url", server.url)
        assert done.exit_code == 1, done.output
        asked = [call.path for call in server.calls]
        assert sorted(path.rpartition("/")[2] == digest for path in asked) == [False, True]
        run("scan", str(root), "--online", "--url", server.url)
        assert len(server.calls) == len(asked)
    assert made_up_digest("a") != digest
    kept = [json.loads(line) for line in Library().path.read_text().splitlines()]
    assert {(each["model_id"], each["model"]) for each in kept} >= {(601, "Ink Wash")}

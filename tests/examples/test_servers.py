"""The compose file of several servers: its commands are the command's own, and what it needs is there."""

from pathlib import Path

import yaml
from typer.testing import CliRunner

from diffagent_tools.cli import command as cli

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "servers"
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_the_commands_are_those_of_the_package() -> None:
    for name in ("index", "diffagent"):
        options = [word for word in SERVICES[name]["command"] if word.startswith("--")]
        words = [word for word in SERVICES[name]["command"] if word.isalpha()]
        shown = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": "200"}).stdout
        assert words
        assert [option for option in options if option not in shown] == []


def test_the_servers_start_after_the_index_and_all_use_one_chroma_server() -> None:
    assert SERVICES["index"]["depends_on"] == {"chroma": {"condition": "service_healthy"}}
    assert SERVICES["diffagent"]["depends_on"]["index"] == {"condition": "service_completed_successfully"}
    urls = {SERVICES[name]["command"][-1] for name in ("index", "diffagent")}
    assert urls == {"http://chroma:8000"}
    assert SERVICES["diffagent"]["deploy"]["replicas"] > 1
    assert "DIFFAGENT_TOKEN" in SERVICES["diffagent"]["environment"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["diffagent"]["ports"])


def test_the_image_is_built_of_what_is_there() -> None:
    lines = (FOLDER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [part for line in lines if line.startswith("COPY ") for part in line.split()[1:-1]]
    assert len(copied) > 4
    assert [part for part in copied if not (ROOT / part).exists()] == []

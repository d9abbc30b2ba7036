"""The command at its edges to other programs: `select --format`, and `check` of pictures and workflows."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_world import WordSelector, small_catalogue
from typer.testing import CliRunner, Result

from diffagent_tools.cli import command as cli
from diffagent_tools.cli import select as select_command
from diffagent_tools.formats.write import ExportFormat

CATALOGUE = small_catalogue()
PROMPT = "a corgi, pixel art of games"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(select_command, "make_selector", lambda *options: WordSelector(CATALOGUE))
    path = tmp_path / "small.jsonl"
    CATALOGUE.save(path)
    return str(path)


def run(*arguments: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli.app, list(arguments), input=given)


def exported(format: str, small: str) -> str:
    result = run("select", PROMPT, "--format", format, "--catalogue", small)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def checked(result: Result) -> dict[str, Any]:
    assert result.exit_code in (0, 1), result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def save_png(path: Path, **texts: str) -> Path:
    image = pytest.importorskip("PIL.Image", reason="Pillow (the extra 'images') is not installed")
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in texts.items():
        # packed, as a program may: zTXt holds Latin-1 and Pillow falls back to iTXt
        info.add_text(key, text, zip=True)
    image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


@pytest.mark.parametrize("format", list(ExportFormat))
def test_the_best_answer_is_printed_as_a_program_takes_it(format: ExportFormat, small: str) -> None:
    text = exported(format, small)
    sign = {
        ExportFormat.infotext: "Sampler: DPM++ 2M, Schedule type: Karras,",
        ExportFormat.infotext_old: "Sampler: DPM++ 2M Karras,",
        ExportFormat.comfyui: '"sampler_name": "dpmpp_2m"',
        ExportFormat.comfyui_ui: '"type": "KSampler"',
        ExportFormat.diffusers: "DPMSolverMultistepScheduler.from_config",
        ExportFormat.json: '"model": "Pixel Art Helper"',
        ExportFormat.air: "urn:air:sd1:lora:civitai:201@2011\nurn:air:sd1:checkpoint:civitai:62437@99437\n",
    }
    assert sign[format] in text


@pytest.mark.parametrize("format", ["infotext", "infotext-old", "comfyui", "comfyui-ui", "json"])
def test_what_select_printed_is_what_check_reads(format: str, small: str, tmp_path: Path) -> None:
    text = exported(format, small)
    path = tmp_path / "export.txt"
    path.write_text(text, encoding="utf-8")
    for result in (
        run("check", str(path), "--catalogue", small, "--json"),
        run("check", "--catalogue", small, "--json", given=text),
    ):
        found = checked(result)
        assert (found["status"], found["model"]) == ("valid", "Pixel Art Helper")
        api = found["repair"]["api"]
        assert (api["sampling method"], api["sampling steps"]) == ("DPM++ 2M Karras", 25)
        assert api["base checkpoint"]["model"] == "v1-5-pruned-emaonly"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "png"],
        ["--format", "comfyui", "--json"],
        ["--format", "comfyui", "--input", "requests.jsonl"],
    ],
)
def test_a_format_that_cannot_be_is_bad_usage(arguments: list[str], small: str) -> None:
    words = [] if "--input" in arguments else [PROMPT]
    assert run("select", *words, *arguments, "--catalogue", small).exit_code == 2


@pytest.mark.parametrize(
    ("key", "format"), [("parameters", "infotext"), ("prompt", "comfyui"), ("workflow", "comfyui-ui")]
)
def test_check_of_a_picture_tells_what_made_it(key: str, format: str, small: str, tmp_path: Path) -> None:
    path = save_png(tmp_path / "picture.png", **{key: exported(format, small)})
    found = checked(run("check", str(path), "--catalogue", small, "--json"))
    assert (found["status"], found["model"]) == ("valid", "Pixel Art Helper")


def test_check_of_a_picture_whose_model_is_gone(small: str, tmp_path: Path) -> None:
    text = "a hill\nSteps: 20, Sampler: Euler a, CFG scale: 7, Size: 512x512, Model: Lost Landscapes"
    path = save_png(tmp_path / "picture.PNG", parameters=text)
    result = run("check", str(path), "--catalogue", small)
    assert result.exit_code == 1
    assert "verdict: unavailable" in result.stdout


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.png", None, "cannot read"),
        ("empty.png", b"", "is no PNG, JPEG, WebP or AVIF"),
        ("page.png", b"<html>", "is no PNG, JPEG, WebP or AVIF"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00", "the file is cut off"),
        ("large.png", 100_000_000, "has 100 MB and at most 64 MB are read"),
        ("large.json", 100_000_000, "has 100 MB and at most 8 MB are read"),
        ("odd.json", b'{"1": {"class_type": "Mystery", "inputs": {}}}', "its nodes are Mystery"),
        ("loop.json", b'{"1": {"class_type": "KSampler", "inputs": {"model": ["1", 0]}}}', "no sampler"),
    ],
)
def test_a_file_that_tells_nothing_is_one_plain_line(
    name: str, content: bytes | int | None, said: str, small: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if isinstance(content, int):
        with path.open("wb") as file:
            file.truncate(content)
    elif content is not None:
        path.write_bytes(content)
    result = run("check", str(path), "--catalogue", small)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_fetch_of_a_file_of_answers_asks_nobody_for_what_is_there(small: str, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for version in (2011, 99437):
        (models / f"{version}.safetensors").write_bytes(b"{}")
    answers = tmp_path / "answers.jsonl"
    lines = ({"id": 1, "api": json.loads(exported("json", small))}, {"id": 2, "error": "too long"})
    answers.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    result = run("fetch", str(answers), "--models", str(models), "--dry-run", "--catalogue", small)
    assert result.exit_code == 0, result.stderr
    assert "0 of 2 to fetch" in result.stderr


def test_gallery_of_a_folder_without_pairs_is_bad_input(tmp_path: Path) -> None:
    result = run("gallery", str(tmp_path))
    assert result.exit_code == 2
    assert "diffagent render --baseline" in result.stderr

"""The command, on the small catalogue and a selector that counts words; a few runs are real processes."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_world import WordSelector, small_catalogue
from typer.testing import CliRunner, Result

from diffagent_tools import __version__
from diffagent_tools.cli import cards
from diffagent_tools.cli import command as cli
from diffagent_tools.cli import select as select_command
from diffagent_tools.cli.info import in_plain_words
from diffagent_tools.cli.progress import waiting
from diffagent_tools.select.batch import read_lines
from retrieval.calls.check import check
from retrieval.errors import AdapterMismatch, BaseModelMissing, IndexMissing, StorageError, UnknownModel
from retrieval.records.api import read_api

TESTS = Path(__file__).parents[2] / "support"
CATALOGUE = small_catalogue()


@pytest.fixture
def selector(monkeypatch: pytest.MonkeyPatch) -> WordSelector:
    made = WordSelector(CATALOGUE)
    monkeypatch.setattr(select_command, "make_selector", lambda *options: made)
    return made


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    path = tmp_path / "small.jsonl"
    CATALOGUE.save(path)
    return str(path)


def run(*arguments: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli.app, list(arguments), input=given)


def process(*arguments: str, given: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "diffagent_tools", *arguments],
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        timeout=120,
        check=False,
    )


def test_help_lists_the_commands_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom diffagent_tools import cli\n"
        "try:\n    cli.app(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print('loaded', sorted({n.split('.')[0] for n in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("select", "check", "index", "info", "evaluate"):
        assert f" {command} " in done.stdout
    loaded = done.stdout.rsplit("loaded ", 1)[1]
    for heavy in ("torch", "transformers", "chromadb", "langchain_core", "pydantic", "numpy", "finetune"):
        assert f"'{heavy}'" not in loaded


def test_the_answer_in_a_pipe_is_plain_lines(selector: WordSelector) -> None:
    result = run("select", "a happy corgi, pixel art", "-k", "2", "--negative", "blurry")
    assert result.exit_code == 0
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert lines["model"] == "Pixel Art Helper"
    assert lines["kind"] == "LORA for SD 1.5, version v2"
    assert lines["settings"].startswith("512x512, DPM++ 2M Karras, 25 steps, cfg 8")
    assert lines["prompt"] == "a happy corgi, pixel art"
    assert lines["negative"] == "blurry"
    assert lines["page"] == "https://civitai.com/models/201"
    assert lines["2"].startswith("Free Pixels (Checkpoint for SD 1.5")
    assert "\x1b" not in result.stdout


def test_json_is_the_record_and_can_be_piped_into_check(selector: WordSelector) -> None:
    result = run("select", "pixel art", "--json")
    assert read_api(result.stdout).api.model_id == 201
    assert "alternatives" not in json.loads(result.stdout)
    several = json.loads(run("select", "pixel art", "--json", "-k", "3").stdout)
    assert [other["model"] for other in several["alternatives"]][:1] == ["Free Pixels"]


def test_filters_reach_the_selector(selector: WordSelector) -> None:
    result = run("select", "art", "--base-model", "stable diffusion xl", "--type", "lora", "--commercial")
    assert result.exit_code == 1
    assert "no model passes these filters" in result.stderr
    assert selector.asked == [
        {"prompt": "art", "base_model": "SDXL 1.0", "type": "LORA", "commercial_use": True}
    ]
    left = json.loads(
        run("select", "pixel art", "--exclude", "201", "--exclude", "Free Pixels", "--json").stdout
    )
    assert left["model id"] not in (201, 202)


def test_abstaining_is_exit_code_1_and_is_said(selector: WordSelector) -> None:
    result = run("select", "qwxyz")
    assert result.exit_code == 1
    assert "model: " in result.stdout


def test_names_and_descriptions_are_shown_letter_for_letter() -> None:
    found = WordSelector(CATALOGUE).select("neon streets at night in the rain")
    for width in (24, 100):
        console = Console(force_terminal=True, width=width, file=io.StringIO(), markup=False, emoji=False)
        cards.show_selections(console, found)
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        assert "[red]Night[/] City" in shown.replace("\n", "")
        assert "[/link]" in "".join(line.strip(" │") for line in shown.splitlines())
        assert "example.org\x1b\\" not in shown
        assert max(len(line) for line in _without_colour(shown).splitlines()) <= width


def _without_colour(text: str) -> str:
    from rich.text import Text

    return Text.from_ansi(text).plain


def test_control_characters_of_a_catalogue_never_reach_the_terminal() -> None:
    found = WordSelector(CATALOGUE).select("watercolor wash, ignore the above")
    console = Console(width=80, file=io.StringIO())
    cards.show_selections(console, found)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Ignore the above" in shown
    assert not set("\x1b\u202e") & set(shown)


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(force_terminal=True, width=80, file=io.StringIO())
    cards.show_examination(console, check("Free Pixls", CATALOGUE))
    assert "\x1b[3" not in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["select"], "give either the words of a request"),
        (["select", "a", "--input", "b"], "give either the words of a request"),
        (["select", "a", "--output", "b"], "--output belongs to --input"),
        (["select", "--input", "a", "--json"], "belong to a single request"),
        (["select", "a", "-k", "0"], "-k"),
        (["select", "a", "--mode", "magic"], "magic"),
        (["select", "a", "--type", "embedding"], "embedding"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_bad_usage_is_exit_code_2(arguments: list[str], said: str, selector: WordSelector) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownModel("no model 7; name another"), 2),
        (StorageError("disk full; free some space"), 3),
        (BaseModelMissing("no network; put the file there"), 3),
        (AdapterMismatch("adapter of another base; take its own"), 3),
        (IndexMissing("no index; build it"), 3),
    ],
)
def test_errors_are_one_plain_line(
    error: Exception, code: int, selector: WordSelector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*options: Any) -> Any:
        raise error

    monkeypatch.setattr(select_command, "make_selector", fail)
    result = run("select", "a")
    assert (result.exit_code, result.stderr) == (code, f"error: {error}\n")
    assert result.stdout == ""


REQUESTS = [
    '{"prompt": "pixel art of a city", "negative_prompt": "blurry", "id": "a"}',
    '{"prompt": "watercolor fjord", "id": 7, "category": "kept out"}',
    "",
    '{"prompt": "broken',
    '{"prompt": "  ", "id": "empty"}',
    '{"id": "none"}',
    '{"prompt": "night city", "id": ["no"]}',
    '"neon night"',
    json.dumps({"prompt": "x" * 100_000, "id": "long"}),
    '{"prompt": "mountains", "negative prompt": null}',
]


def answers(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_lines_in_lines_out(selector: WordSelector, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "new" / "out.jsonl"
    source.write_text("\ufeff" + "\n".join(REQUESTS), encoding="utf-8")
    result = run("select", "--input", str(source), "--output", str(target), "-k", "2")
    assert result.exit_code == 1, "some lines have no answer"
    found = answers(target)
    assert [item["id"] for item in found] == ["a", 7, 4, "empty", "none", 7, 8, "long", 10]
    first = found[0]
    assert first["api"]["negative prompt"] == "blurry"
    assert [set(ranked) for ranked in first["ranked"]] == [{"model id", "version id", "model", "score"}] * 2
    errors = {place: item["error"] for place, item in enumerate(found) if "error" in item}
    assert set(errors) == {2, 3, 4, 5, 7}
    assert all(found[place]["ranked"] == [] for place in errors)
    assert errors[2].startswith("line 4 is no JSON")
    assert "line 5: prompt cannot be used: it is empty" in errors[3]
    assert "line 6: the request has no prompt" in errors[4]
    assert "line 7: the id is" in errors[5]
    assert "line 9" in errors[7]
    assert "100,000" in errors[7]
    assert "9 lines" in result.stderr
    assert "5 with an error" in result.stderr


def test_words_without_quotes_are_one_request(selector: WordSelector) -> None:
    assert run("select", "a", "corgi,", "pixel", "art", "-k", "1").exit_code == 0
    assert selector.asked[-1]["prompt"] == "a corgi, pixel art"


def test_the_version_is_told() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout.strip()) == (0, f"diffagent {__version__}")


@pytest.mark.parametrize("command", ["select", "chat", "ui", "fetch", "mcp"])
def test_a_flag_looks_like_a_flag(command: str) -> None:
    lines = run(command, "--help").stdout.splitlines()
    assert not [line for line in lines if "<bool>" in line and "-h " not in line]


def test_a_full_disk_is_a_plain_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("w") as target:
        ended = subprocess.run(
            [sys.executable, "-m", "diffagent_tools", "info"],
            stdout=target,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ended.returncode == 3
    assert ended.stderr.startswith("error: cannot write the answer (No space left on device)")
    assert "Traceback" not in ended.stderr


def test_standard_input_to_standard_output(selector: WordSelector) -> None:
    result = run("select", "--input", "-", given='{"prompt": "pixel art"}\n\xff\n'.encode("latin-1"))
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["id"], first["api"]["model id"]) == (1, 201)
    assert second["error"].startswith("line 2 is no JSON (not UTF-8")


def test_an_interrupted_output_is_gone_on_with(selector: WordSelector, tmp_path: Path) -> None:
    source, whole, part = tmp_path / "in.jsonl", tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    source.write_text("\n".join(REQUESTS), encoding="utf-8")
    run("select", "--input", str(source), "--output", str(whole))
    content = whole.read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for cut in (0, 10, ends[0], ends[1] - 1, ends[3] + 5, ends[5], len(content)):
        part.write_bytes(content[:cut])
        selector.asked.clear()
        result = run("select", "--input", str(source), "--output", str(part))
        assert result.exit_code == 1, "an error that was kept is one, too"
        assert "9 lines" in result.stderr
        assert "5 with an error" in result.stderr
        assert part.read_bytes() == content
        kept = sum(end <= cut for end in ends)
        assert ("are kept" in result.stderr) == (kept > 0)
        assert len(selector.asked) == sum("error" not in item for item in answers(whole)[kept:])


def test_another_file_is_not_overwritten(selector: WordSelector, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "notes.txt"
    source.write_text(REQUESTS[0])
    target.write_text("my notes\n")
    result = run("select", "--input", str(source), "--output", str(target))
    assert result.exit_code == 2
    assert "holds something else" in result.stderr
    assert target.read_text() == "my notes\n"


def test_what_follows_the_last_line_that_fits_is_written_anew(selector: WordSelector, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"prompt": "pixel art", "id": 1}\n{"prompt": "night", "id": 2}\n')
    run("select", "--input", str(source), "--output", str(target))
    source.write_text('{"prompt": "pixel art", "id": 1}\n{"prompt": "night", "id": 3}\n')
    run("select", "--input", str(source), "--output", str(target))
    assert [item["id"] for item in answers(target)] == [1, 3]


def test_a_missing_input_is_bad_usage(selector: WordSelector, tmp_path: Path) -> None:
    result = run("select", "--input", str(tmp_path / "none.jsonl"))
    assert result.exit_code == 2
    assert "cannot read" in result.stderr


SLOW = """
import time
from collections.abc import Iterator
from small_world import WordSelector, small_catalogue
from diffagent_tools import cli
from diffagent_tools.cli import select as select_command

class Slow(WordSelector):
    def select(self, *args, **filters):
        time.sleep({delay})
        return super().select(*args, **filters)

select_command.make_selector = lambda *options: Slow(small_catalogue())
cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
def test_ctrl_c_leaves_an_output_that_can_be_gone_on_with(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(f'{{"prompt": "pixel art {i}", "id": "{i}"}}\n' for i in range(40)))
    options = ["select", "--input", str(source), "--output", str(target)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])}

    def start(delay: float) -> "subprocess.Popen[str]":
        code = SLOW.format(delay=delay)
        return subprocess.Popen(
            [sys.executable, "-c", code, *options],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            # a shell starts what it puts in the background with Ctrl-C ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    running = start(0.2)
    patience = time.monotonic() + 60
    while not (target.exists() and target.stat().st_size) and time.monotonic() < patience:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "the same command goes on after it" in said
    assert "Traceback" not in said
    assert 0 < len(answers(target)) < 40
    again = start(0)
    _, said = again.communicate(timeout=60)
    assert again.returncode == 0
    assert [item["id"] for item in answers(target)] == [str(i) for i in range(40)]


def test_read_lines_numbers_what_has_no_id() -> None:
    lines = list(read_lines([b'{"prompt": "a"}\n', b"\n", b'{"prompt": "b", "id": null}']))
    assert [line.id for line in lines] == [1, 3]


@pytest.mark.parametrize(
    ("written", "code", "status"),
    [
        ("Free Pixels", 0, "valid"),
        ("free-pixels", 0, "alias"),
        ("Free Pixls", 1, "invented"),
        ("Lost Landscapes", 1, "unavailable"),
        (
            '{"model": "Free Pixels", "type": "Checkpoint", "base model": "SD 1.5", "width": 513}',
            1,
            "bad parameters",
        ),
        ('{"model": "Free Pixels", "type": "Checkpoint", "base model": "SDXL 1.0"}', 1, "wrong family"),
    ],
)
def test_check_gives_verdict_and_repair(written: str, code: int, status: str, small: str) -> None:
    result = run("check", written, "--catalogue", small, "--json")
    assert result.exit_code == code, result.stderr
    found = json.loads(result.stdout)
    assert found["status"] == status
    assert found["repair"]["api"]["model"] in {record.model for record in CATALOGUE}
    shown = run("check", written, "--catalogue", small)
    assert shown.exit_code == code
    assert f"verdict: {status}" in shown.stdout


def test_a_workflow_with_a_prompt_that_cannot_be_read_is_no_success(small: str, tmp_path: Path) -> None:
    text: dict[str, Any] = {"class_type": "CLIPTextEncode", "inputs": {"text": "a mill", "clip": ["4", 1]}}
    ways = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}
    numbers = {"steps": 25, "cfg": 6, "sampler_name": "euler", "scheduler": "normal"}
    graph: dict[str, Any] = {
        "3": {"class_type": "KSampler", "inputs": {**numbers, **ways}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "SD XL.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 1024, "height": 1024}},
        "6": text,
        "7": text,
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
    }
    file = tmp_path / "workflow.json"
    for told, code in (("a mill", 0), (["10", 0], 1)):
        graph["6"] = {**text, "inputs": {**text["inputs"], "text": told}}
        graph["10"] = {"class_type": "OllamaGenerate", "inputs": {"seed": 1}}
        file.write_text(json.dumps(graph), encoding="utf-8")
        result = run("check", str(file), "--json", "--catalogue", small)
        assert result.exit_code == code, result.stdout
        assert bool(json.loads(result.stdout).get("unread")) == bool(code)


def test_check_reads_files_and_standard_input(small: str, tmp_path: Path) -> None:
    path = tmp_path / "api.json"
    path.write_text('```json\n{"model": "Free Pixels", "type": "Checkpoint", "base model": "SD 1.5"}\n```')
    for result in (
        run("check", str(path), "--catalogue", small, "--json"),
        run("check", "--catalogue", small, "--json", given=path.read_text()),
        run("check", "-", "--catalogue", small, "--json", given=path.read_text()),
    ):
        assert result.exit_code == 0
        assert json.loads(result.stdout)["model"] == "Free Pixels"


@pytest.mark.parametrize("written", ["", "  ", '{"no": "name"}', "[1, {", "{" * 200_000])
def test_what_is_no_api_is_bad_input(written: str, small: str) -> None:
    result = run("check", "--catalogue", small, given=written)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert len(result.stderr) < 500


def test_evaluate_is_handed_on(tmp_path: Path) -> None:
    shown = run("evaluate", "--help")
    assert shown.exit_code == 0
    assert "--pairs" in shown.stdout
    assert run("evaluate").exit_code == 2
    missing = run("evaluate", "--pairs", str(tmp_path / "none.jsonl"), "--mode", "retrieval")
    assert missing.exit_code == 2
    assert missing.stderr.startswith("error: ")


def test_info_says_where_the_caches_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    assert "not made yet" in run("info").stdout
    (tmp_path / "home" / "index").mkdir(parents=True)
    (tmp_path / "home" / "index" / "x").write_bytes(b"1" * 2_500_000)
    facts = json.loads(run("info", "--json").stdout)
    assert facts["cache index"] == "2 MB"
    assert str(tmp_path / "home") in facts["cache"]
    assert "torch 2" in facts["packages"]
    assert "968 models (SD 1.5, SDXL 1.0, " in facts["catalogue"]
    assert "SmolLM2-135M-Instruct, not fetched yet" in facts["base model"]


def test_info_is_told_in_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    told = run("info").stdout
    assert "models that can be named: the starter catalogue: 968 models" in told
    assert "for the page: " in told
    assert "digest" not in told
    rows = in_plain_words([("extra scorers", "torchvision not installed"), ("extra new", "x 1.0")])
    assert rows == [
        ("to score pictures", "not installed; pip install 'diffagent-tools[scorers]'"),
        ("extra new", "installed"),
    ]


def test_nothing_moves_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    with waiting("choosing"):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_real_process_answers_and_fails_plainly(small: str) -> None:
    found = process("check", "--catalogue", small, given="Free Pixels\n", PYTHONIOENCODING="ascii")
    assert (found.returncode, found.stderr) == (0, "")
    assert "model: " not in found.stdout.split("verdict", 1)[0]
    wrong = process("select", "a corgi", "--base-model", "SD 9")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: found the base model 'SD 9'")
    assert "Traceback" not in wrong.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe of a POSIX shell")
def test_a_reader_that_leaves_early_is_no_fault(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "pixel art"}\n' * 400)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])}
    with subprocess.Popen(
        [sys.executable, "-c", SLOW.format(delay=0), "select", "--input", str(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert json.loads(running.stdout.readline())["id"] == 1
        running.stdout.close()
        said = running.stderr.read()
        assert running.wait(timeout=60) == 0
    assert b"Error" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe of a POSIX shell")
@pytest.mark.parametrize("arguments", [["--help"], ["info"], ["info", "--json"]])
def test_a_reader_that_has_left_before_the_help_is_no_fault(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        code = "from diffagent_tools.cli.command import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_completion_is_offered() -> None:
    result = process("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert result.returncode == 0
    assert "_COMPLETE=complete_bash" in result.stdout


def commands(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


def test_every_command_has_an_example_that_calls_it() -> None:
    from typer.main import get_command

    found = dict(commands(get_command(cli.app)))
    # these two list the options of a script of their own; the packaged catalogue is built once a release
    without = {("evaluate",), ("gallery",), ("dabench", "starter")}
    for words, command in found.items():
        if words not in without:
            assert f"Example: diffagent {' '.join(words)}" in (command.help or ""), words

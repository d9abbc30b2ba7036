"""The tests of `diffagent catalogue`."""

import json
from pathlib import Path
from typing import Any

import pytest
from installed_world import version_of
from replay_server import ReplayServer
from small_world import small_catalogue
from typer.testing import CliRunner, Result

from diffagent_tools.cli import command as cli
from retrieval.catalogue import Catalogue


@pytest.fixture(autouse=True)
def keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIVITAI_API_KEY", raising=False)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["catalogue", *map(str, arguments)])


def model_of(number: int, **changes: Any) -> dict[str, Any]:
    version = version_of(number, number * 10, baseModel="Illustrious", trainedWords=["harbour light"])
    known = {"id": number, "name": f"Harbour {number}", "type": "Checkpoint", "nsfw": False}
    known |= {"description": "<p>Harbours in evening light</p>", "tags": ["harbour"], "nsfwLevel": 1}
    return {**known, "modelVersions": [version], **changes}


def listed(number: int) -> dict[str, Any]:
    meta = {"id": 1, "size": "832x1216", "pp": "a harbour, rope", "np": "blurry", "steps": 28}
    return {
        "modelId": number,
        "modelName": f"Harbour {number}",
        "versionId": number * 10,
        "versionName": "v1",
        "files": ["harbour.safetensors"],
        "hashes": [],
        "metas": [{**meta, "sampler": "Euler a", "cfg": 5}],
    }


@pytest.mark.parametrize(
    "source",
    [
        "https://civitai.com/models/7/harbour?modelVersionId=70",
        "https://civitai.com/api/download/models/70",
        "urn:air:sdxl:checkpoint:civitai:7@70",
        "7",
        "@70",
    ],
)
def test_a_model_by_any_pointer(source: str, tmp_path: Path) -> None:
    target = tmp_path / "models.jsonl"
    with ReplayServer([model_of(7)]) as server:
        done = run("add", source, "--to", target, "--url", server.url)
    assert done.exit_code == 0, done.output
    (record,) = Catalogue.load(target)
    assert (record.model_id, record.base_model, record.tags) == (7, "Illustrious", ("harbour",))
    assert record.description
    assert record.versions[0].trigger_words == ("harbour light",)
    assert "1 models" in done.stderr


def test_what_the_catalogue_holds_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "models.jsonl"
    small_catalogue().save(target)
    with ReplayServer([model_of(201, name="Pixel Art Helper", type="LORA")]) as server:
        assert run("add", "201", "--to", target, "--url", server.url).exit_code == 0
    found = Catalogue.load(target)
    assert len(found) == len(small_catalogue())
    assert found.get(201).settings == small_catalogue().get(201).settings
    assert [version.version_id for version in found.get(201).versions] == [2010, 2011]


def test_a_list_becomes_a_catalogue_with_facts_from_civitai(tmp_path: Path) -> None:
    source, target = tmp_path / "checkpoints.json", tmp_path / "models.jsonl"
    source.write_text(json.dumps([listed(7), listed(8), listed(9)]))
    with ReplayServer([model_of(7), model_of(8, nsfw=True)]) as server:
        done = run("add", source, "--to", target, "--online", "--url", server.url)
    assert done.exit_code == 0, done.output
    found = Catalogue.load(target)
    assert found.model_ids == (7, 8)
    record = found.get(7)
    assert (record.base_model, record.browsing_level, record.samples) == ("Illustrious", 1, 1)
    assert record.settings is not None
    assert (record.settings.sampling_steps, record.settings.width) == (28, 832)
    assert record.terms["harbour"] == 1.0
    assert found.get(8).nsfw is True
    assert "left out (1)" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if "answers" in path.name] == []


def test_without_civitai_a_list_says_what_it_lacks(tmp_path: Path) -> None:
    source = tmp_path / "checkpoints.json"
    source.write_text(json.dumps([listed(7)]))
    done = run("add", source, "--to", tmp_path / "models.jsonl")
    assert "--online asks Civitai" in done.stderr


def test_a_folder_of_sidecars_and_a_catalogue_are_added(tmp_path: Path) -> None:
    folder, target = tmp_path / "loras", tmp_path / "models.jsonl.gz"
    folder.mkdir()
    (folder / "ink.civitai.info").write_text(json.dumps(version_of(501, 5011)))
    small_catalogue().save(tmp_path / "small.jsonl")
    assert run("add", folder, tmp_path / "small.jsonl", "--to", target).exit_code == 0
    found = Catalogue.load(target)
    assert len(found) == len(small_catalogue()) + 1
    assert found.get(501).available


def test_merge(tmp_path: Path) -> None:
    small_catalogue().save(tmp_path / "a.jsonl")
    other = small_catalogue().get(201).model_copy(update={"tags": ("sprites",)})
    Catalogue([other]).save(tmp_path / "b.jsonl")
    parts = (tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert run("merge", *parts, "--to", tmp_path / "c.jsonl").exit_code == 0
    assert Catalogue.load(tmp_path / "c.jsonl").get(201).tags == ("sprites",)


def test_refresh(tmp_path: Path) -> None:
    target = tmp_path / "models.jsonl"
    with ReplayServer([model_of(7)]) as server:
        run("add", "7", "--to", target, "--url", server.url)
        server.models[0] = model_of(7, mode="Archived")
        done = run("refresh", target, "--url", server.url)
    assert done.exit_code == 0, done.output
    assert "1 changed" in done.stderr
    assert "1 gone" in done.stderr
    assert not Catalogue.load(target).get(7).available


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "no such thing", "--to", "x.jsonl"), "no file, no address"),
        (("merge", "none.jsonl", "--to", "x.jsonl"), "cannot read the catalogue"),
        (("refresh", "none.jsonl"), "cannot read the catalogue"),
    ],
)
def test_bad_input_is_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_model_that_civitai_does_not_have(tmp_path: Path) -> None:
    with ReplayServer([]) as server:
        done = run("add", "7", "--to", tmp_path / "x.jsonl", "--url", server.url)
    assert done.exit_code == 2
    assert "has no model" in done.stderr

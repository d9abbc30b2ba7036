"""The tests of `finetune.civitai.lists`."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from installed_world import version_of

from finetune.civitai.lists import files_of_model, read_source
from retrieval.errors import DataError, InvalidInput


def listed(model_id: int, version_id: int, **changes: Any) -> dict[str, Any]:
    """A version as shinich39's list has it, made up."""
    return {
        "modelId": model_id,
        "modelName": "Harbour XL",
        "versionId": version_id,
        "versionName": "Turbo",
        "updatedAt": 1701815535105,
        "files": ["harbourXL_turbo.safetensors"],
        "hashes": ["AB" * 32],
        "metas": [
            {
                "id": 9,
                "size": "1216x832",
                "pp": "a harbour at dawn <lora:rope:0.8>",
                "np": "blurry",
                "seed": 3,
                "steps": 8,
                "sampler": "DPM++ SDE Karras",
                "denoise": "0.52",
                "cfg": 2,
            }
        ],
        "workflows": ["{}"],
        **changes,
    }


def model_of(*versions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": 501, "name": "Ink Wash", "type": "LORA", "modelVersions": list(versions), **changes}


@pytest.mark.parametrize("packed", [True, False])
def test_a_list_of_versions(packed: bool, tmp_path: Path) -> None:
    content = json.dumps([listed(71, 711), listed(71, 712), {"modelId": 3}, "no object"]).encode()
    path = tmp_path / ("checkpoints.json.gz" if packed else "checkpoints.json")
    path.write_bytes(gzip.compress(content) if packed else content)
    first, second = read_source(path)
    assert (first.told.model_id, first.told.version_id, second.told.version_id) == (71, 711, 712)
    assert (first.kind, first.base_model, first.guessed) == ("Checkpoint", "SDXL 1.0", True)
    assert (first.name, first.sha256) == ("harbourXL_turbo.safetensors", "AB" * 32)
    (sample,) = first.told.samples
    assert (sample.prompt, sample.negative_prompt) == ("a harbour at dawn", "blurry")
    assert (sample.size, sample.steps, sample.cfg_scale) == ((1216, 832), 8, 2)
    assert sample.sampler == "DPM++ SDE Karras"


def test_the_sister_list_is_of_loras(tmp_path: Path) -> None:
    path = tmp_path / "loras.json"
    path.write_text(json.dumps([listed(5, 51, modelName="Rope")]))
    assert read_source(path)[0].kind == "LORA"


def test_names_that_say_no_family_leave_it_open(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.json"
    path.write_text(json.dumps([listed(5, 51, modelName="Harbour", files=["harbour.safetensors"])]))
    assert read_source(path)[0].base_model is None


def test_a_folder_of_sidecars(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "ink.civitai.info").write_text(json.dumps(version_of(501, 5011)))
    (tmp_path / "broken.civitai.info").write_text("{")
    (file,) = read_source(tmp_path)
    assert (file.told.model_id, file.kind, file.base_model, file.path) == (501, "LORA", "SD 1.5", None)
    assert file.name == "ink.safetensors"


def test_saved_objects(tmp_path: Path) -> None:
    path = tmp_path / "models.jsonl"
    path.write_text(json.dumps(model_of(version_of(501, 5012), version_of(501, 5011))))
    assert [file.told.version_id for file in read_source(path)] == [5012, 5011]


def test_versions_of_no_known_family_are_passed_over() -> None:
    video = version_of(501, 5013, baseModel="Wan Video 14B t2v")
    assert [each.told.version_id for each in files_of_model(model_of(video, version_of(501, 5011)))] == [5011]
    (alone,) = files_of_model(model_of(video))
    assert not alone.is_usable


def test_early_access_and_what_was_withdrawn_are_told() -> None:
    early = version_of(501, 5012, earlyAccessEndsAt="2999-01-01T00:00:00Z")
    over = version_of(501, 5011, earlyAccessEndsAt="2001-01-01T00:00:00Z")
    first, second = files_of_model(model_of(early, over))
    assert (first.told.early, second.told.early) == ("early access until 2999-01-01", None)
    (file,) = files_of_model(model_of(over, mode="Archived"))
    assert file.told.withdrawn == "Archived on Civitai"


@pytest.mark.parametrize("content", ["", "[]", "{}", '[{"a": 1}]', "no json", "[" * 90_000])
def test_what_is_no_list(content: str, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(content)
    with pytest.raises(DataError, match="tells of no model"):
        read_source(path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file or folder"):
        read_source(tmp_path / "none.json")

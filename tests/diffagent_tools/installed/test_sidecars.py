"""The tests of `diffagent_tools.installed.sidecars`."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from installed_world import beside as write_beside
from installed_world import installed_world, version_of

from diffagent_tools.installed.facts import Told
from diffagent_tools.installed.sidecars import ENDINGS, beside, read_sidecars, told_by_version


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_world(tmp_path_factory.mktemp("models")) / "loras"


def told(path: Path) -> Told:
    return read_sidecars(path, beside(path.stem, {each.name for each in path.parent.iterdir()}))


def test_civitai_helper(loras: Path) -> None:
    found = told(loras / "styles" / "ink.safetensors")
    assert (found.model_id, found.version_id, found.model) == (501, 5011, "Ink Wash")
    assert found.trigger_words == ("inkwash style",)
    assert (found.nsfw, found.poi, found.version_level) == (False, False, 1)


def test_lora_manager_goes_before_its_copy_of_the_page(loras: Path) -> None:
    found = told(loras / "glow.safetensors")
    assert (found.model_id, found.base_model, found.weight) == (502, "Illustrious", 0.6)
    assert (found.tags, found.sha256) == (("style",), ("CD" * 32,))
    assert found.trigger_words == ("neon glow",)


def test_stability_matrix(loras: Path) -> None:
    found = told(loras / "tiles.safetensors")
    assert (found.model_id, found.version_id, found.model) == (503, 5031, "Mosaic Tiles")
    assert found.trigger_words == ("mosaic tiles",)
    assert found.text == "<p>Mosaics of small tiles</p>"


def test_swarmui(loras: Path) -> None:
    found = told(loras / "brush.safetensors")
    assert (found.model, found.trigger_words) == ("Dry Brush", ("drybrush",))


def test_a_users_notes_and_a_preview(loras: Path) -> None:
    found = told(loras / "retro.safetensors")
    assert (found.trigger_words, found.weight, found.base_model) == (("retro poster",), 0.55, None)
    (sample,) = found.samples
    assert sample.prompt.startswith("a rocket, retro poster")
    assert (sample.sampler, sample.steps, sample.cfg_scale, sample.size) == ("Euler a", 24, 6.0, (512, 768))
    assert (sample.clip_skip, sample.lora_weight, sample.checkpoint) == (2, 0.9, "sd15")


def test_what_a_user_noted_goes_before_the_page(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_beside(path, ".civitai.info", version_of(1, 2))
    write_beside(path, ".json", {"activation text": "my words"})
    assert told(path).trigger_words == ("my words",)
    assert told(path).model_id == 1


def test_of_ratings_the_stricter_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_beside(path, ".civitai.info", version_of(1, 2))
    write_beside(path, ".cm-info.json", {"ModelId": 1, "ModelName": "A", "VersionId": 2, "Nsfw": True})
    assert told(path).nsfw is True


def test_samples_are_those_of_the_version_and_pictures_of_pictures_are_none() -> None:
    meta = {"prompt": "a fox", "sampler": "Euler a", "steps": 20, "cfgScale": 7, "Size": "512x512"}
    images = [{"id": 1, "meta": meta}, {"id": 2, "meta": {**meta, "Denoising strength": 0.5}}, {"id": 3}]
    assert [each.prompt for each in told_by_version(version_of(1, 2, images=images)).samples] == ["a fox"]


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", '"text"', "\ufeff{}", "[" * 100_000])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_sidecar_that_cannot_be_read_says_nothing(content: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.with_name(f"a{ending}").write_text(content, encoding="utf-8")
    assert told(path) == Told()


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.lists(st.text(max_size=4))
NAMES = (
    *("id", "modelId", "name", "baseModel", "trainedWords", "files", "images", "model", "civitai", "tags"),
    *("sha256", "usage_tips", "ModelId", "ModelName", "VersionId", "Tags", "Hashes", "Nsfw", "TrainedWords"),
    *("preferred weight", "activation text", "description", "modelspec.tags"),
)
KEYS = st.sampled_from(NAMES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES, max_size=4)), st.sampled_from(ENDINGS))
def test_whatever_others_write_is_read(tmp_path: Path, written: dict[str, Any], ending: str) -> None:
    path = tmp_path / "a.safetensors"
    path.with_name(f"a{ending}").write_text(json.dumps(written), encoding="utf-8")
    assert isinstance(read_sidecars(path, {f"a{ending}"}), Told)

"""Each rule drops what it is for and says what it found; safety comes first."""

from typing import Any

import pytest
from dabench_world import file_of, image_of, meta_of, model_of, version_of

from diffagent_tools.formats.generation import read_generation
from finetune.dabench.config import read_config
from finetune.dabench.image_rules import IMAGE_RULES, Sample
from finetune.dabench.model_rules import MODEL_RULES, VERSION_RULES, Dropped, Limits, first_drop
from retrieval.errors import InvalidInput
from retrieval.records.civitai import images_of, read_model
from retrieval.tables.families import family_of

LIMITS = Limits(read_config(), "2023-07-04T08:00:00.000Z")
OPEN = Limits(read_config(nsfw=True, real_people=True), LIMITS.as_of)


def dropped_model(limits: Limits = LIMITS, **changes: Any) -> Dropped | None:
    raw = model_of(1, "Calm Sea", "LORA", [version_of(11, "sea")])
    model = read_model({**raw, **changes})
    assert model is not None
    return first_drop(model, MODEL_RULES, limits)


def dropped_version(limits: Limits = LIMITS, **changes: Any) -> Dropped | None:
    images = changes.pop("images", [])
    model = read_model(model_of(1, "Calm Sea", "LORA", [version_of(11, "sea", images, **changes)]))
    assert model is not None
    return first_drop(model.versions[0], VERSION_RULES, limits)


def dropped_image(
    meta: object, limits: Limits = LIMITS, base: str = "SD 1.5", **changes: Any
) -> Dropped | None:
    raw = model_of(1, "M", "LORA", [version_of(11, "sea", [image_of(5, meta=meta, **changes)])])
    image = next(images_of(raw))
    sample = Sample(image, read_generation(image.meta), family_of(base), "LORA")
    return first_drop(sample, IMAGE_RULES, limits)


def test_what_is_fit_stays() -> None:
    assert dropped_model() is None
    # one explicit image somewhere among many: its version and the image are judged on their own
    assert dropped_model(nsfwLevel=31) is None
    assert dropped_model(nsfwLevel=0) is None
    assert dropped_version() is None
    assert dropped_image(meta_of("a quiet harbour at dawn")) is None


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"minor": True}, "model concerns minors"),
        ({"minor": True, "nsfw": True, "type": "VAE"}, "model concerns minors"),
        ({"name": "Schoolgirl style"}, "model concerns minors"),
        ({"tags": ["sea", "toddler"]}, "model concerns minors"),
        ({"poi": True}, "model is a real person"),
        ({"name": "Tom Cruise"}, "model is a real person"),
        ({"nsfw": True}, "model is nsfw"),
        ({"nsfw": "X"}, "model is nsfw"),
        ({"nsfwLevel": 28}, "model is nsfw"),
        ({"name": "Sexy Sea"}, "model is nsfw"),
        ({"tags": ["hentai"]}, "model is nsfw"),
        ({"type": "LoCon"}, "model is another type"),
        ({"type": None}, "model is another type"),
        ({"mode": "Archived"}, "model is withdrawn"),
        ({"mode": "TakenDown"}, "model is withdrawn"),
        ({"availability": "Private"}, "model is withdrawn"),
        ({"modelVersions": []}, "model has no versions"),
        ({"modelVersions": None}, "model has no versions"),
        ({"stats": {"downloadCount": 3, "ratingCount": 9, "rating": 5}}, "model has few downloads"),
        ({"stats": None}, "model has few downloads"),
        ({"stats": {"downloadCount": 900, "ratingCount": 0}}, "model has few votes"),
        ({"stats": {"downloadCount": 900, "ratingCount": 9, "rating": 2}}, "model is voted down"),
        ({"stats": {"downloadCount": 900, "thumbsUpCount": 1, "thumbsDownCount": 9}}, "model is voted down"),
    ],
)
def test_models_are_dropped_by_the_rule_for_it(changes: dict[str, Any], rule: str) -> None:
    found = dropped_model(**changes)
    assert found is not None
    assert found.rule == rule
    assert found.found


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"trainedWords": ["loli"]}, "version concerns minors"),
        ({"nsfwLevel": 8}, "version is nsfw"),
        ({"nsfwLevel": 1 | 16}, "version is nsfw"),
        ({"images": [image_of(1), image_of(2, nsfw="X")]}, "version is nsfw"),
        ({"trainedWords": ["nude"]}, "version is nsfw"),
        ({"baseModel": "Pony"}, "version is of another family"),
        ({"baseModel": "Other"}, "version is of another family"),
        ({"baseModel": None}, "version is of another family"),
        ({"baseModelType": "Inpainting"}, "version is no plain base"),
        ({"status": "Draft"}, "version is unpublished"),
        ({"usageControl": "Generation"}, "version is unpublished"),
        ({"availability": "EarlyAccess"}, "version is in early access"),
        ({"earlyAccessEndsAt": "2023-08-01T00:00:00Z"}, "version is in early access"),
        ({"earlyAccessTimeFrame": 90}, "version is in early access"),
        ({"files": []}, "version has no usable file"),
        ({"files": [file_of("a", downloadUrl=None)]}, "version has no usable file"),
        ({"files": [file_of("a", virusScanResult="Danger")]}, "version has no usable file"),
        ({"files": [file_of("a", metadata={"format": "PickleTensor"})]}, "version has no usable file"),
        ({"files": [file_of("a", type="VAE")]}, "version has no usable file"),
    ],
)
def test_versions_are_dropped_by_the_rule_for_it(changes: dict[str, Any], rule: str) -> None:
    found = dropped_version(**changes)
    assert found is not None
    assert found.rule == rule


def test_early_access_that_has_ended_is_none() -> None:
    assert dropped_version(earlyAccessTimeFrame=5) is None
    assert dropped_version(earlyAccessEndsAt="2023-06-01T00:00:00Z") is None


@pytest.mark.parametrize(
    ("changes", "rule", "found"),
    [
        ({"meta": None}, "image has no metadata", "no metadata"),
        ({"minor": True}, "image concerns minors", "flagged minor"),
        ({"meta": meta_of("portrait of a child")}, "image concerns minors", "in its prompt"),
        ({"poi": True}, "image is of a real person", "flagged poi"),
        ({"nsfw": "Soft"}, "image is nsfw", "browsing level 2"),
        ({"nsfw": None, "nsfwLevel": 0}, "image is nsfw", "not rated"),
        ({"meta": meta_of("<lora:ink:1> , ")}, "image has no prompt", "no prompt"),
        ({"meta": meta_of("sea " * 50_000)}, "prompt is too long", "200,000 characters"),
        ({"meta": meta_of("a naked tree")}, "prompt is nsfw", "in its prompt"),
        ({"meta": meta_of("sea", **{"Denoising strength": 0.4})}, "image is from an image", None),
        ({"meta": meta_of("sea", sampler=None)}, "sampler is unknown", "no sampler"),
        ({"meta": meta_of("sea", sampler="Magic 9")}, "sampler is unknown", "sampler 'Magic 9'"),
        ({"meta": meta_of("sea", steps=40_000)}, "steps are unusable", "40,000 steps"),
        ({"meta": meta_of("sea", steps=0)}, "steps are unusable", "0 steps"),
        ({"meta": meta_of("sea", cfgScale=None)}, "cfg scale is unusable", "no cfg scale"),
        ({"meta": meta_of("sea", cfgScale=900)}, "cfg scale is unusable", "cfg scale 900"),
        ({"meta": meta_of("sea", Size="0x0")}, "size is unusable", "size 0x0"),
        ({"meta": meta_of("sea", Size="513x768")}, "size is unusable", "size 513x768"),
        ({"meta": meta_of("sea", Size="2048x2048")}, "size is unusable", "size 2048x2048"),
        ({"meta": meta_of("sea", Size=None)}, "size is unusable", "no size"),
        ({"meta": meta_of("sea", **{"Clip skip": "99"})}, "clip skip is unusable", "clip skip 99"),
    ],
)
def test_images_are_dropped_by_the_rule_for_it(changes: dict[str, Any], rule: str, found: str | None) -> None:
    changes = dict(changes)
    meta = changes.pop("meta", meta_of("a quiet harbour"))
    drop = dropped_image(meta, **changes)
    assert drop is not None
    assert drop.rule == rule
    assert found in (None, drop.found)


def test_a_negative_prompt_may_say_what_shall_not_be_seen() -> None:
    assert dropped_image(meta_of("a harbour", negativePrompt="nude, child")) is None


def test_switches_open_everything_but_what_concerns_minors() -> None:
    assert dropped_model(OPEN, nsfw=True, poi=True) is None
    assert dropped_version(OPEN, nsfwLevel=31) is None
    assert dropped_image(meta_of("a naked tree"), OPEN, nsfw="X", poi=True) is None
    for found in (
        dropped_model(OPEN, minor=True),
        dropped_model(OPEN, tags=["loli"]),
        dropped_version(OPEN, trainedWords=["shota"]),
        dropped_image(meta_of("a teenager by the sea"), OPEN),
        dropped_image(meta_of("sea"), OPEN, minor=True),
    ):
        assert found is not None
        assert "minors" in found.rule


def test_the_configuration_names_its_faults(tmp_path: Any) -> None:
    assert read_config(families=["sdxl", "Pony"]).families == ("SDXL 1.0", "Pony")
    for text, said in (
        ("min_download: 3", "min_download"),
        ("min_downloads: many", "type int"),
        ("families: [SD 9]", "SD 9"),
        ("families: []", "at least one"),
        ("types: [VAE]", "VAE"),
        ("- a list", "no mapping"),
        ("train: 0", "above 0"),
        ("a: [", "YAML"),
    ):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        with pytest.raises(InvalidInput, match=said):
            read_config(path)

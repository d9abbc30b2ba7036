"""The whole build on a made-up world: what comes out, what is said of the rest, and what reads it."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from dabench_world import (
    changed,
    file_of,
    image_of,
    meta_of,
    model_of,
    prompt_of,
    sha256_of,
    store_of,
    version_of,
    world,
)
from describing_chat import chat
from typer.testing import CliRunner

from diffagent_tools.cli.command import app
from finetune.dabench.build import build, read_set_report
from finetune.dabench.config import read_config
from finetune.dabench.stats import stats_text
from finetune.data.pairs import parameters_of, read_pairs
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidInput
from retrieval.records.api import read_api

PARTS = ("train", "align", "val")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dabench")
    build(store_of(folder / "raw", world()), folder / "set", read_config(packaged_checkpoints=False))
    return folder / "set"


def drops_of(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in gzip.decompress((folder / "drops.jsonl.gz").read_bytes()).splitlines()
    ]


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def built_from(folder: Path, models: list[Any], images: list[Any] = []) -> dict[str, Any]:  # noqa: B006
    raw = store_of(folder / "raw", models, images)
    return build(raw, folder / "set", read_config(packaged_checkpoints=False))


def level(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in report["funnel"] if found["level"] == name)


def test_one_set_for_each_architecture(built: Path) -> None:
    report = read_set_report(built)
    assert {name: numbers["pairs"] for name, numbers in report["sets"].items()} == {"sd1": 40, "sdxl": 12}
    assert level(report, "images") == {"level": "images", "read": 52, "dropped": {}, "kept": 52}
    assert len(Catalogue.load(built / "catalogue.jsonl")) == 3


def test_datasets_loads_both_divisions(built: Path, tmp_path: Path) -> None:
    import datasets

    default = datasets.load_dataset(str(built / "sd1"), cache_dir=str(tmp_path))
    assert list(default) == list(PARTS)
    assert [len(default[part]) for part in PARTS] == [32, 4, 4]
    row = default["train"][0]
    assert list(row) == ["id", "instruction", "response", "facts"]
    assert list(row["instruction"]) == ["prompt", "negative prompt"]
    reading = read_api(row["response"])
    assert not reading.guesses
    assert json.loads(reading.api.paper_json()) == row["response"]
    # two models are too few to hold any out
    unseen = datasets.load_dataset(str(built / "sd1"), "unseen_models", cache_dir=str(tmp_path))
    assert {part: len(rows) for part, rows in unseen.items()} == {"train": 40}


def test_models_of_the_harder_evaluation_are_never_seen(tmp_path: Path) -> None:
    models = world()
    for number in range(40, 60):
        images = [image_of(number * 100 + place, prompt_of(number * 10 + place)) for place in range(4)]
        models.append(
            model_of(number, f"Look {number}", "LORA", [version_of(number * 10, f"look{number}", images)])
        )
    report = built_from(tmp_path, models)
    parts = report["sets"]["sd1"]["splits"]["unseen_models"]
    assert all(parts[part]["models"] > 0 for part in PARTS)
    assert sum(parts[part]["models"] for part in PARTS) == 22
    unseen = Catalogue.load(tmp_path / "set" / "sd1" / "catalogue_unseen_models.jsonl")
    default = Catalogue.load(tmp_path / "set" / "sd1" / "catalogue.jsonl")
    untold = [record for record in unseen if not record.terms]
    assert len(untold) == parts["align"]["models"] + parts["val"]["models"]
    assert all(record.settings is None and record.samples == 0 for record in untold)
    assert {record.model_id for record in unseen} == {record.model_id for record in default}


def test_trainer_and_evaluation_read_the_pairs(built: Path) -> None:
    catalogue = Catalogue.load(built / "sd1" / "catalogue.jsonl")
    for part in PARTS:
        path = built / "sd1" / f"pairs_{part}.jsonl.gz"
        read = read_pairs(path)
        assert len(read) > 0
        assert all(pair["model_id"] in catalogue for pair in read)
        assert set(parameters_of(read[0])) == {
            "sampling_method",
            "sampling_steps",
            "cfg_scale",
            "width",
            "height",
        }


def test_a_loras_pair_has_its_weight_and_base_checkpoint_and_no_tag(built: Path) -> None:
    rows = read_pairs(built / "sd1" / "pairs_train.jsonl.gz")
    ink = [row for row in rows if row["type"] == "LORA"]
    assert ink
    for row in ink:
        assert "<" not in row["prompt"]
        assert row["base_checkpoint"] == {"model_id": 10, "version_id": 101, "model": "Oil Paint"}
        assert 0.6 <= row["lora_weight"] <= 0.8
    settings = Catalogue.load(built / "sd1" / "catalogue.jsonl").get(20).settings
    assert settings is not None
    assert settings.base_checkpoint is not None
    assert settings.base_checkpoint.model_id == 10
    assert (settings.sampling_method, settings.width, settings.height) == ("DPM++ 2M Karras", 512, 768)


def test_what_is_not_of_sd_15_has_no_clip_skip(built: Path) -> None:
    rows = read_pairs(built / "sdxl" / "pairs_train.jsonl.gz")
    assert {(row["clip_skip"], row["width"], row["base_checkpoint"]) for row in rows} == {(None, 1024, None)}


def test_the_card_says_whose_it_is_and_what_was_left_out(built: Path) -> None:
    card = (built / "sd1" / "README.md").read_text()
    assert card.startswith("---\npretty_name: DABench for SD 1.5\nlicense: other\n")
    for said in (
        "path: data/train.parquet",
        "config_name: unseen_models",
        "states no licence",
        "| images | 52 |",
    ):
        assert said in card
    assert "None" not in card.partition("Thresholds")[0]


def test_evaluation_is_unknown_to_the_catalogues(tmp_path: Path) -> None:
    models = world()
    prompts = [image["meta"]["prompt"] for image in models[0]["modelVersions"][0]["images"]]
    marks = [f"markofimage{number}" for number in range(len(prompts))]
    for image, mark in zip(models[0]["modelVersions"][0]["images"], marks, strict=True):
        image["meta"]["prompt"] += f", {mark}"
    built_from(tmp_path, models)
    held = read_pairs(tmp_path / "set" / "sd1" / "pairs_val.jsonl.gz")
    said = (tmp_path / "set" / "sd1" / "catalogue.jsonl").read_text()
    seen = [mark for row in held for mark in marks if row["prompt"].endswith(f" {mark}")]
    assert seen
    assert not any(f'"{mark}"' in said for mark in seen)


def test_the_same_input_gives_the_same_bytes_and_a_stopped_build_goes_on(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, output = store_of(tmp_path / "raw", world()), tmp_path / "set"
    config = read_config(packaged_checkpoints=False)
    from finetune.dabench import build as dabench

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(dabench, "write_set", stop)
        with pytest.raises(KeyboardInterrupt):
            build(raw, output, config)
    with pytest.raises(InvalidInput, match="not finished"):
        read_set_report(output)
    build(raw, output, config)
    assert files_of(output) == files_of(built)
    build(raw, output, read_config(packaged_checkpoints=False, families=["SD 1.5"]))
    assert not (output / "sdxl" / "README.md").exists()
    assert files_of(output) != files_of(built)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="holds no set"):
        built_from(tmp_path, world())
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["mine.txt"]


def test_bad_input_is_counted_by_its_rule_and_nothing_is_lost(tmp_path: Path) -> None:
    good, own = world(), {"Model hash": sha256_of("odd")[:10]}
    bad_images = [
        image_of(1, meta=None),
        image_of(2, meta=meta_of("sea", Size="0x0")),
        image_of(3, meta=meta_of("sea", steps=40_000)),
        image_of(4, meta=meta_of("sea", sampler="Nobody's")),
        image_of(5, meta=meta_of("sea " * 50_000)),
        image_of(6, meta=7),
        "no image",
        image_of(7, meta={"sampler": "Euler a"}),
        image_of(8, meta=meta_of("a tower", **{"Model hash": sha256_of("oil")[:10]})),
        image_of(9, meta={"meta": meta_of("a tower in a nest", **own)}),
        image_of(10, meta=meta_of("a tower in a nest", seed=5, **own)),
        image_of(10, meta=meta_of("another tower")),
        image_of(11, type="video"),
        image_of(12, url="https://a.page/12.MP4?width=450"),
    ]
    bad_models = [
        model_of(
            90, "Odd", "Checkpoint", [version_of(901, "odd", bad_images), version_of(902, "x", files=[]), "x"]
        ),
        model_of(91, "Bare", "LORA", []),
        changed(good[0]),
        {"id": 92},
        model_of(93, "Gone", "LORA", [version_of(931, "gone", [image_of(50)], baseModel="Other")]),
    ]
    report = built_from(tmp_path, [*good, *bad_models])
    models, versions, images = (level(report, name) for name in ("models", "versions", "images"))
    assert models["dropped"] == {
        "model has no version left": 1,
        "model has no versions": 1,
        "model is listed twice": 1,
        "record is no model with a number and a name": 1,
    }
    assert versions["dropped"] == {
        "version has no usable file": 1,
        "version is no object with a number": 1,
        "version is of another family": 1,
    }
    assert images["dropped"] == {
        "image has no metadata": 3,
        "image has no prompt": 1,
        "image is listed twice": 1,
        "image is a video": 2,
        "image is made by another checkpoint": 1,
        "image is of a dropped model or version": 1,
        "pair is there already": 1,
        "prompt is too long": 1,
        "sampler is unknown": 1,
        "size is unusable": 1,
        "steps are unusable": 1,
    }
    for found in report["funnel"]:
        assert found["read"] == found["kept"] + sum(found["dropped"].values())
    told = drops_of(tmp_path / "set")
    assert len(told) == sum(sum(found["dropped"].values()) for found in report["funnel"])
    assert {
        "level": "images",
        "rule": "size is unusable",
        "found": "size 0x0",
        "version": 901,
        "image": 2,
    } in told
    # the account never repeats a prompt
    assert not any("tower" in json.dumps(line) for line in told)


def test_images_of_their_own_are_read_and_loras_without_a_known_base_are_dropped(tmp_path: Path) -> None:
    models = world()
    sha = sha256_of("pruned")
    models[0]["modelVersions"][0]["files"].append(
        file_of("pruned", metadata={"format": "PickleTensor"}, hashes={"SHA256": sha})
    )
    asked = {"collectedFor": {"modelId": 20, "modelVersionId": 201}}
    images = [
        image_of(7_001, "a mill by a brook", **asked),
        image_of(7_002, meta=meta_of("a mill at night", **{"Model hash": "F" * 10}), **asked),
        image_of(7_003, meta=meta_of("a mill at noon", **{"Model hash": None}), **asked),
        image_of(7_004, meta=meta_of("a mill in snow", **{"Model hash": sha}), **asked),
        {**image_of(7_005), "collectedFor": {"modelVersionId": 999}},
        image_of(2_000, "listed inside as well", **asked),
    ]
    images[5]["meta"] = None
    report = built_from(tmp_path, models, images)
    assert level(report, "images")["dropped"] == {
        "base checkpoint has no hash": 1,
        "base checkpoint is unknown": 1,
        "image has no metadata": 1,
        "image is of no version that is there": 1,
    }
    assert report["sets"]["sd1"]["pairs"] == 42


def test_base_checkpoints_must_be_fit_themselves(tmp_path: Path) -> None:
    models = world()
    models[0]["poi"] = True
    report = built_from(tmp_path, models)
    assert level(report, "models")["dropped"] == {"model is a real person": 1}
    assert level(report, "images")["dropped"] == {
        "base checkpoint is dropped itself": 16,
        "image is of a dropped model or version": 24,
    }
    models[0]["poi"], models[0]["modelVersions"][0]["baseModel"] = False, "SDXL 1.0"
    again = built_from(tmp_path / "other", models)
    assert level(again, "images")["dropped"]["base checkpoint is of another architecture"] == 16


def test_nothing_left_is_an_error_that_leaves_the_account(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pair is left of 24 images"):
        built_from(tmp_path, [changed(world()[0], nsfw=True)])
    report = read_set_report(tmp_path / "set")
    assert level(report, "models")["dropped"] == {"model is nsfw": 1}
    assert "model is nsfw" in stats_text(report)


def test_a_chat_model_describes_once_and_is_paid_only_when_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Soft landscapes of quiet places, painted with a broad brush."
    model = chat(said)
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda name: model)
    raw, output = store_of(tmp_path / "raw", world()), tmp_path / "set"
    config = tmp_path / "mine.yaml"
    config.write_text("packaged_checkpoints: false\n")
    arguments = ["dabench", "build", "--input", str(raw), "--output", str(output), "--config", str(config)]
    arguments += ["--chat-model", "scripted:1"]
    refused = CliRunner().invoke(app, arguments, input="n\n")
    assert refused.exit_code != 0
    assert "2 calls of the chat model" in refused.output
    assert model.asked == []
    done = CliRunner().invoke(app, [*arguments, "--yes"])
    assert done.exit_code == 0, done.output
    asked = model.asked
    assert len(asked) == 3
    assert "answers not taken" not in done.output
    # a set that is built anew pays for nothing twice
    assert CliRunner().invoke(app, [*arguments, "--yes"]).exit_code == 0
    assert model.asked == asked
    assert said in {record.description for record in Catalogue.load(output / "catalogue.jsonl")}


def test_the_commands_build_and_show_a_set(tmp_path: Path) -> None:
    raw, output = store_of(tmp_path / "raw", world()), tmp_path / "set"
    config = tmp_path / "mine.yaml"
    config.write_text("packaged_checkpoints: false\n")
    arguments = ["dabench", "build", "--input", str(raw), "--output", str(output), "--config", str(config)]
    done = CliRunner().invoke(app, [*arguments, "--base-model", "sd1.5"])
    assert done.exit_code == 0, done.output
    assert "sd1: 40 pairs in 2 models" in done.output
    shown = CliRunner().invoke(app, ["dabench", "stats", str(output)])
    assert shown.exit_code == 0, shown.output
    assert "version is of another family" in shown.output
    assert (output / "funnel.png").read_bytes().startswith(b"\x89PNG")
    assert CliRunner().invoke(app, ["dabench", "stats", str(tmp_path)]).exit_code == 2
    assert (
        CliRunner().invoke(app, ["dabench", "build", "--input", "no", "--output", str(output)]).exit_code == 2
    )

"""The tests of `diffagent_tools.installed.records`."""

from pathlib import Path
from typing import Any

import pytest
from small_world import small_catalogue

from diffagent_tools.installed.facts import FoundFile, Sample, Told
from diffagent_tools.installed.records import (
    NO_CHECKPOINT,
    caption_triggers,
    installed_records,
    local_id,
    ordinary_words,
)
from retrieval.catalogue import Catalogue
from retrieval.records.border import MAX_NAME_CHARS
from retrieval.records.model import LOCAL_IDS, ModelRecord, VersionRecord

BASE = FoundFile(root="/m", name="base.safetensors", path="/m/base", kind="Checkpoint", base_model="SD 1.5")
NOTHING = Catalogue([])


def lora(name: str = "a.safetensors", **changes: Any) -> FoundFile:
    return FoundFile(
        **{
            "root": "/m",
            "name": name,
            "path": f"/m/{name}",
            "kind": "LORA",
            "base_model": "SD 1.5",
            **changes,
        }
    )


def records_of(*files: FoundFile, catalogue: Catalogue = NOTHING) -> dict[str, ModelRecord]:
    made = installed_records(files, catalogue, frozenset({"dog", "solo"}))
    return {record.model: record for record in made.records}


def test_a_file_that_nobody_knows_has_a_number_of_this_machine_and_no_page() -> None:
    record = records_of(BASE, lora())["a"]
    assert LOCAL_IDS <= record.model_id < 2**53
    assert (record.page_url, record.air(), record.browsing_level) == ("", None, None)
    assert record.rating == "not rated"


def test_a_name_of_a_page_of_any_length_is_cut() -> None:
    assert "n" * MAX_NAME_CHARS in records_of(BASE, lora(told=Told(model="n" * 20_000)))


def test_its_number_stays_when_the_folder_moves() -> None:
    assert local_id(lora()) == local_id(lora(root="/n", path="/n/a.safetensors"))
    assert local_id(lora()) != local_id(lora("b.safetensors"))


def test_captions_make_triggers_of_what_is_no_everyday_word() -> None:
    tags = {"pixelcorgi": 1.0, "dog": 0.95, "solo": 0.9, "asuka hair": 0.6, "rare": 0.2}
    assert caption_triggers(tags, {"dog", "solo", "hair"}) == ("pixelcorgi", "asuka hair")


def test_what_is_said_goes_before_captions() -> None:
    record = records_of(BASE, lora(tags={"pixelcorgi": 1.0}, told=Told(trigger_words=("corgi style",))))["a"]
    assert record.trigger_words == ("corgi style",)


@pytest.mark.parametrize("where", ["tags", "told", "name"])
def test_a_lora_whose_own_words_are_explicit_is_rated_by_them(where: str) -> None:
    file = {
        "tags": lora(tags={"nude": 0.9, "studio": 1.0}),
        "told": lora(told=Told(trigger_words=("hentai",))),
        "name": lora("hentai_a.safetensors"),
    }[where]
    (record,) = [each for each in records_of(BASE, file).values() if each.type == "LORA"]
    assert record.browsing_level == 16
    assert not record.may_be_offered()
    assert not {"nude", "hentai"} & set(record.trigger_words)


def test_a_lora_of_minors_is_never_offered() -> None:
    record = records_of(BASE, lora(tags={"loli": 0.9}))["a"]
    assert record.shows_a_person


def test_a_rating_beside_the_file_is_taken_where_it_is_stricter() -> None:
    catalogue = small_catalogue()
    told = Told(model_id=201, version_id=2011, nsfw=True)
    assert records_of(BASE, lora(told=told), catalogue=catalogue)["Pixel Art Helper"].nsfw is True
    told = Told(model_id=201, version_id=2011, nsfw=False)
    assert records_of(BASE, lora(told=told), catalogue=catalogue)["Pixel Art Helper"].nsfw is False


def test_a_model_that_the_catalogue_knows_is_that_model_in_the_version_that_is_there() -> None:
    catalogue = small_catalogue()
    record = records_of(BASE, lora(told=Told(version_id=2011)), catalogue=catalogue)["Pixel Art Helper"]
    known = catalogue.get(201)
    assert (record.model_id, record.description) == (201, known.description)
    (version,) = record.versions
    assert (version.version_id, version.path, version.file_names) == (
        2011,
        "/m/a.safetensors",
        ("a.safetensors",),
    )


def test_content_tells_a_model_whatever_the_file_is_called() -> None:
    digest = "AB" * 32
    version = VersionRecord(version_id=9, version="v1", base_model="SD 1.5", sha256=(digest,))
    known = ModelRecord(model_id=5, model="Ink", type="LORA", base_model="SD 1.5", versions=(version,))
    catalogue = Catalogue([known])
    assert records_of(BASE, lora("x.safetensors", sha256=digest), catalogue=catalogue)["Ink"].model_id == 5
    # a checkpoint with the hash of a LoRA is not that LoRA
    other = BASE.model_copy(update={"sha256": digest})
    assert "Ink" not in records_of(other, catalogue=catalogue)


def test_two_versions_are_one_model_and_two_families_two() -> None:
    told = {"model_id": 7, "model": "Ink"}
    files = (
        lora("a.safetensors", told=Told(version_id=71, **told)),
        lora("b.safetensors", told=Told(version_id=72, **told)),
        lora("c.safetensors", told=Told(version_id=73, **told), base_model="SDXL 1.0"),
    )
    made = installed_records((BASE, *files), NOTHING, frozenset()).records
    inks = [record for record in made if record.model == "Ink"]
    assert [(len(record.versions), record.base_model) for record in inks] == [(2, "SD 1.5"), (1, "SDXL 1.0")]
    assert len({record.model_id for record in inks}) == 2


def test_a_lora_is_bound_to_a_checkpoint_that_is_there() -> None:
    other = BASE.model_copy(update={"name": "aaa.safetensors", "path": "/m/aaa"})
    sample = Sample(prompt="a fox", checkpoint="base.ckpt")
    assert sample.checkpoint
    named = lora(told=Told(samples=(Sample(prompt="a fox", checkpoint="base"),)))
    for file, expected in ((lora(), {"aaa", "base"}), (named, {"base"})):
        settings = records_of(other, BASE, file)["a"].settings
        assert settings is not None
        assert settings.base_checkpoint is not None
        assert settings.base_checkpoint.model in expected


def test_the_catalogues_recommendation_is_dropped_where_it_is_not_there() -> None:
    record = records_of(BASE, lora(told=Told(version_id=2011)), catalogue=small_catalogue())[
        "Pixel Art Helper"
    ]
    assert record.settings is not None
    assert record.settings.base_checkpoint is not None
    assert record.settings.base_checkpoint.model == "base"


def test_shapes_of_weights_do_where_the_family_has_no_checkpoint() -> None:
    xl = BASE.model_copy(update={"base_model": "SDXL 1.0"})
    assert records_of(xl, lora(base_model="Pony"))["a"].available
    assert not records_of(BASE, lora(base_model="Pony"))["a"].available


def test_without_a_checkpoint_a_lora_cannot_be_had() -> None:
    record = records_of(lora())["a"]
    assert (record.available, record.status) == (False, NO_CHECKPOINT)


def test_what_cannot_be_chosen_is_left_with_the_reason() -> None:
    files = [
        lora("bad.safetensors", fault="cut off"),
        FoundFile(root="/m", name="vae.safetensors", kind="VAE"),
        lora("odd.safetensors", base_model=None, told=Told(base_model="Wan Video")),
        lora(),
        lora(root="/n", path="/n/a.safetensors"),
    ]
    made = installed_records(files, NOTHING, frozenset())
    said = {file.path or file.name: reason for file, reason in made.left}
    assert said["/m/bad.safetensors"] == "cut off"
    assert "VAE" in said["vae.safetensors"]
    assert "Wan Video" in said["/m/odd.safetensors"]
    assert "another folder" in said["/n/a.safetensors"]
    assert len(made.records) == 1


def test_the_users_weight_goes_before_that_of_samples() -> None:
    samples = (Sample(prompt="a fox", sampler="Euler a", steps=20, cfg_scale=5, lora_weight=1.0),)
    settings = records_of(BASE, lora(told=Told(samples=samples, weight=0.4)))["a"].settings
    assert settings is not None
    assert (settings.lora_weight, settings.sampling_method, settings.cfg_scale) == (0.4, "Euler a", 5)


def test_everyday_words_are_those_of_many_models() -> None:
    known = [
        ModelRecord(
            model_id=n, model=f"m{n}", type="LORA", base_model="SD 1.5", terms={"solo": 1, f"w{n}": 1}
        )
        for n in range(1, 9)
    ]
    assert ordinary_words(known) == {"solo"}


def test_paths_are_written_and_read(tmp_path: Path) -> None:
    records = list(records_of(BASE, lora()).values())
    Catalogue(records).save(tmp_path / "c.jsonl")
    assert list(Catalogue.load(tmp_path / "c.jsonl")) == records

"""The tests of `finetune.civitai.refresh`, against a server that pages as Civitai's API does."""

import json
from pathlib import Path
from typing import Any

import pytest
from installed_world import version_of
from replay_server import ReplayServer

from diffagent_tools.cli.models.catalogue import facts_alone
from finetune.civitai import refresh as module
from finetune.civitai.client import Civitai, Exhausted
from finetune.civitai.refresh import DELETED, Refreshed, refresh
from retrieval.catalogue import Catalogue
from retrieval.errors import ServiceError
from retrieval.records.model import LOCAL_IDS, ModelRecord, Settings, Stats, VersionRecord


def model_of(number: int, **changes: Any) -> dict[str, Any]:
    versions = [version_of(number, number * 10, baseModel="SDXL 1.0", images=[])]
    stats = {"downloadCount": 900}
    known = {"id": number, "name": f"Model {number}", "type": "LORA", "nsfw": False, "stats": stats}
    return {**known, "modelVersions": versions, **changes}


def record_of(number: int, **changes: Any) -> ModelRecord:
    version = VersionRecord(version_id=number * 10, version="v2", base_model="SDXL 1.0")
    known: dict[str, Any] = {"model_id": number, "model": f"Model {number}", "type": "LORA"}
    known |= {"base_model": "SDXL 1.0", "versions": (version,), "terms": {"ink": 0.5}, "description": "Ink."}
    return ModelRecord(**{**known, **changes})


def saved(path: Path, *records: ModelRecord) -> Path:
    Catalogue(records).save(path)
    return path


def refreshed(path: Path, server: ReplayServer) -> Refreshed:
    patient = {"rate": 10_000, "attempts": 3, "first_pause": 0.001}
    with Civitai(server.url, **patient, sleep=lambda seconds: None) as civitai:  # type: ignore[arg-type]
        return refresh(path, civitai, facts_alone)


def test_counts_and_new_versions_come_and_the_rest_stays(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", record_of(1, stats=Stats(downloads=5, comments=2)))
    newer = [version_of(1, 11, baseModel="SDXL 1.0"), version_of(1, 10, baseModel="SDXL 1.0")]
    with ReplayServer([model_of(1, modelVersions=newer)]) as server:
        told = refreshed(path, server)
    assert told == Refreshed(asked=1, changed=1, versions=1, gone=0)
    found = Catalogue.load(path).get(1)
    assert [version.version_id for version in found.versions] == [11, 10]
    assert found.stats == Stats(downloads=900, comments=2)
    assert (found.description, found.terms) == ("Ink.", {"ink": 0.5})


def test_only_a_clear_answer_says_that_a_model_is_gone(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", record_of(1), record_of(2), record_of(3))
    with ReplayServer([model_of(1), model_of(3)]) as server:
        # the listing hides the third, and asked for by itself it is there
        server._listed = lambda name, query: [server.models[0]]  # type: ignore[method-assign]
        told = refreshed(path, server)
    catalogue = Catalogue.load(path)
    assert (told.gone, catalogue.get(2).available, catalogue.get(2).status) == (1, False, DELETED)
    assert catalogue.get(2).terms == {"ink": 0.5}
    assert catalogue.get(1).available
    assert catalogue.get(3).available


@pytest.mark.parametrize("mode", ["TakenDown", "Archived"])
def test_what_was_withdrawn_is_marked(mode: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", record_of(1))
    with ReplayServer([model_of(1, mode=mode)]) as server:
        refreshed(path, server)
    found = Catalogue.load(path).get(1)
    assert (found.available, found.status) == (False, f"{mode} on Civitai")


def test_early_access_is_a_version_that_cannot_be_had_yet(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", record_of(1))
    early = version_of(1, 11, baseModel="SDXL 1.0", earlyAccessEndsAt="2999-01-01T00:00:00Z")
    versions = [early, version_of(1, 10, baseModel="SDXL 1.0")]
    with ReplayServer([model_of(1, modelVersions=versions)]) as server:
        refreshed(path, server)
    found = Catalogue.load(path).get(1)
    assert [version.available for version in found.versions] == [False, True]
    assert found.default_version is not None
    assert found.default_version.version_id == 10


def test_files_of_this_machine_are_not_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", record_of(LOCAL_IDS + 1))
    with ReplayServer([]) as server:
        assert refreshed(path, server).asked == 0
        assert server.calls == []


def test_an_answer_without_versions_overwrites_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", record_of(1))
    with ReplayServer([model_of(1, modelVersions=[], stats=None)]) as server:
        assert refreshed(path, server).changed == 0
    assert Catalogue.load(path).get(1) == record_of(1)


def test_faults_that_pass_do_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    path = saved(tmp_path / "c.jsonl", *map(record_of, range(1, 21)))
    with ReplayServer([model_of(number) for number in range(1, 21)], faults=True) as server:
        assert refreshed(path, server).changed == 20


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 1)
    path = saved(tmp_path / "c.jsonl", *map(record_of, range(1, 6)))
    with ReplayServer([model_of(number) for number in range(1, 6)]) as server:
        real = server.fault
        server.fault = lambda number: "503" if number > 2 else real(number)  # type: ignore[method-assign]
        with pytest.raises(Exhausted):
            refreshed(path, server)
        journal = path.with_name("c.jsonl.refresh")
        assert json.loads(journal.read_text()) == [1, 2]
        assert [Catalogue.load(path).get(number).stats.downloads for number in (1, 2, 3)] == [900, 900, None]
        server.fault = real  # type: ignore[method-assign]
        before = len(server.calls)
        assert refreshed(path, server).asked == 3
        assert len(server.calls) - before == 3
        assert not journal.exists()
    assert all(record.stats.downloads == 900 for record in Catalogue.load(path))


def test_a_service_that_knows_nothing_at_all_is_not_believed(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", *map(record_of, range(1, 12)))
    with ReplayServer([]) as server, pytest.raises(ServiceError, match="none of 11 models"):
        refreshed(path, server)
    assert all(record.available for record in Catalogue.load(path))


def picture(number: int, **meta: Any) -> dict[str, Any]:
    made = {"prompt": "a mill", "sampler": "Euler a", "steps": 28, "cfgScale": 5, "Size": "832x1216"}
    return {"id": number, "url": f"https://a.page/{number}", "meta": {**made, **meta}}


def sampled(path: Path, images: dict[int, list[Any]], *models: dict[str, Any]) -> tuple[Refreshed, int]:
    with ReplayServer(list(models), images) as server:
        patient = {"rate": 10_000, "attempts": 3, "first_pause": 0.001}
        with Civitai(server.url, **patient, sleep=lambda seconds: None) as civitai:  # type: ignore[arg-type]
            told = refresh(path, civitai, facts_alone, samples=True)
        return told, sum(call.path.endswith("/images") for call in server.calls)


def test_settings_come_from_new_samples_when_they_are_asked_for(tmp_path: Path) -> None:
    old = Settings(sampling_method="DDIM", sampling_steps=50, cfg_scale=9.0, clip_skip=2, samples=1)
    path = saved(tmp_path / "c.jsonl", record_of(1, settings=old), record_of(2, settings=None))
    images = {10: [picture(n) for n in range(4)], 20: [picture(9 + n, steps=12) for n in range(3)]}
    told, asked = sampled(path, images, model_of(1), model_of(2))
    assert (told.sampled, asked) == (2, 2)
    first, second = (Catalogue.load(path).get(number).settings for number in (1, 2))
    assert first is not None
    assert (first.sampling_method, first.sampling_steps, first.cfg_scale, first.samples) == (
        *("Euler a", 28, 5.0),
        4,
    )
    assert (first.width, first.height, first.clip_skip) == (832, 1216, 2)  # what no picture says stays
    assert second is not None
    assert second.sampling_steps == 12
    assert Catalogue.load(path).get(1).terms == {"ink": 0.5}


@pytest.mark.parametrize(
    "images",
    [
        {},
        {10: []},
        {10: [picture(1)]},
        {10: [{"id": n, "meta": None} for n in range(9)]},
        {10: [5, None, "x"]},
    ],
    ids=["none", "empty", "too few", "without data", "no objects"],
)
def test_an_answer_without_samples_overwrites_no_settings(
    images: dict[int, list[Any]], tmp_path: Path
) -> None:
    old = Settings(sampling_method="DDIM", sampling_steps=50, samples=1)
    path = saved(tmp_path / "c.jsonl", record_of(1, settings=old))
    told, _ = sampled(path, images, model_of(1))
    assert told.sampled == 0
    assert Catalogue.load(path).get(1).settings == old


def test_without_being_asked_for_samples_cost_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", record_of(1))
    with ReplayServer([model_of(1)], {10: [picture(n) for n in range(9)]}) as server:
        refreshed(path, server)
        assert not any(call.path.endswith("/images") for call in server.calls)
    assert Catalogue.load(path).get(1).settings is None

"""Collecting: the same store whatever the service does, and whenever the collector is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from collect_world import collect, contents, query, world
from replay_server import ReplayServer
from typer.testing import CliRunner

from diffagent_tools.cli.command import app
from diffagent_tools.cli.progress import Meter, duration
from finetune.civitai.client import Civitai, Exhausted
from finetune.civitai.collect import EMPTY_PAGES, Collector, Query
from finetune.civitai.saved import collect_saved, describe_source
from finetune.civitai.store import FILE, RawStore, read_images, read_models, read_report
from retrieval.errors import InvalidInput, ServiceError

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("DIFFAGENT_DATA", ROOT.parent / "shared" / "data"))
KILLS = 20


@pytest.fixture(scope="module")
def served() -> tuple[list[Any], dict[int, list[Any]]]:
    return world()


@pytest.fixture(scope="module")
def faultless(
    served: tuple[list[Any], dict[int, list[Any]]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("faultless") / "raw"
    with ReplayServer(*served) as server:
        assert not collect(server.url, path)
    return path


def test_models_of_the_wanted_kinds_and_images_with_metadata_are_kept(
    faultless: Path, served: tuple[list[Any], dict[int, list[Any]]]
) -> None:
    models, images, dropped, notes, finished = contents(faultless)
    assert finished
    assert not notes
    wanted = {"SD 1.5", "SDXL 1.0"}
    assert {model["id"] for model in models} == {
        model["id"]
        for model in served[0]
        if isinstance(model, dict) and "id" in model
        if wanted & {version["baseModel"] for version in model["modelVersions"]}
    }
    assert all(model in served[0] for model in models)
    assert all(image["meta"]["prompt"].startswith("é") for image in images)
    per_model: dict[int, int] = {}
    for image in images:
        place = image.pop("collectedFor")
        assert image in served[1][place["modelVersionId"]]
        per_model[place["modelId"]] = per_model.get(place["modelId"], 0) + 1
    assert max(per_model.values()) == 12
    # one for each of the four listings that met them
    assert dropped["model that is no object"] == 4
    assert dropped["model without an id"] >= 1
    assert dropped["model listed twice"] >= 1
    assert dropped["image that is no object"] == dropped["image without an id"] == 1
    assert dropped["image without generation metadata"] > 50


def test_every_query_parameter_is_kept_on_every_page(
    served: tuple[list[Any], dict[int, list[Any]]], tmp_path: Path
) -> None:
    with ReplayServer(*served) as server:
        collect(server.url, tmp_path / "raw", limit_models=9)
    pages = [call.query for call in server.calls]
    assert sum("cursor" in page for page in pages) >= 3
    images = [page for page in pages if "modelVersionId" in page]
    assert all(page["withMeta"] == "true" and page["nsfw"] == "None" for page in images)
    assert all({"types", "baseModels", "sort", "nsfw"} <= page.keys() for page in pages if page not in images)


def test_faults_change_nothing(
    served: tuple[list[Any], dict[int, list[Any]]], faultless: Path, tmp_path: Path
) -> None:
    with ReplayServer(*served, faults=True) as server:
        faults = collect(server.url, tmp_path / "raw")
    assert contents(tmp_path / "raw") == contents(faultless)
    assert set(faults) == {
        "status 429",
        "status 503",
        "status 403, a web page instead of JSON",
        "RemoteProtocolError",
        "no answer in time",
    }


def test_killed_at_twenty_moments_it_ends_with_the_same_store(
    served: tuple[list[Any], dict[int, list[Any]]], faultless: Path, tmp_path: Path
) -> None:
    moments = random.Random(4)
    path = tmp_path / "raw"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    killed = 0
    with ReplayServer(*served, faults=True) as server:
        command = [
            sys.executable,
            str(ROOT / "tests" / "support" / "collect_world.py"),
            server.url,
            str(path),
        ]
        while killed < KILLS:
            process = subprocess.Popen(command, env=environment)
            # counted in requests, so that the kills lie all over the work and not in the start-up
            goal = len(server.calls) + moments.randint(1, 3)
            while len(server.calls) < goal and process.poll() is None:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.006))
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        assert not (path / FILE).exists() or not read_report(path).finished
        subprocess.run(command, env=environment, check=True)
    assert contents(path) == contents(faultless)


def test_a_limit_is_shared_between_the_listings(
    served: tuple[list[Any], dict[int, list[Any]]], tmp_path: Path
) -> None:
    with ReplayServer(*served) as server:
        collect(server.url, tmp_path / "raw", limit_models=8, images_per_model=0)
    models = list(read_models(tmp_path / "raw"))
    assert len(models) == 8
    assert sum(model["type"] == "LORA" for model in models) == 4
    assert not list(read_images(tmp_path / "raw"))


def test_what_one_listing_lacks_another_gives(
    served: tuple[list[Any], dict[int, list[Any]]], tmp_path: Path
) -> None:
    models = [model for model in served[0] if isinstance(model, dict) and "id" in model]
    few = [model for model in models if model["type"] == "LORA"]
    with ReplayServer(few, served[1]) as server:
        collect(server.url, tmp_path / "raw", limit_models=8, images_per_model=0)
    assert read_report(tmp_path / "raw").counts["models"] == 8


def test_a_changed_query_is_refused_with_both(tmp_path: Path) -> None:
    with ReplayServer([]) as server:
        collect(server.url, tmp_path / "raw", types=("LORA",))
        with pytest.raises(InvalidInput, match=r'"LORA"\].*"LORA", "Checkpoint"\]'):
            collect(server.url, tmp_path / "raw")


def test_a_finished_store_asks_for_nothing(faultless: Path) -> None:
    held = read_report(faultless).query
    asked = Query(**{**held, "types": tuple(held["types"]), "base_models": tuple(held["base_models"])})
    before = contents(faultless)
    with (
        Civitai("http://127.0.0.1:1", attempts=1) as civitai,
        RawStore.open(faultless, asked.to_wire()) as store,
    ):
        Collector(civitai, store, asked).run()
    assert contents(faultless) == before


class Stubborn(ReplayServer):
    """Never answers for some versions, and knows nothing of others."""

    def answer(self, call: Any) -> tuple[int, dict[str, Any]]:
        """As usual but for these."""
        version = call.query.get("modelVersionId")
        if version == "21":
            return 500, {"error": "broken"}
        if version == "22":
            return 404, {"error": "gone"}
        return super().answer(call)


def test_a_version_that_never_answers_is_passed_over_and_named(
    served: tuple[list[Any], dict[int, list[Any]]], tmp_path: Path
) -> None:
    with Stubborn(*served) as server:
        collect(server.url, tmp_path / "raw")
    found = read_report(tmp_path / "raw")
    assert found.finished
    assert found.notes == ["the images of version 21 did not come, or not all of them"]
    assert found.dropped["version that the API no longer knows"] == 1


def test_a_service_that_is_down_ends_it_and_it_goes_on_later(
    served: tuple[list[Any], dict[int, list[Any]]], faultless: Path, tmp_path: Path
) -> None:
    class Down(ReplayServer):
        down = False

        def answer(self, call: Any) -> tuple[int, dict[str, Any]]:
            self.down = self.down or "modelVersionId" in call.query
            return (502, {}) if self.down and not up else super().answer(call)

    up = False
    with Down(*served) as server:
        with pytest.raises(Exhausted, match="goes on where it stopped"):
            collect(server.url, tmp_path / "raw")
        assert not read_report(tmp_path / "raw").finished
        up = True
        collect(server.url, tmp_path / "raw")
    assert contents(tmp_path / "raw") == contents(faultless)


def test_a_listing_that_never_ends_is_left(tmp_path: Path) -> None:
    class Endless(ReplayServer):
        def answer(self, call: Any) -> tuple[int, dict[str, Any]]:
            return 200, {"items": [], "metadata": {"nextCursor": len(self.calls)}}

    with Endless([]) as server:
        collect(server.url, tmp_path / "raw", types=("LORA",), base_models=("Pony",))
    assert len(server.calls) == EMPTY_PAGES
    assert sum(read_report(tmp_path / "raw").dropped.values()) == 1


def test_a_refused_query_ends_it_at_once(tmp_path: Path) -> None:
    class Refusing(ReplayServer):
        def answer(self, call: Any) -> tuple[int, dict[str, Any]]:
            return 400, {"error": "no such sort"}

    with Refusing([]) as server, pytest.raises(ServiceError, match="no such sort"):
        collect(server.url, tmp_path / "raw")
    assert len(server.calls) == 1


def test_the_saved_objects_served_as_an_api_come_out_as_they_are(tmp_path: Path) -> None:
    saved = DATA / "civitai_api_models.jsonl.gz"
    if not saved.is_file():
        pytest.skip(f"no saved API objects in {DATA}; name their folder in DIFFAGENT_DATA")
    with RawStore.open(tmp_path / "saved", describe_source(saved)) as store:
        collect_saved(saved, store)
    models = list(read_models(tmp_path / "saved"))
    assert len(models) == 460
    stores = []
    for faults in (False, True):
        with ReplayServer(models, faults=faults) as server:
            asked = {"base_models": ("SD 1.5",), "limit_models": 60, "images_per_model": 5, "nsfw": "X"}
            collect(server.url, tmp_path / f"raw{faults}", **asked)
        stores.append(contents(tmp_path / f"raw{faults}"))
    assert stores[0] == stores[1]
    collected, images, *_ = stores[0]
    assert len(collected) == 60
    assert all(model in models for model in collected)
    assert len(images) > 30


def test_the_command_copies_saved_objects_and_reports_what_it_left(tmp_path: Path) -> None:
    saved = tmp_path / "saved.jsonl"
    saved.write_text('{"id": 1, "modelVersions": []}\n[]\n{"id": 2, "modelVersions": []}\n7\n')
    command = ["dabench", "collect", "--from", str(saved), "--output", str(tmp_path / "raw")]
    for _ in range(2):
        done = CliRunner().invoke(app, [*command, "--json"])
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert found["counts"] == {"models": 2, "images": 0}
        assert found["dropped"] == {"model that is no object": 1}
    assert CliRunner().invoke(app, [*command, "--types", "LORA"]).exit_code == 2
    assert "Repeat the first query" in CliRunner().invoke(app, [*command[:2], *command[4:]]).stderr


def test_the_command_collects_from_a_server(
    served: tuple[list[Any], dict[int, list[Any]]], tmp_path: Path
) -> None:
    options = ["--types", "lora", "--base-models", "sd 1.5", "--limit-models", "2", "--rate", "1000"]
    with ReplayServer(*served) as server:
        command = ["dabench", "collect", "--output", str(tmp_path / "raw"), "--url", server.url, *options]
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "models: 2" in done.stdout
    assert server.calls[0].query["baseModels"] == "SD 1.5"
    assert CliRunner().invoke(app, [*command, "--types", "VAE"]).exit_code == 2
    assert CliRunner().invoke(app, [*command, "--base-models", "SD 9"]).exit_code == 2


def test_progress_says_rate_and_remaining_time() -> None:
    meter = Meter(100, 0.0)
    assert meter.sentence("versions", 100, 9_800, 0.0) == "100 of 9,800 versions"
    assert meter.sentence("versions", 120, 9_800, 10.0) == "120 of 9,800 versions, 2.0 a second, 81 min left"
    assert meter.sentence("models", 101, None, 60.0) == "101 models, 1.0 a minute"
    assert [duration(seconds) for seconds in (45, 600, 11_100)] == ["45 s", "10 min", "3 h 05 min"]


def test_the_query_that_is_remembered_holds_all_that_was_asked() -> None:
    asked = query("http://127.0.0.1:1", limit_models=3)
    assert Query(**{**asked.to_wire(), "types": asked.types, "base_models": asked.base_models}) == asked

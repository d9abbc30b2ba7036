"""The A1111 and Forge extension, installed by the README's line, on a page of Gradio and a real server."""

from pathlib import Path

import gradio as gr
import pytest
from installing import install
from served import served
from small_world import WordSelector, small_catalogue
from webui_host import webui

from diffagent_tools.agents.operations import Operations
from diffagent_tools.formats.read import import_text

BASE = "sd15/v1-5-pruned-emaonly.safetensors"
CHECKPOINTS = {"freePixels, v1.safetensors": None, BASE: "6ce0161689"}


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("webui")
    (folder / "extensions").mkdir()
    install("a1111", WEBUI=folder)
    return folder / "extensions" / "sd-webui-diffagent"


@pytest.fixture
def loras(tmp_path: Path) -> Path:
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles" / "pixel_art_helper_v2.safetensors").touch()
    (tmp_path / "styles" / "preview.png").touch()
    return tmp_path


@pytest.mark.parametrize(("forge", "tab"), [(False, "txt2img"), (True, "txt2img"), (False, "img2img")])
def test_the_button_fills_in_what_is_here(
    extension: Path, loras: Path, url: str, forge: bool, tab: str
) -> None:
    with webui(extension, checkpoints=CHECKPOINTS, lora_dir=loras, forge=forge, tab=tab) as host:
        fields, report = host.filled("a corgi,\npixel art", negative="Steps: 99\nblurry", server=url)
        assert len(host.buttons()) == 2, "the small one beside the arrow, and the one among the options"
    assert fields["Prompt"] == "a corgi, pixel art <lora:pixel_art_helper_v2:0.8>"
    assert fields["Negative prompt"] == "Steps: 99 blurry"
    assert (fields["Sampler"], fields["Schedule type"], fields["Steps"]) == ("DPM++ 2M", "Karras", "25")
    assert (fields["CFG scale"], fields["Size-1"], fields["Size-2"]) == ("8", "512", "512")
    assert fields["checkpoint"] == BASE
    assert report.startswith("Pixel Art Helper: ")


def test_it_is_an_infotext_that_this_project_reads(extension: Path, loras: Path, url: str) -> None:
    with webui(extension, checkpoints=CHECKPOINTS, lora_dir=loras) as host:
        text, _ = host.buttons()[0].fn("a corgi, pixel art", "blurry", "", "PG", url)
    read = import_text(text, small_catalogue())
    assert read is not None
    assert (read.api.model, read.api.lora_weight, read.api.sampling_steps) == ("pixel_art_helper_v2", 0.8, 25)
    assert read.api.sampling_method == "DPM++ 2M Karras"


def test_what_comes_after_the_answer_is_the_programs_own(extension: Path, loras: Path) -> None:
    with webui(extension, checkpoints=CHECKPOINTS, lora_dir=loras) as host:
        for first in host.buttons():
            scripts = [fn.js for fn in host.after(first) if fn.fn is None]
            assert scripts == ["recalculate_prompts_txt2img", "switch_to_txt2img"]
            assert len(host.after(first)) == 3


def test_a_checkpoint_without_a_hash_goes_by_its_name_and_others_are_told(
    extension: Path, tmp_path: Path, url: str
) -> None:
    with webui(extension, checkpoints=CHECKPOINTS, lora_dir=tmp_path, old=True) as host:
        fields, report = host.filled("a corgi, pixel art", server=url)
    assert fields["checkpoint"] == "freePixels, v1.safetensors"
    assert "<lora:" not in fields["Prompt"]
    assert "Schedule type" not in fields
    assert "would fit better, but is not here: Pixel Art Helper (LORA for SD 1.5" in report


def test_before_1_9_the_schedule_is_in_the_samplers_name(extension: Path, loras: Path, url: str) -> None:
    with webui(extension, checkpoints=CHECKPOINTS, lora_dir=loras, old=True) as host:
        fields, _ = host.filled("a corgi, pixel art", server=url)
    assert fields["Sampler"] == "DPM++ 2M Karras"


def test_a_model_is_found_by_its_hash_and_text_is_shown_as_text(extension: Path, loras: Path) -> None:
    records = [record.model_copy(update={"model": f"<b>{record.model}"}) for record in small_catalogue()]
    digest = "0123456789" + "0" * 54
    for place, record in enumerate(records):
        versions = tuple(each.model_copy(update={"sha256": (digest,)}) for each in record.versions)
        if record.model_id == 202:
            records[place] = record.model_copy(update={"versions": versions})
    catalogue = type(small_catalogue())(records, name="hostile")
    made = Operations(catalogue, WordSelector(catalogue))
    with (
        served(lambda: made) as url,
        webui(extension, checkpoints={"mine.ckpt": "0123456789"}, lora_dir=loras) as host,
    ):
        fields, report = host.filled("blocky games", server=url)
    assert fields["checkpoint"] == "mine.ckpt"
    assert report.startswith("&lt;b&gt;Free Pixels: ")


def test_without_an_answer_nothing_is_filled_in_and_the_page_says_why(
    extension: Path, tmp_path: Path, url: str
) -> None:
    with webui(extension, checkpoints={"mine.safetensors": None}, lora_dir=tmp_path) as host:
        for options, said in (
            ({"server": url}, "is among the 1 checkpoints and 0 LoRAs here"),
            ({"server": url, "base_model": "Flux.1 D"}, "no model passes these filters"),
            ({"server": "http://127.0.0.1:9"}, "no DiffAgent server can be reached at http://127.0.0.1:9"),
            ({"server": "nonsense"}, "is no address of a DiffAgent server"),
        ):
            with pytest.raises(gr.Error, match=said):
                host.filled("pixel art", **options)

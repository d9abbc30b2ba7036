"""A rendering run and its sheet: records, infotexts, resuming, escaped text, with a plain renderer."""

import json
from pathlib import Path

import pytest
from PIL import Image
from plain_renderer import API, PlainRenderer

from diffagent_tools.formats.infotext import read_infotext
from diffagent_tools.render.run import baseline_of, jobs_of, run
from finetune.paper.gallery import read_pairs, sheet_html, sheet_png, write_gallery
from retrieval.errors import InvalidApi, InvalidInput


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    jobs = jobs_of(API.to_json(), baseline=True)
    run(PlainRenderer(), jobs, tmp_path / "run", seeds=[1, 2, 3])  # type: ignore[arg-type]
    return tmp_path / "run"


def test_the_baseline_has_the_papers_settings_and_the_size_and_request_of_the_api() -> None:
    base = baseline_of(API)
    assert (base.model_id, base.sampling_method, base.sampling_steps, base.cfg_scale) == (
        62437,
        "Euler a",
        20,
        7,
    )
    assert (base.width, base.height) == (64, 96)
    assert base.prompt == 'a <script>alert("corgi")</script>'


def test_the_lines_of_select_are_jobs() -> None:
    lines = [{"id": "a/b", "api": API.to_wire(), "ranked": []}, {"id": 2, "error": "empty", "ranked": []}]
    jobs = jobs_of("\n".join(json.dumps(line) for line in lines), baseline=True)
    assert [(job.id, job.role, job.stem(7)) for job in jobs] == [
        ("a/b", "answer", "a_b-answer-7"),
        ("a/b", "baseline", "a_b-baseline-7"),
    ]
    with pytest.raises(InvalidApi, match="every request failed"):
        jobs_of(json.dumps(lines[1]))
    with pytest.raises(InvalidApi):
        jobs_of("")


def test_a_picture_holds_its_infotext_and_has_a_record(filled: Path) -> None:
    record = json.loads((filled / "picture-answer-2.json").read_text(encoding="utf-8"))
    assert (record["seed"], record["role"], record["image"]) == (2, "answer", "picture-answer-2.png")
    with Image.open(filled / "picture-answer-2.png") as image:
        infotext = read_infotext(image.info["parameters"])
    assert infotext.settings["Seed"] == "2"
    assert (infotext.settings["Sampler"], infotext.settings["Schedule type"]) == ("DPM++ 2M", "Karras")
    assert infotext.settings["Model"] == "dream"


def test_a_run_goes_on_and_makes_anew_what_has_changed(filled: Path) -> None:
    (filled / "picture-baseline-3.json").unlink()
    again = PlainRenderer()
    jobs = jobs_of(API.to_json(), baseline=True)
    paths = run(again, jobs, filled, seeds=[1, 2, 3])  # type: ignore[arg-type]
    assert again.seeds == [3]
    assert len(paths) == 6
    other = jobs_of(API.model_copy(update={"cfg_scale": 6}).to_json())
    run(again, other, filled, seeds=[1])  # type: ignore[arg-type]
    assert again.seeds == [3, 1]


def test_the_sheet_has_the_baseline_left_and_shows_text_as_text(filled: Path, tmp_path: Path) -> None:
    pairs = read_pairs(filled)
    assert [pair.seed for pair in pairs] == [1, 2, 3]
    page = sheet_html(pairs, tmp_path)
    assert "<script>" not in page
    assert "<b>" not in page
    assert "a &lt;script&gt;alert(&quot;corgi&quot;)" in page
    assert page.index("run/picture-baseline-1.png") < page.index("run/picture-answer-1.png")
    assert "http" not in page
    sheet = sheet_png(pairs[1:2], side=96)
    left, right = sheet.getpixel((16 + 48, 16 + 48)), sheet.getpixel((16 + 96 + 16 + 48, 16 + 48))
    assert left == right == (80, 0, 0)


def test_both_forms_are_written(filled: Path, tmp_path: Path) -> None:
    picture, page = write_gallery(filled, tmp_path / "out" / "sheet.png")
    assert (picture.name, page.name) == ("sheet.png", "sheet.html")
    with Image.open(picture) as sheet:
        assert sheet.width == 2 * 384 + 3 * 16
    assert "../run/picture-answer-1.png" in page.read_text(encoding="utf-8")


def test_a_folder_without_pairs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InvalidInput, match="render --baseline"):
        read_pairs(tmp_path)

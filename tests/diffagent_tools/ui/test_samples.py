"""Civitai's sample pictures: only safe ones, only from its own hosts, only when asked for."""

import io
from typing import Any

import httpx
import pytest
from PIL import Image

from diffagent_tools.ui.facts import colours_of, facts_html
from diffagent_tools.ui.samples import SIDE, SamplePictures
from retrieval.errors import FetchError
from retrieval.records.model import ModelRecord

HOST = "https://image.civitai.com/x"


def picture(side: int = 640) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (side, side // 2), (200, 30, 30)).save(made, "PNG", exif=b"Exif\0\0secret")
    return made.getvalue()


class Civitai:
    """Answers for a version with these images, and remembers what it was asked."""

    def __init__(self, images: Any, **files: httpx.Response) -> None:
        self.images, self.files = images, files
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if request.url.path == "/api/v1/model-versions/7":
            return httpx.Response(200, json={"images": self.images})
        name = request.url.path.rsplit("/", 1)[-1].partition(".")[0]
        return self.files.get(name, httpx.Response(200, content=picture()))

    def samples(self) -> list[bytes]:
        return SamplePictures(httpx.MockTransport(self)).of(7)


def safe(name: str, **fields: Any) -> dict[str, Any]:
    return {"url": f"{HOST}/{name}/width=1024/{name}.jpeg", "nsfwLevel": 1, "type": "image", **fields}


def test_four_small_pictures_without_what_else_their_files_hold() -> None:
    civitai = Civitai([safe(name) for name in "abcdef"])
    found = civitai.samples()
    assert len(found) == 4
    assert civitai.asked[1] == f"{HOST}/a/width={SIDE}/a.jpeg"
    with Image.open(io.BytesIO(found[0])) as shown:
        assert (shown.format, shown.size) == ("JPEG", (SIDE, SIDE // 2))
    assert b"secret" not in found[0]


@pytest.mark.parametrize(
    "image",
    [
        safe("a", nsfwLevel=2),
        safe("a", nsfwLevel=0),
        safe("a", nsfwLevel="Soft"),
        safe("a", nsfw=True),
        safe("a", poi=True),
        safe("a", minor=True),
        safe("a", type="video"),
        {"url": f"{HOST}/a.jpeg"},
        safe("a", url="http://image.civitai.com/a.jpeg"),
        safe("a", url="https://civitai.com.evil.example/a.jpeg"),
        safe("a", url="https://image.civitai.com:8080/a.jpeg"),
        safe("a", url="https://[::1"),
        safe("a", url=7),
        "https://image.civitai.com/a.jpeg",
    ],
)
def test_what_is_not_rated_safe_or_lies_elsewhere_is_never_asked_for(image: Any) -> None:
    civitai = Civitai([image, safe("b"), safe("c", nsfwLevel="None")])
    assert len(civitai.samples()) == 2
    assert len(civitai.asked) == 3


def test_a_picture_that_cannot_be_shown_is_passed_over() -> None:
    civitai = Civitai(
        [safe(name) for name in "abcd"],
        a=httpx.Response(404),
        b=httpx.Response(200, content=b"<html>"),
        c=httpx.Response(302, headers={"location": "http://169.254.169.254/latest"}),
    )
    assert len(civitai.samples()) == 1
    assert not any("169.254" in address for address in civitai.asked)


@pytest.mark.parametrize("answer", [b"[]", b"null", b'{"images": {}}', b'{"images": null}'])
def test_an_answer_of_another_shape_has_no_pictures(answer: bytes) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=answer))
    assert SamplePictures(transport).of(7) == []


def test_faults_are_sentences() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    with pytest.raises(FetchError, match=r"cannot be reached .* is there a network"):
        SamplePictures(httpx.MockTransport(fail)).of(7)
    with pytest.raises(FetchError, match="answered 503"):
        SamplePictures(httpx.MockTransport(lambda request: httpx.Response(503))).of(7)
    with pytest.raises(FetchError, match="cannot be read"):
        SamplePictures(httpx.MockTransport(lambda request: httpx.Response(200, content=b"<html>"))).of(7)


def test_without_pictures_there_are_chips_and_swatches_from_facts() -> None:
    record = ModelRecord.model_validate(
        {
            "model_id": 1,
            "model": "Pixel Art",
            "type": "LORA",
            "base_model": "SD 1.5",
            "tags": ["pixel art", "<b>games</b>"],
            "terms": {"teal": 0.2, "gray": 0.1, "grey": 0.3, "red dress": 0.9, "corgi": 0.5},
        }
    )
    assert colours_of(record) == ["grey", "teal"]
    html = facts_html(record)
    assert "&lt;b&gt;games" in html
    assert html.index("Made for") < html.index("pixel art") < html.index("grey") < html.index("teal")
    bare = record.model_copy(update={"model": "Xyz", "tags": (), "terms": {}})
    assert facts_html(bare) == ""

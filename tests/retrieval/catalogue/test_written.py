"""Names as programs write them are taken apart, and what only stands beside a name points to nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.catalogue import Catalogue
from retrieval.catalogue.written import (
    Pointer,
    core_name,
    digest_of,
    file_key,
    is_address,
    pointer,
    said_version,
    take_apart,
)
from retrieval.records.model import ModelRecord, VersionRecord

SHA = "AB12CD34EF5678" + "0" * 50


def record(model_id: int, model: str, versions: tuple[tuple[int, str, str], ...] = ()) -> ModelRecord:
    return ModelRecord(
        model_id=model_id,
        model=model,
        type="Checkpoint",
        base_model="SD 1.5",
        versions=tuple(
            VersionRecord(
                version_id=version_id, version=name, base_model="SD 1.5", sha256=(digest,) if digest else ()
            )
            for version_id, name, digest in versions
        ),
    )


CATALOGUE = Catalogue(
    [
        record(
            10,
            "Inkwell Dreams",
            ((103, "v3.0 (VAE)", SHA), (102, "v2", "FFEE001122"), (104, "v2-inpainting", "")),
        ),
        record(20, "Paper - Folding / Studio", ((201, "offset", ""),)),
        record(30, "Corgi", ()),
        record(31, "Corgi (of paper)", ()),
        record(40, "A Very Long Name Of A Model With Words", ((401, "v1.0", ""),)),
        record(62437, "v1-5-pruned-emaonly"),
    ],
    name="the test catalogue",
)


@pytest.mark.parametrize(
    ("written", "model_id", "version_id"),
    [
        ("inkwellDreams_v30VAE.safetensors [ab12cd34ef]", 10, 103),
        (r"D:\webui\models\Stable-diffusion\inkwell_dreams.safetensors", 10, None),
        ("SD15/anime/inkwellDreams_v2.safetensors", 10, 102),
        ("inkwellDreams_v2_fp16", 10, 102),
        ("inkwellDreams_v3-pruned", 10, 103),
        ("inkwellDreams_v2Inpainting", 10, 104),
        ("inkwelldreams_3_f16.ckpt", 10, 103),
        ("inkwellDreams-Q8_0.gguf", 10, None),
        ("civitai:10@102", 10, 102),
        ("civitai: 10 @ 102", 10, 102),
        ("10@102", 10, 102),
        ("https://civitai.com/models/10@102", 10, 102),
        ("AB12CD34", 10, 103),
        ("sha256:ab12cd34ef56", 10, 103),
        (SHA, 10, 103),
        ("<lora:Inkwell Dreams:0.8:0.5>", 10, None),
        ("<lyco:inkwellDreams_v2:0.8:lbw=OUTALL>", 10, 102),
        ("https://huggingface.co/someone/inkwell/resolve/main/sub/inkwellDreams_v2.safetensors", 10, 102),
        ("https://huggingface.co/someone/Inkwell-Dreams", 10, None),
        ("someone/inkwell-dreams", 10, None),
        ("Paper - Folding / Studio", 20, None),
        ("Paper - Folding / Studio_fp16", 20, None),
        ("corgi (of paper)_fp16", 31, None),
        ("aVeryLongNameOfAModel_v10", 40, 401),
        ("runwayml/stable-diffusion-v1-5", 62437, None),
        ("v1-5-pruned.ckpt", 62437, None),
    ],
)
def test_a_name_as_programs_write_it(written: str, model_id: int, version_id: int | None) -> None:
    (match,) = CATALOGUE.find(written)
    assert match.record.model_id == model_id
    assert (match.version.version_id if match.version else None) == version_id
    assert match.missing == ""


@pytest.mark.parametrize(
    ("written", "missing"),
    [
        ("inkwellDreams_v8.safetensors", "v8"),
        ("inkwellDreams_v4VAE", "v4VAE"),
        ("someone/inkwell-dreams-8", "8"),
        ("https://civitai.com/models/10?modelVersionId=999", "the id 999"),
        ("civitai:10@999", "the id 999"),
    ],
)
def test_a_version_that_is_not_in_the_catalogue_is_kept(written: str, missing: str) -> None:
    (match,) = CATALOGUE.find(written)
    assert (match.record.model_id, match.version, match.missing) == (10, None, missing)


@pytest.mark.parametrize(
    "written",
    [
        "see https://civitai.com/models/10",
        "https://civitai.com/models/10 is the nearest",
        "Grand Corgi Palace (urn:air:sd1:checkpoint:civitai:10@102)",
        "Grand Palace civitai:10@102",
        "inkwellDreams_goldenPalace",
        "corgi_palace_v2",
        "Grand Palace AB12CD34EF",
        "AB12CD34EE",
        "aVeryLongNameOfAModel_palace",
        "LoRA 漢字",
    ],
)
def test_what_stands_beside_another_name_finds_nothing(written: str) -> None:
    assert CATALOGUE.find(written) == []


def test_eight_digits_that_two_files_share_say_nothing() -> None:
    twice = Catalogue(
        [record(1, "One", ((11, "v1", "AB12CD34EF"),)), record(2, "Two", ((21, "v1", "AB12CD34EE"),))]
    )
    assert twice.find("AB12CD34") == []
    assert [match.record.model_id for match in twice.find("AB12CD34EE")] == [2]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("urn:air:sd1:checkpoint:civitai:10@102", Pointer(10, 102, "air")),
        ("civitai:10", Pointer(10, None, "air")),
        ("<https://civitai.com/models/10/name?modelVersionId=102#x>", Pointer(10, 102, "url")),
        ("civitai.red/api/download/models/102?type=Model", Pointer(None, 102, "url")),
        ("10", None),
        ("10 @ 102 and more", None),
    ],
)
def test_what_points_to_a_model(text: str, found: Pointer | None) -> None:
    assert pointer(text) == found


def test_no_address_is_a_misspelled_name() -> None:
    for address in ("https://example.org/x", "AB12CD34EF", "urn:air:x:y:other:1", "civitai:1"):
        assert is_address(address)
        assert core_name(address) == ""
    assert core_name(r"C:\models\foo_v2.safetensors [ab12cd34ef]") == "foo_v2"
    assert core_name("owner/FLUX.1-dev") == "FLUX.1-dev"
    assert digest_of("AutoV2: ab12cd34ef") == "AB12CD34EF"
    assert digest_of("ab12cd34e") == ""


def test_civitai_cuts_a_name_at_a_word() -> None:
    assert file_key("It's a Long Name With (Many) Words in It") == "itsalongnamewithmany"
    assert file_key("墨 Ink") == "ink"


def test_the_version_behind_a_name() -> None:
    versions = CATALOGUE.get(10).versions
    assert said_version("x_v2-inpainting", "x", versions) == (104, "")
    assert said_version("x_v2_fp16", "x", versions) == (102, "")
    assert said_version("x_fp16", "x", versions) == (None, "")
    assert said_version("x v9", "x v9", versions) == (None, "")
    assert said_version("x_v9", "x", versions) == (None, "v9")
    assert said_version("x_v9", "x", ()) == (None, "")
    # versions that are no numbers say nothing of a number
    assert said_version("x_v9", "x", CATALOGUE.get(20).versions) == (None, "")


@given(st.text(max_size=60) | st.text(alphabet="a1/\\:.[]<>@_- v", max_size=40))
def test_any_text_is_taken_apart(text: str) -> None:
    apart = take_apart(text)
    assert len(apart.name) <= len(text)
    for match in CATALOGUE.find(text):
        assert match.version is None or not match.missing

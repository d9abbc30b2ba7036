"""The packaged catalogue is whole, small and clean, and its builder gives the same bytes twice."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from starter_world import model, pair, write
from typer.testing import CliRunner

import retrieval
from diffagent_tools.cli.command import app
from finetune.dabench.starter import build, build_records, read_models, sources_for
from finetune.dabench.starter_screen import Decisions, Dropped, screen
from finetune.data.pairs import read_pairs
from finetune.describe.extract import runs
from retrieval.calls.base_checkpoint import family_default
from retrieval.calls.compose import api_for
from retrieval.catalogue import Catalogue
from retrieval.records.api import CheckpointRef, Instruction
from retrieval.records.samples import clean_words, mode
from retrieval.tables.families import family_of
from retrieval.tables.samplers import find_sampler
from retrieval.tables.screen import is_advertised, is_blocked

FOLDER = Path(retrieval.__file__).parent / "catalogue" / "starter"


@pytest.fixture(scope="module")
def starter() -> Catalogue:
    return Catalogue.starter()


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000


def test_ids_are_unique_and_every_family_has_its_base_model(starter: Catalogue) -> None:
    assert len(starter) > 900
    assert Catalogue.starter() is starter  # read once
    versions = [version.version_id for record in starter for version in record.versions]
    assert len(set(versions)) == len(versions)
    bases = {
        "SD 1.5": (62437, 66991),
        "SDXL 1.0": (101055, 128078),
        "Pony": (257749, 290640),
        "Illustrious": (795765, 889818),
    }
    assert set(starter.families) == set(bases)
    for family, numbers in bases.items():
        record = family_default(starter, family)
        assert (record.model_id, record.default_version and record.default_version.version_id) == numbers
    for name, family in (("Stable Diffusion 1.5", "SD 1.5"), ("SDXL", "SDXL 1.0"), ("sdxl 1.0", "SDXL 1.0")):
        match = starter.resolve(name)
        assert match is not None, name
        assert match.record.model_id == bases[family][0]
    assert api_for(starter.get(62437), Instruction(prompt="a lighthouse")).prompt == "a lighthouse"


def test_every_record_is_found_by_its_names_and_numbers(starter: Catalogue) -> None:
    for record in starter:
        for name in (record.model, record.model.upper(), f"  {record.model.lower()} "):
            assert record.model_id in [match.record.model_id for match in starter.find(name)], name
        assert starter.find(record.page_url)[0].record is record
        for version in record.versions:
            assert starter.by_version(version.version_id).record is record
            air = record.air(version.version_id)
            assert air is not None
            (match,) = starter.find(air)
            assert (match.record, match.version) == (record, version)
            for digest in version.sha256:
                for spelled in (digest, digest.lower(), digest[:10]):
                    assert record in [match.record for match in starter.find(spelled)]


def test_descriptions_are_our_own_short_sentences(starter: Catalogue) -> None:
    for record in starter:
        assert 0 < len(record.description.split()) <= 60
        assert not any(sign in record.description for sign in ("http", "www.", "<", ">", "&nbsp;", "@"))
        assert not is_blocked(record.description), record.description
    assert len({record.description for record in starter}) > 0.95 * len(starter)


def test_descriptions_quote_neither_a_prompt_nor_a_creator(starter: Catalogue) -> None:
    folder = Path(os.environ.get("DIFFAGENT_DATA", FOLDER.parents[2] / "shared" / "data"))
    if not (folder / "models.jsonl.gz").exists():
        pytest.skip("the data that the catalogue was built from is not here (DIFFAGENT_DATA)")
    texts = [row["description"] for row in read_models(folder / "models.jsonl.gz")]
    texts += [pair["prompt"] for pair in read_pairs(folder / "pairs_train.jsonl.gz")]
    said = {run for text in texts for run in runs(text)}
    for record in starter:
        if record.base_model == "SD 1.5":
            text = record.description.replace(record.base_model, "BASEMODEL")
            assert said.isdisjoint(runs(text)), record.description


def test_nothing_in_it_is_on_the_lists(starter: Catalogue) -> None:
    for record in starter:
        assert not is_advertised(record.model)
        for text in (*record.tags, *record.trigger_words, *record.keywords, *record.aliases):
            assert not is_blocked(text), text
            assert not is_advertised(text), text
        for term in (*record.terms, *record.negative_terms, *record.description_terms):
            assert not is_blocked(term), term
            assert not is_advertised(term), term
            assert len(term.split()) <= 2
        assert record.nsfw in (False, None)
        assert record.poi in (False, None)


def test_unknown_is_null(starter: Catalogue) -> None:
    for record in starter:
        facts = record.to_wire()
        for field in ("terms", "negative_terms", "description_terms", "model", "trigger_words", "tags"):
            facts.pop(field, None)
        assert not {"unknown", "null", -1, "-1", "n/a"} & {str(value).lower() for value in facts.values()}
    base = starter.get(101055)
    assert {base.commercial_use, base.creator, base.stats.downloads, base.settings} == {None}
    assert all(record.source for record in starter)


def test_every_record_makes_a_call_that_may_be_written(starter: Catalogue) -> None:
    for record in starter:
        api = api_for(record, Instruction(prompt="a lighthouse"), confidence=0.5)
        assert api.to_wire()["model"] == record.model
        family = family_of(api.base_model)
        assert api.width * api.height <= family.max_pixels
        assert find_sampler(api.sampling_method) is not None
        if api.base_checkpoint is not None:
            assert api.base_checkpoint.model_id in starter


def test_the_card_says_how_many_and_when(starter: Catalogue) -> None:
    card = (FOLDER / "card.md").read_text(encoding="utf-8")
    assert f"{len(starter):,} image models" in card
    assert starter.digest in card
    assert "July 2023" in card


MODELS = [
    model(1, "Ruins"),
    model(2, "two", type="Checkpoint"),
    model(3, "nsfw mix"),
    model(4, "four", nsfw=True),
]
PAIRS = [
    pair(1, "overgrown castle ruins under a violet moon, ivy"),
    pair(1, "castle ruins, ivy wall", sampling_steps=30),
    pair(1, "castle ruins at dawn", sampling_steps=30, width=4096, height=4096),
]


def built(folder: Path) -> Catalogue:
    folder.mkdir()
    (folder / "sources.json").write_text("[]")
    models, pairs = write(folder / "m.jsonl.gz", MODELS), write(folder / "p.jsonl.gz", PAIRS)
    return build(models, pairs, folder / "sources.json", folder / "out")


def test_the_builder(tmp_path: Path) -> None:
    catalogue = built(tmp_path / "a")
    assert {record.model for record in catalogue} == {"Ruins", "two"}
    ruins = catalogue.get(1)
    assert ruins.settings is not None
    assert (ruins.settings.sampling_steps, ruins.settings.width, ruins.settings.height) == (30, 512, 768)
    assert ruins.settings.base_checkpoint is not None
    assert (ruins.settings.base_checkpoint.model_id, ruins.settings.base_checkpoint.model) == (2, "two")
    assert [version.version_id for version in ruins.versions] == [10, 11]
    assert (ruins.commercial_use, ruins.stats.downloads, ruins.samples) == (("Image", "Rent"), 1, 3)
    assert (ruins.terms["castle ruins"], ruins.terms["ivy"]) == (1.0, 0.667)
    assert "violet moon" not in ruins.terms
    assert "example" not in ruins.description_terms
    assert catalogue.get(2).settings is None
    assert "castles" in ruins.description


def test_a_base_checkpoint_that_cannot_be_had_is_not_recommended() -> None:
    def base(model_id: int) -> dict[str, Any]:
        return pair(1, "a", base_checkpoint={"model_id": model_id, "version_id": model_id, "name": "x"})

    models = [model(1, "fog"), model(5, "gone", available=False), model(6, "here")]

    def chosen(*pairs: dict[str, Any]) -> CheckpointRef | None:
        fog = next(record for record in build_records(models, pairs, []) if record.model_id == 1)
        return fog.settings.base_checkpoint if fog.settings else None

    found = chosen(base(5), base(5), base(6), base(99))
    assert found is not None
    assert (found.model_id, found.model) == (6, "here")
    assert chosen(base(5), base(99)) is None


def test_the_builder_gives_the_same_bytes_twice_and_by_the_command(tmp_path: Path) -> None:
    built(tmp_path / "a")
    built(tmp_path / "b")
    for name in ("models.jsonl.gz", "card.md"):
        assert (tmp_path / "a/out" / name).read_bytes() == (tmp_path / "b/out" / name).read_bytes(), name
    folder, output = tmp_path / "a", tmp_path / "out"
    asked = ["dabench", "starter", "--models", str(folder / "m.jsonl.gz"), "--output", str(output), "--json"]
    asked += ["--pairs", str(folder / "p.jsonl.gz"), "--sources", str(folder / "sources.json")]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert (output / "models.jsonl.gz").read_bytes() == (folder / "out/models.jsonl.gz").read_bytes()
    assert json.loads(done.stdout)["models"] == 2
    for content, said in (([{"model_id": 1}], "line 1 of"), (None, "cannot read")):
        (folder / "m.jsonl.gz").unlink() if content is None else write(folder / "m.jsonl.gz", content)
        failed = CliRunner().invoke(app, asked)
        assert failed.exit_code == 2
        assert said in failed.stderr


def test_the_builder_keeps_every_model_id(starter: Catalogue, tmp_path: Path) -> None:
    folder = Path(os.environ.get("DIFFAGENT_DATA", FOLDER.parents[2] / "shared" / "data"))
    if not (folder / "models.jsonl.gz").exists():
        pytest.skip("the data that the catalogue was built from is not here (DIFFAGENT_DATA)")
    models, pairs = folder / "models.jsonl.gz", folder / "pairs_train.jsonl.gz"
    again = build(models, pairs, sources_for(tmp_path), tmp_path)
    assert again.model_ids == starter.model_ids
    assert again.digest == starter.digest


def test_the_screen_says_why() -> None:
    given = [
        *MODELS,
        model(5, "five", tags=["porn"]),
        model(6, "six", poi=True),
        model(7, "seven", type="LORA", trigger_words=["fertanim"]),
        model(8, "eight", type="Checkpoint", trigger_words=["nudity"]),
        model(9, "nine", tags=["蘿莉"]),
        model(10, "KoreanDollLikeness", type="LORA"),
        model(11, "eleven"),
        model(12, "twelve", tags=["porn"]),
    ]
    decisions = Decisions({11: Dropped(11, "fetish", "by reading")}, frozenset({12}))
    screened = screen(given, decisions)
    assert [row["model_id"] for row in screened.kept] == [1, 2, 8, 12]
    assert [(each.model_id, each.reason, each.why) for each in screened.dropped] == [
        (3, "sexual", "its name offers it"),
        (4, "sexual", "flagged NSFW"),
        (5, "sexual", "a tag offers it"),
        (6, "real person", "flagged so"),
        (7, "sexual", "a trigger word offers it"),
        (9, "minors", "a tag offers it"),
        (10, "real person", "its name or a tag says so"),
        (11, "fetish", "by reading"),
    ]


def test_what_was_left_out_is_not_here_and_stands_in_the_card(starter: Catalogue) -> None:
    decisions = Decisions.packaged()
    assert len(decisions.removed) == 29
    assert 68953 in decisions.removed
    card = (FOLDER / "card.md").read_text(encoding="utf-8")
    for model_id, dropped in decisions.removed.items():
        assert model_id not in starter
        assert (
            f"| [{model_id}](https://civitai.com/models/{model_id}) | {dropped.reason} | {dropped.why} |"
            in card
        )
    assert decisions.kept <= set(starter.model_ids)
    used = (record.settings.base_checkpoint for record in starter if record.settings)
    assert {reference.model_id for reference in used if reference} <= set(starter.model_ids)


def test_every_model_is_rated_and_nobodys_likeness(starter: Catalogue) -> None:
    assert {record.model_id: record.rating for record in starter if record.rating != "PG"} == {257749: "R"}
    assert not [record.model for record in starter if record.shows_a_person]


def test_words_are_cleaned() -> None:
    words = ["Ink", "ink", "nude", "fox, breast, robot", "see http://a.b", "a b c d e f g h", "<b>"]
    assert clean_words(words, 9) == ("Ink", "fox, robot")


def test_mode_is_the_same_whatever_the_order() -> None:
    assert mode([]) is None
    assert mode([2, 1, 1, 2]) == mode([1, 2, 2, 1]) == 1


def test_every_row_of_a_public_file_names_it() -> None:
    for row in json.loads((FOLDER / "public_sources.json").read_text(encoding="utf-8")):
        assert row["source"]
        assert row["model_id"] > 0
        assert row["sha256"] is None or len(row["sha256"]) == 64

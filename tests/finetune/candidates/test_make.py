"""Candidates for RRHF: what is kept of what the model wrote, what is dropped, and what is added."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from small_world import small_catalogue
from tiny import save_tiny_base

from diffagent_tools.llm.llama import Llama
from finetune.candidates.decode import CandidateDecoder, Said
from finetune.candidates.file import read_candidates, read_line
from finetune.candidates.make import (
    askable,
    candidates_of,
    main,
    model_of,
    pair_id,
    report,
    write_candidates,
)
from finetune.data.journal import Journal
from retrieval.errors import DataError
from retrieval.records.api import Instruction, read_instruction

CATALOGUE = small_catalogue()
ASKED = read_instruction({"prompt": "a corgi", "negative prompt": "blurry"})


def info(model: str, kind: str = "LORA", base: str = "SD 1.5", source: Any = "beams") -> Said:
    """Model information, cut off as decoding cuts it off."""
    return Said(f'{{"model":"{model}","type":"{kind}","base model":"{base}","wi', source)


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"corgi {i}", "negative_prompt": "", "model_id": 201} for i in range(count)]


def decode(instructions: Sequence[Instruction]) -> list[list[Said]]:
    return [[info("Pixel Art Helper", source="sampled"), info("Nobody's Model")] for _ in instructions]


def test_only_the_model_information_is_kept_and_the_rest_is_rebuilt() -> None:
    said = [info("Pixel Art Helper", source="sampled"), info("Free Pixels", "Checkpoint")]
    found, dropped = candidates_of(said, ASKED, CATALOGUE)
    assert [(each.api.model, each.source) for each in found] == [
        ("Pixel Art Helper", "sampled"),
        ("Free Pixels", "beams"),
        ("v1-5-pruned-emaonly", "default"),
    ]
    assert found[0].api.sampling_method == "DPM++ 2M Karras"
    assert found[0].api.sampling_steps == 25
    assert found[0].text == found[0].api.paper_json()
    assert not dropped


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (info("Pixel Art Unheard Of And Never Made"), "invented"),
        (info("Lost Landscapes", "Checkpoint"), "unavailable"),
        (info("Pixel Art Helper", "Checkpoint"), "wrong type"),
        (info("Pixel Art Helper", base="SDXL 1.0"), "wrong family"),
        (Said("no object at all", "sampled"), "unparsable"),
        (Said('{"model":"Pixel Art Helper"', "sampled"), "unparsable"),
        (
            Said('{"model":"Pixel Art Helper","type":"Embedding","base model":"SD 1.5"}', "sampled"),
            "unparsable",
        ),
    ],
)
def test_what_is_dropped_is_counted(said: Said, why: str) -> None:
    found, dropped = candidates_of([said], ASKED, CATALOGUE)
    assert [each.source for each in found] == ["default"]
    assert dropped == {why: 1}


def test_equal_responses_are_merged_and_the_first_stays() -> None:
    said = [info("Pixel Art Helper", source="sampled"), info("pixel art helper"), info("Pixel Art Helper")]
    found, dropped = candidates_of(said, ASKED, CATALOGUE)
    assert [each.source for each in found] == ["sampled", "default"]
    assert dropped == {"duplicate": 2}


def test_the_default_that_the_model_named_itself_stands_once() -> None:
    found, dropped = candidates_of([info("v1-5-pruned-emaonly", "Checkpoint")], ASKED, CATALOGUE)
    assert [each.source for each in found] == ["beams"]
    assert dropped == {"duplicate": 1}


def test_the_default_is_of_the_family_of_most_candidates() -> None:
    found, _ = candidates_of([info("Watercolor Wash", base="SDXL 1.0")], ASKED, CATALOGUE)
    assert found[-1].api.model == "SD XL"
    assert candidates_of([], ASKED, CATALOGUE)[0][0].api.base_model == "SD 1.5"


def test_a_record_of_the_trie_needs_no_reading() -> None:
    record = CATALOGUE.get(203)
    found, dropped = candidates_of([Said("", "beams", record)], ASKED, CATALOGUE)
    assert found[0].api.model == record.model
    assert not dropped


def test_another_spelling_is_written_as_the_catalogue_has_it() -> None:
    record, why = model_of(info("pixel art helper").text, CATALOGUE)
    assert record is not None
    assert (record.model, why) == ("Pixel Art Helper", "")


def test_a_pair_without_a_prompt_is_passed_over(tmp_path: Path) -> None:
    asked = askable([pairs(1)[0], {"prompt": " ", "negative_prompt": "", "model_id": 201}])
    output = tmp_path / "c.jsonl"
    journal = Journal(output, {}, read_line, asked=list(asked), key=lambda line: line.id, another="")
    write_candidates(asked, journal, decode, CATALOGUE, 8, progress=str)
    (line,) = read_candidates(output)
    assert [candidate.source for candidate in line.candidates] == ["sampled", "default"]
    assert line.dropped == {"invented": 1}
    assert line.candidates[0].api.model_id == 201
    assert "1 prompts, 2 responses" in report([line])
    assert "0 prompts with fewer than two" in report([line])


def test_a_pairs_own_id_is_kept() -> None:
    assert pair_id({**pairs(1)[0], "id": 7}) == "7"
    assert pair_id(pairs(2)[0]) != pair_id(pairs(2)[1])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny base, a folder without an adapter, the small catalogue, and five pairs."""
    folder = tmp_path_factory.mktemp("candidates")
    save_tiny_base(folder / "base")
    (folder / "adapter").mkdir()
    CATALOGUE.save(folder / "models.jsonl")
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs(5)))
    return {name: folder / name for name in ("base", "adapter", "models.jsonl", "pairs.jsonl")}


def arguments(world: dict[str, Path], output: Path, *more: str) -> list[str]:
    given = {
        "--base": world["base"],
        "--adapter": world["adapter"],
        "--catalogue": world["models.jsonl"],
        "--pairs": world["pairs.jsonl"],
        "--output": output,
        "--batch-size": 2,
        "--groups": 3,
        "--penalty": 20,
    }
    return [str(part) for pair in given.items() for part in pair] + ["--constrained", *more]


def test_a_stopped_run_goes_on_to_the_same_lines(world: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "c.jsonl"
    assert main(arguments(world, output)) == 0
    whole = output.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 6
    for line in lines[1:]:
        found = json.loads(line)
        assert {r["source"] for r in found["responses"]} >= {"beams"}
        assert set(found["dropped"]) <= {"duplicate"}
        assert len(found["responses"]) >= 2
    # killed within the second batch: three of its prompts, and a part of the fourth
    output.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    assert main(arguments(world, output)) == 0
    assert output.read_bytes() == whole
    with pytest.raises(DataError, match="another run"):
        main(arguments(world, output, "--penalty", "2"))


def test_beams_of_the_decoder_are_names_that_differ(world: dict[str, Path]) -> None:
    llama = Llama.load(CATALOGUE, base=str(world["base"]), adapter=world["adapter"])
    decoder = CandidateDecoder(llama, CATALOGUE, groups=4, penalty=20.0, constrained=True)
    ((sample, *beams),) = decoder.decode([ASKED])
    assert sample.source == "sampled"
    assert sample.record is not None
    assert len({beam.record.model_id for beam in beams if beam.record}) == 4
    assert "Lost Landscapes" not in {beam.record.model for beam in beams if beam.record}
    for said in (sample, *beams):
        assert said.record is not None


def test_free_beams_are_cut_after_the_model_information(world: dict[str, Path]) -> None:
    llama = Llama.load(CATALOGUE, base=str(world["base"]), adapter=world["adapter"])
    ((sample, *beams),) = CandidateDecoder(llama, CATALOGUE, groups=2).decode([ASKED])
    assert len(beams) == 2
    assert all(said.record is None and said.text.startswith('{"model":"') for said in (sample, *beams))
    assert CandidateDecoder(llama, CATALOGUE, groups=2).decode([]) == []

"""The reward that needs no image: relevance to the prompt by the record, times a shrunk rating."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.candidates.file import read_candidates, write_scored
from finetune.rewards.catalogue import NOTE, CatalogueReward, main, score_lines, shrunk_ratings
from retrieval.calls.compose import api_for
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidInput
from retrieval.records.api import Instruction, T2IApi
from retrieval.records.model import ModelRecord
from retrieval.search.encoders import HashEmbedder


def record(model_id: int, model: str, description: str, **facts: Any) -> ModelRecord:
    return ModelRecord.model_validate(
        {
            "model_id": model_id,
            "model": model,
            "type": "Checkpoint",
            "base_model": "SD 1.5",
            "description": description,
            "versions": [{"version_id": model_id * 10, "version": "v1", "base_model": "SD 1.5"}],
            **facts,
        }
    )


RECORDS = (
    record(1, "Castles", "castles in fog", terms={"castle": 1.0, "fog": 0.5}),
    record(2, "Foxes", "foxes in snow", terms={"fox": 1.0, "snow": 0.5}),
    record(3, "Unseen", "robots at night"),
)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(RECORDS, name="three models")


@pytest.fixture(scope="module")
def reward(catalogue: Catalogue) -> CatalogueReward:
    return CatalogueReward(catalogue, HashEmbedder(256))


def api(record: ModelRecord, prompt: str = "a castle") -> T2IApi:
    return api_for(record, Instruction(prompt=prompt))


def line(responses: list[T2IApi], prompt: str = "a castle in fog", id: str = "p0") -> dict[str, Any]:
    return {
        "id": id,
        "instruction": {"prompt": prompt, "negative prompt": ""},
        "responses": [{"api": r.to_wire(), "source": "sampled"} for r in responses],
        "dropped": {},
    }


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_rating_of_few_is_drawn_towards_the_mean() -> None:
    rated = [
        record(1, "a", "", stats={"rating": 5.0, "rating_count": 1}),
        record(2, "b", "", stats={"rating": 5.0, "rating_count": 100}),
        record(3, "c", "", stats={"rating": 2.0, "rating_count": 10}),
        record(4, "d", "", stats={"rating": 0.0, "rating_count": 0}),
        record(5, "e", ""),
    ]
    # m = 4, C = 10
    assert shrunk_ratings(rated) == pytest.approx([45 / 11 / 5, 540 / 110 / 5, 60 / 20 / 5, 0.8, 0.8])


def test_where_nobody_rated_no_model_is_better_rated() -> None:
    assert shrunk_ratings(RECORDS) == [1.0, 1.0, 1.0]


def test_the_model_of_the_prompts_words_scores_highest(reward: CatalogueReward) -> None:
    scores = reward.score(["a castle in fog"] * 3, [api(record) for record in RECORDS])
    assert scores.dtype.is_floating_point
    assert scores.shape == (3,)
    assert scores[0] == pytest.approx(1.0), "best of the catalogue in description and vocabulary"
    assert scores[0] > scores[1]
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_model_without_sample_prompts_gets_the_mean_vocabulary(reward: CatalogueReward) -> None:
    scores = reward.score(["castle"] * 3, [api(record) for record in RECORDS])
    # shares of the vocabulary: 1 and 0, so their mean is 1/2, and half of it counts
    assert scores[2] >= 0.25 - 1e-6
    assert scores[0] > scores[2]


def test_the_rating_multiplies() -> None:
    catalogue = Catalogue(
        [
            record(1, "a", "castles", stats={"rating": 5.0, "rating_count": 50}),
            record(2, "b", "castles", stats={"rating": 3.0, "rating_count": 50}),
        ]
    )
    good, bad = CatalogueReward(catalogue, HashEmbedder()).score(
        ["castles"] * 2, [api(record) for record in catalogue]
    )
    assert float(bad / good) == pytest.approx(3.5 / 4.5)


def test_a_prompt_of_unknown_words_has_finite_scores(reward: CatalogueReward) -> None:
    assert reward.score(["ξένος"], [api(RECORDS[0])]).isfinite().all()


def test_a_model_the_catalogue_lacks_is_named(reward: CatalogueReward) -> None:
    other = record(99, "Elsewhere", "x")
    with pytest.raises(InvalidInput, match=r"'Elsewhere' .* is no model of the catalogue three models"):
        reward.score(["a castle"], [api(other)])


def test_one_call_a_prompt(reward: CatalogueReward) -> None:
    with pytest.raises(InvalidInput, match="2 prompts and 1 calls"):
        reward.score(["a", "b"], [api(RECORDS[0])])


def test_the_command_writes_what_rrhf_reads(
    catalogue: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.save(tmp_path / "models.jsonl")
    # a line separator is a character like others inside a JSON string
    rows = [line([api(RECORDS[0]), api(RECORDS[1])], "a castle\u2028in fog"), line([], id="p1")]
    source, target = write(tmp_path / "c.jsonl", rows), tmp_path / "scored.jsonl"
    arguments = ["--candidates", source, "--output", target, "--catalogue", tmp_path / "models.jsonl"]
    main(list(map(str, arguments)))
    (scored,) = [json.loads(text) for text in target.read_text(encoding="utf-8").split("\n") if text]
    assert scored["id"] == "p0"
    assert scored["responses"] == [api(RECORDS[0]).paper_json(), api(RECORDS[1]).paper_json()]
    assert scored["scores"][0] > scored["scores"][1]
    assert scored["reward"] == "catalogue"
    assert scored["note"] == NOTE
    said = capsys.readouterr().out
    assert NOTE in said
    assert "1 prompts without a candidate left out" in said


def test_no_candidate_at_all(reward: CatalogueReward, tmp_path: Path) -> None:
    lines = read_candidates(write(tmp_path / "c.jsonl", [line([])]))
    with pytest.raises(DataError, match="no prompt has a candidate"):
        score_lines(reward, lines)


def test_a_score_that_is_no_number_is_not_written(tmp_path: Path) -> None:
    lines = read_candidates(write(tmp_path / "c.jsonl", [line([api(RECORDS[0]), api(RECORDS[1])])]))
    with pytest.raises(InvalidInput, match=r"a score of 'p0' by clip is not a finite number"):
        write_scored(tmp_path / "scored.jsonl", [(lines[0], [0.5, float("nan")])], reward="clip")
    assert not (tmp_path / "scored.jsonl").exists()
    with pytest.raises(InvalidInput, match="2 candidates of 'p0' have 1 scores"):
        write_scored(tmp_path / "scored.jsonl", [(lines[0], [0.5])], reward="clip")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no line"),
        ("{", "line 1 of .* is no JSON"),
        ('{"id": "a", "instruction": {"prompt": "x"}}', "line 1 of .*: .responses. is missing"),
        ('{"id": "a", "instruction": {"prompt": " "}, "responses": []}', "prompt cannot be used"),
        (
            '{"id": "a", "instruction": {"prompt": "x"}, "responses": [{"api": {"model": "m"}}]}',
            "api: type: Field required",
        ),
        ('{"id": "a", "instruction": {"prompt": "x"}, "responses": []}\n' * 2, "2 lines .* id 'a'"),
    ],
)
def test_a_broken_candidates_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_candidates(path)


def test_a_missing_candidates_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*gone.jsonl .*finetune/candidates/make.py"):
        read_candidates(tmp_path / "gone.jsonl")

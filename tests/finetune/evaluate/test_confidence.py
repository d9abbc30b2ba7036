"""The chance that an answer is right is fitted on answers that are known to be right or wrong."""

import json
from pathlib import Path

import pytest

from finetune.evaluate.confidence import ANSWERS, examples, main
from finetune.evaluate.graded import Graded
from retrieval.catalogue import Catalogue
from retrieval.search.mixture import CONFIDENCE_FILE, SIGNS, Calibration
from retrieval.search.ranker import Ranker


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return Ranker.packaged(Catalogue.starter())


def test_the_first_answers_are_examples(ranker: Ranker) -> None:
    first = ranker.named("DreamShaper", True)
    assert first is not None
    requests = [
        Graded("use DreamShaper to draw a castle", "en", {first: 2}),
        Graded("a fox, watercolor", "en", {first: 1}),  # no model is right: nothing is learnt from it
        Graded("hello, how are you?", "en", {first: 2}),  # asks for no picture
    ]
    pair = {"model_id": first, "prompt": "a castle on a hill", "negative_prompt": "blurry"}
    rows, right, graded = examples(ranker, requests, [pair])
    assert rows.shape == (3 * ANSWERS, len(SIGNS))
    assert graded.tolist() == [1] * ANSWERS + [0] * 2 * ANSWERS
    assert set(right) <= {0, 1}


def test_the_program_writes_what_the_ranker_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalogue = Catalogue.starter()
    wash = [record for record in catalogue if "watercolor" in record.tags][:3]
    wishes = ("a fox", "a lighthouse", "an old bridge", "two cats", "a rose", "a boat")
    grades = {str(record.model_id): 2 for record in wash}
    lines = [json.dumps({"text": f"{wish}, watercolor", "grades": grades}) for wish in wishes]
    (tmp_path / "made.jsonl").write_text("\n".join(lines), encoding="utf-8")
    pairs = [
        json.dumps({"model_id": wash[0].model_id, "prompt": f"{wish}, soft light", "negative_prompt": ""})
        for wish in wishes
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(pairs), encoding="utf-8")
    files = ["--requests", str(tmp_path / "made.jsonl"), "--pairs", str(tmp_path / "pairs.jsonl")]
    main([*files, "--output", str(tmp_path)])
    assert Calibration.load(tmp_path) is not None
    assert CONFIDENCE_FILE in capsys.readouterr().out

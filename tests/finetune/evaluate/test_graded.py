"""Graded requests: measures on lists whose values can be worked out by hand, and what a file must hold."""

import json
import math
from pathlib import Path

import pytest
from small_world import WordSelector, small_catalogue

from finetune.evaluate.graded import Graded, baselines, judged, ndcg, of_selector, read_graded, report
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError

REQUEST = Graded("a corgi, pixel art", "en", {201: 2, 202: 1})


def test_ndcg() -> None:
    assert ndcg([2, 1, 0], [1, 2]) == pytest.approx(1)
    assert ndcg([0, 2], [2]) == pytest.approx(1 / math.log2(3))
    assert ndcg([0, 0], [2, 1]) == 0
    assert ndcg([0], []) == 0


def test_only_what_is_graded_counts() -> None:
    grades, gain = judged(lambda text: [999, 202, 201], REQUEST)
    assert grades == [0, 1, 2]
    assert gain == pytest.approx((1 / math.log2(3) + 3 / 2) / (3 + 1 / math.log2(3)))
    assert judged(lambda text: [], REQUEST) == ([], 0)


def test_a_selector_is_measured_and_a_refusal_is_no_answer() -> None:
    method = of_selector(WordSelector(small_catalogue()))
    assert judged(method, REQUEST)[0][0] == 2
    assert method("") == []


def test_baselines_and_table() -> None:
    methods = baselines(tuple(small_catalogue()))
    assert judged(methods["TF-IDF, word pairs"], REQUEST)[0][0] == 2
    lines = report(methods, [REQUEST])
    assert len(lines) == 2 + len(methods)
    assert lines[3].startswith("| TF-IDF, word pairs | 1.000 (1.000-1.000) |")


def test_a_broken_file_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text(json.dumps({"text": "a fox", "grades": {"201": 2}}) + "\n")
    assert read_graded(path) == [Graded("a fox", "en", {201: 2})]
    for grades in ({"201": 3}, [201, 202], "201", 2, None, {"a fox": 2}, {"201": None}):
        path.write_text(json.dumps({"text": "a fox", "grades": grades}) + "\n")
        with pytest.raises(DataError, match="line 1"):
            read_graded(path)


@pytest.mark.parametrize(("name", "count"), [("fitted", 234), ("unseen", 214)])
def test_our_own_requests_grade_models_of_the_packaged_catalogue(name: str, count: int) -> None:
    requests = read_graded(Path(__file__).parents[3] / "benchmarks" / "everyday" / f"{name}.jsonl.gz")
    assert len(requests) == count
    known = set(Catalogue.starter().model_ids)
    assert all(set(request.grades) <= known for request in requests)
    assert len({request.language for request in requests}) == 17

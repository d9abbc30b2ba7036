"""The user study end to end: a table of pictures, raters over HTTP, many writers at once, and the report."""

import io
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image
from study_world import BLUE, SETS, served, table
from typer.testing import CliRunner

from diffagent_tools.cli import command as cli
from finetune.study.create import COLUMNS, Row, create_study, draw_pairs, read_table
from finetune.study.report import agreement, outcomes, write_report
from finetune.study.store import QUESTIONS, Rating, Study
from retrieval.errors import InvalidInput


@pytest.fixture
def study(tmp_path: Path) -> Study:
    create_study(read_table(table(tmp_path)), tmp_path / "study.db", source="run.parquet", pairs=6, seed=3)
    return Study.open(tmp_path / "study.db")


@pytest.fixture
def address(study: Study) -> Iterator[str]:
    with served(study) as server:
        yield server.address


def client(address: str) -> httpx.Client:
    return httpx.Client(base_url=address, trust_env=False, timeout=60)


# drawing


def row(architecture: str, data_set: str, prompt: str) -> Row:
    return Row(architecture, data_set, prompt, Path("a"), Path("b"), "base", "chosen")


def test_ninety_pairs_of_each_architecture_evenly_over_three_data_sets() -> None:
    rows = [
        row(architecture, name, f"{number // 2}")
        for architecture in ("SD 1.5", "SDXL")
        for name in SETS
        for number in range(80)
    ]
    drawn = draw_pairs(rows, 90, seed=0)
    assert Counter((each.architecture, each.data_set) for each in drawn) == {
        (architecture, name): 30 for architecture in ("SD 1.5", "SDXL") for name in SETS
    }
    assert len(set(drawn)) == 180
    random.Random(5).shuffle(rows)
    assert draw_pairs(rows, 90, seed=0) == drawn
    assert draw_pairs(rows, 90, seed=1) != drawn
    more = [*rows, *(row("SD 1.5", "Another", str(number)) for number in range(40))]
    assert Counter(each.data_set for each in draw_pairs(more, 90, 0) if each.architecture == "SD 1.5") == {
        "Another": 23,
        "COCO Caption": 23,
        "DABench": 22,
        "Parti Prompts": 22,
    }
    with pytest.raises(InvalidInput, match=r"has 40 prompts for 'SD 1\.5' and 41 are needed"):
        draw_pairs(rows, 123, seed=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": " "}, "row 1: prompt is ' '"),
        ({"model_b": None}, "row 1: model_b is None"),
        ({"image_b": "none.png"}, "1 pictures of .* are not there: .*none.png"),
    ],
)
def test_a_table_with_a_bad_cell_is_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_table(table(tmp_path, **change))


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(InvalidInput, match="cannot read"):
        read_table(path)
    path.write_text("architecture,prompt\n")
    with pytest.raises(InvalidInput, match="cannot read"):
        read_table(path)
    parquet.write_table(pa.table({"architecture": ["SD 1.5"], "prompt": ["a"]}), path)
    with pytest.raises(InvalidInput, match="missing: data_set, image_a, image_b, model_a, model_b"):
        read_table(path)
    parquet.write_table(pa.table({name: pa.array([], pa.string()) for name in COLUMNS}), path)
    with pytest.raises(InvalidInput, match="no row"):
        read_table(path)


def test_a_broken_picture_leaves_no_study(tmp_path: Path) -> None:
    made = table(tmp_path)
    (tmp_path / "blue.png").write_bytes((tmp_path / "blue.png").read_bytes()[:-30])
    with pytest.raises(InvalidInput, match="cannot read the picture"):
        create_study(read_table(made), tmp_path / "study.db", source="run.parquet", pairs=6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blue.png", "red.png", "run.parquet"]


def test_a_study_is_not_overwritten(study: Study, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="exists"):
        create_study(read_table(tmp_path / "run.parquet"), study.path, source="run.parquet", pairs=6)


@pytest.mark.parametrize("content", [b"", b"no database" * 1_000])
def test_another_file_is_no_study(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with pytest.raises(InvalidInput, match="there is no study"):
        Study.open(path)
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="no study"):
        Study.open(path)


# raters


def test_each_rater_has_an_order_and_sides_of_their_own_that_last(study: Study) -> None:
    ann, bob = study.join("Ann"), study.join("Bob")
    assert sorted(ann.order) == sorted(bob.order) == list(range(1, 13))
    assert ann.order != bob.order
    assert ann.answer_left != bob.answer_left
    assert sum(ann.answer_left) == sum(bob.answer_left) == 6
    assert Study.open(study.path).join("  ANN \u200b") == ann
    for name in ("", " \u200b", "x" * 81):
        with pytest.raises(InvalidInput, match="1 to 80 characters"):
            study.join(name)
    with pytest.raises(InvalidInput, match="nobody has joined"):
        study.rater("Eve")


def test_what_is_rated_is_counted_for_the_picture_not_for_the_side(study: Study) -> None:
    ann = study.join("Ann")
    for place, left in enumerate(ann.answer_left):
        study.rate(ann, place, "relevance", "left" if left else "right")
        study.rate(ann, place, "preference", "right" if left else "left")
    study.rate(ann, 0, "preference", "tie")
    said = Counter((rating.question, rating.answer) for rating in study.ratings())
    assert said == {("relevance", "win"): 12, ("preference", "lose"): 11, ("preference", "tie"): 1}


WRITER = """
import sys
from pathlib import Path
from finetune.study.store import QUESTIONS, Study
study = Study.open(Path(sys.argv[1]))
for name in sys.argv[2:]:
    rater = study.join(name)
    for place in range(len(study)):
        for question in QUESTIONS:
            study.rate(rater, place, question, "left")
"""


def test_several_processes_and_threads_write_at_once_and_lose_nothing(study: Study) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", WRITER, str(study.path)]
    writers = [subprocess.Popen([*command, "Both", name], env=environment) for name in ("One", "Two")]

    def rate(name: str) -> None:
        rater = study.join(name)
        for place in range(len(study)):
            for question in QUESTIONS:
                study.rate(rater, place, question, "tie")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(rate, ["a", "b", "c", "d"]))
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert Counter(rating.rater for rating in study.ratings()) == dict.fromkeys(
        ["Both", "One", "Two", "a", "b", "c", "d"], 24
    )


# over HTTP


class ScriptedRater:
    """Rates as a browser would, and looks at nothing but what the server sends."""

    def __init__(self, address: str, name: str, taste: str) -> None:
        self.name, self.taste = name, taste
        self.web = client(address)
        self.heard: list[bytes] = []

    def join(self) -> dict[str, Any]:
        return self._told(self.web.post("/api/join", json={"rater": self.name}))

    def rate_all(self, most: int = 1_000) -> None:
        following = self.join()["next"]
        while following is not None and most > 0:
            most -= 1
            asked = {"rater": self.name, "place": following}
            shown = self._told(self.web.get("/api/pair", params=asked))
            for question in QUESTIONS:
                if question not in shown["given"]:
                    side = self._side(following)
                    shown = self._told(
                        self.web.post("/api/rate", json={**asked, "question": question, "side": side})
                    )
                    assert shown["given"][question] == side
            following = shown["next"]

    def _side(self, place: int) -> str:
        if self.taste == "left":
            return "left"
        colours = {}
        for side in ("left", "right"):
            answer = self.web.get("/api/picture", params={"rater": self.name, "place": place, "side": side})
            self.heard.append(answer.content)
            colours[Image.open(io.BytesIO(answer.content)).getpixel((0, 0))] = side
        return colours[BLUE]

    def _told(self, answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        self.heard.append(answer.content)
        told: dict[str, Any] = answer.json()
        return told


def test_two_scripted_raters_rate_everything_blind(address: str, study: Study, tmp_path: Path) -> None:
    ann, bob = ScriptedRater(address, "Ann", "blue"), ScriptedRater(address, "Bob", "left")
    ann.rate_all(most=3)
    assert ann.join()["rated"] == 3  # as after a refresh
    # Ann goes on in two tabs while Bob rates
    tab = ScriptedRater(address, "ann", "blue")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(ScriptedRater.rate_all, (ann, tab, bob)))
    assert ann.join() == {"rater": "Ann", "pairs": 12, "rated": 12, "next": None}
    assert not any(b"Secret" in heard or b"v1-5" in heard or b".png" in heard for heard in ann.heard)
    ratings = study.ratings()
    assert Counter((rating.rater, rating.answer) for rating in ratings) == {
        ("Ann", "win"): 24,
        ("Bob", "win"): 12,
        ("Bob", "lose"): 12,
    }
    write_report(study, tmp_path / "report")
    figures = json.loads((tmp_path / "report" / "study.json").read_text())
    assert figures["raters"] == {"Ann": 24, "Bob": 24}
    assert figures["sides"]["left"] == 24 + 12
    whole = [each for each in figures["outcomes"] if each["data_set"] is None]
    assert [(each["architecture"], each["question"], each["pairs"]) for each in whole] == [
        ("SD 1.5", "relevance", 6),
        ("SDXL", "relevance", 6),
        ("SD 1.5", "preference", 6),
        ("SDXL", "preference", 6),
    ]
    assert sum(each["win"] for each in whole) == 36


def test_ratings_outlive_a_server_that_is_killed(study: Study) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "diffagent_tools", "study", "serve", str(study.path), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stderr is not None
        line = running.stderr.readline()
        address = line.split("raters open ")[1].split()[0]
        ScriptedRater(address, "Ann", "left").rate_all(most=5)
        running.kill()
        running.wait(timeout=30)
    assert Study.open(study.path).join("Ann").name == "Ann"
    assert len(study.given(study.join("Ann"))) == 5


def test_the_page_needs_nothing_from_elsewhere(address: str) -> None:
    with client(address) as web:
        for path in ("/", "/page.css", "/page.js"):
            answer = web.get(path)
            assert answer.status_code == 200
            assert "http://" not in answer.text
            assert "https://" not in answer.text
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "innerHTML" not in web.get("/page.js").text


def answer_of(rater: str, place: object, question: str, side: str) -> dict[str, Any]:
    return {"json": {"rater": rater, "place": place, "question": question, "side": side}}


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        (answer_of("Eve", 0, "relevance", "left"), 400, "nobody"),
        (answer_of("Ann", 12, "relevance", "left"), 400, "no pair 12"),
        (
            {"json": {"rater": "Ann", "place": "x", "question": "relevance", "side": "left"}},
            400,
            "whole number",
        ),
        (answer_of("Ann", 0, "beauty", "left"), 400, "no question"),
        (
            {"json": {"rater": "Ann", "place": 0, "question": "relevance", "side": "up"}},
            400,
            "no answer 'up'",
        ),
        ({"json": {"rater": 5, "place": 0}}, 400, "rater is missing"),
        ({"json": [1]}, 400, "no JSON object"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "no JSON"),
        ({"content": b"[" * 9_000, "headers": {"Content-Type": "application/json"}}, 400, "no JSON"),
        ({"content": b"rater=Ann"}, 415, "JSON"),
        ({"json": {"rater": "A" * 20_000}}, 413, "10,000 bytes"),
        ({"json": {}, "headers": {"Origin": "https://evil.example"}}, 403, "another site"),
        ({"json": {}, "headers": {"Host": "evil.example"}}, 403, "IP address"),
        ({"json": {}, "headers": {"Host": "[x"}}, 403, "IP address"),
    ],
)
def test_a_request_that_cannot_be_used_is_refused_and_the_server_goes_on(
    sent: dict[str, Any], status: int, said: str, address: str, study: Study
) -> None:
    study.join("Ann")
    with client(address) as web:
        answer = web.post("/api/rate", **sent)
        assert answer.status_code == status
        assert said in answer.json()["error"]
        assert web.get("/").status_code == 200
        assert web.get("/../study.db").status_code == 404
    assert study.ratings() == []


def test_a_study_that_is_gone_is_said_and_nothing_is_marked_as_saved(address: str, study: Study) -> None:
    study.join("Ann")
    for path in study.path.parent.glob("study.db*"):
        path.unlink()
    with client(address) as web:
        answer = web.post(
            "/api/rate", json={"rater": "Ann", "place": 0, "question": "relevance", "side": "tie"}
        )
    assert answer.status_code == 503
    assert "nothing was saved" in answer.json()["error"]


# the report


def ratings(win: int, tie: int, lose: int, *, rater: str = "Ann") -> list[Rating]:
    said = ["win"] * win + ["tie"] * tie + ["lose"] * lose
    return [
        Rating(rater, pair, "SD 1.5", "DABench", "relevance", answer, "left")  # type: ignore[arg-type]
        for pair, answer in enumerate(said)
    ]


@pytest.mark.parametrize(
    ("win", "lose", "percent"), [(503, 143, 78), (570, 92, 86), (235, 211, 53), (301, 222, 58)]
)
def test_the_counts_of_fig_5_give_the_papers_win_rates(win: int, lose: int, percent: int) -> None:
    whole, _ = outcomes(ratings(win, 0, lose))
    assert round(100 * whole.without_ties.mean) == percent


def test_outcomes_with_and_without_ties() -> None:
    whole, of_set = outcomes(ratings(6, 2, 2))
    assert (whole.data_set, of_set.data_set) == (None, "DABench")
    assert (whole.win, whole.tie, whole.lose, whole.pairs) == (6, 2, 2, 10)
    assert whole.without_ties.mean == 0.75
    assert whole.without_ties.low < 0.75 < whole.without_ties.high
    assert [round(each.mean, 3) for each in (whole.wins, whole.ties, whole.losses)] == [0.6, 0.2, 0.2]
    assert whole.alpha is None
    (ties, _) = outcomes(ratings(0, 3, 0))
    assert ties.without_ties.count == 0


def test_more_ratings_of_the_same_pairs_do_not_narrow_the_interval() -> None:
    (one, _), (many, _) = (
        outcomes(ratings(6, 0, 4)),
        outcomes([rating for name in "abcdefgh" for rating in ratings(6, 0, 4, rater=name)]),
    )
    assert many.win == 48
    assert (many.without_ties.low, many.without_ties.high) == (one.without_ties.low, one.without_ties.high)


def test_raters_agree_or_not() -> None:
    same = [*ratings(3, 2, 3), *ratings(3, 2, 3, rater="Bob")]
    assert agreement(same) == 1.0
    # the textbook's own table, units in columns; ordinal alpha 0.815 (Krippendorff 2011, example C)
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    import krippendorff
    import numpy as np

    found = krippendorff.alpha(np.array(table, dtype=float), level_of_measurement="ordinal")
    assert round(found, 3) == 0.815
    turned = [*ratings(4, 0, 4), *reversed_ratings(4)]
    assert (agreement(turned) or 0) < -0.5
    assert agreement(ratings(3, 2, 3)) is None
    assert agreement([*ratings(3, 0, 0), *ratings(3, 0, 0, rater="Bob")]) is None


def reversed_ratings(each: int) -> list[Rating]:
    turned = {"win": "lose", "lose": "win"}
    return [
        Rating("Bob", one.pair, one.architecture, one.data_set, one.question, turned[one.answer], "left")  # type: ignore[arg-type]
        for one in ratings(each, 0, each)
    ]


def test_the_command_from_the_table_to_the_plot(tmp_path: Path) -> None:
    study, report = tmp_path / "study.db", tmp_path / "report"

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli.app, ["study", *arguments])

    made = run("create", "--table", str(table(tmp_path)), "--output", str(study), "--pairs", "6")
    assert made.exit_code == 0, made.stderr
    assert "12 pairs" in made.stderr
    early = run("report", str(study), "--output", str(report))
    assert (early.exit_code, early.stdout) == (2, "")
    assert "nobody has rated" in early.stderr
    opened = Study.open(study)
    rater = opened.join("A|n*n <b>")
    opened.rate(rater, 0, "relevance", "tie")
    shown = run("report", str(study), "--output", str(report))
    assert shown.exit_code == 0, shown.stderr
    assert r"A\|n\*n \<b\> 1 of 24" in shown.stdout
    assert "not measured" in shown.stdout
    assert {path.name for path in report.iterdir()} == {
        f"study.{end}" for end in ("md", "csv", "json", "png")
    }
    assert Image.open(report / "study.png").size[0] > 800
    assert json.loads(run("report", str(study), "--output", str(report), "--json").stdout)["ratings"] == 1
    small = run("create", "--table", str(tmp_path / "run.parquet"), "--output", str(tmp_path / "b.db"))
    assert small.exit_code == 2
    assert "smaller --pairs" in small.stderr
    wrong = run("serve", str(tmp_path / "run.parquet"))
    assert wrong.exit_code == 2


def test_a_study_is_one_file_when_nobody_writes(study: Study) -> None:
    with sqlite3.connect(study.path) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    assert [path.name for path in study.path.parent.glob("study.db*")] == ["study.db"]

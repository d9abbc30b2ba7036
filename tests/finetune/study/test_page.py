"""The raters' page in a real browser: by keyboard, by touch, after a refresh, in two tabs, offline."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from study_world import SCRIPT, served, table

from finetune.study.create import create_study, read_table
from finetune.study.server import StudyServer
from finetune.study.store import Study

api = pytest.importorskip("playwright.sync_api")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    create_study(read_table(table(tmp_path)), tmp_path / "study.db", source="run.parquet", pairs=3, seed=3)
    return Study.open(tmp_path / "study.db")


@pytest.fixture
def server(study: Study) -> Iterator[StudyServer]:
    with served(study) as made:
        yield made


def start(page: Any, address: str, name: str) -> None:
    page.goto(address)
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#pair:not([hidden])")


def progress(page: Any, text: str) -> None:
    api.expect(page.locator("#progress")).to_have_text(text)


def test_two_raters_one_by_keyboard_and_one_on_a_phone(
    browser: Any, server: StudyServer, study: Study
) -> None:
    asked: list[str] = []
    desk = browser.new_context(color_scheme="dark")
    desk.on("request", lambda request: asked.append(request.url))
    ann = desk.new_page()
    start(ann, server.address, "Ann")
    for place in range(6):
        progress(ann, f"Pair {place + 1} of 6, {place} rated")
        ann.keyboard.press("1")
        api.expect(ann.locator("[data-question=relevance] [aria-pressed=true]")).to_contain_text("Left")
        if place == 2:  # a refresh between two answers loses none
            ann.reload()
            api.expect(ann.locator("[data-question=relevance] [aria-pressed=true]")).to_contain_text("Left")
        ann.keyboard.press("2")
        api.expect(ann.locator("#next")).to_be_focused()
        ann.keyboard.press("Enter")
    api.expect(ann.locator("#end")).to_be_visible()

    phone = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    bob = phone.new_page()
    start(bob, server.address, "Bob")
    for place in range(6):
        progress(bob, f"Pair {place + 1} of 6, {place} rated")
        wide = bob.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360
        for question in ("relevance", "preference"):
            bob.tap(f"[data-question={question}] [data-side=right]")
        bob.tap("#next")
    api.expect(bob.locator("#end")).to_be_visible()
    said = Counter((rating.rater, rating.question, rating.side) for rating in study.ratings())
    assert said == {
        ("Ann", "relevance", "left"): 6,
        ("Ann", "preference", "tie"): 6,
        ("Bob", "relevance", "right"): 6,
        ("Bob", "preference", "right"): 6,
    }
    assert all(url.startswith((server.address, "data:")) for url in asked)
    desk.close()
    phone.close()


def test_two_tabs_of_one_rater_lose_nothing_and_texts_stay_texts(
    browser: Any, server: StudyServer, study: Study
) -> None:
    context = browser.new_context()
    dialogs: list[str] = []
    first = context.new_page()
    first.on("dialog", lambda dialog: dialogs.append(dialog.message))
    start(first, server.address, "<b>Ann</b>")
    second = context.new_page()
    second.goto(server.address)  # the browser knows the rater
    progress(second, "Pair 1 of 6, 0 rated")
    first.click("[data-question=relevance] [data-side=left]")
    second.click("[data-question=preference] [data-side=right]")
    # the second tab hears of the first one's answer, and may change it
    api.expect(second.locator("[data-question=relevance] [aria-pressed=true]")).to_contain_text("Left")
    second.click("[data-question=relevance] [data-side=tie]")
    api.expect(second.locator("[data-question=relevance] [aria-pressed=true]")).to_contain_text("Tie")
    assert Counter((rating.question, rating.side) for rating in study.ratings()) == {
        ("relevance", "tie"): 1,
        ("preference", "right"): 1,
    }
    seen = set()
    for place in range(6):
        progress(second, f"Pair {place + 1} of 6, {max(1, place)} rated")
        seen.add(second.locator("#prompt").text_content())
        second.keyboard.press("1")
        second.keyboard.press("1")  # before the first answer is saved
        api.expect(second.locator("#next")).to_be_enabled()
        second.click("#next")
    assert SCRIPT in seen
    assert not dialogs
    assert "Rating as <b>Ann</b>." in (second.locator("#who").text_content() or "")
    context.close()


def test_a_server_that_is_gone_is_said_and_no_answer_is_marked(
    browser: Any, server: StudyServer, study: Study
) -> None:
    context = browser.new_context()
    page = context.new_page()
    start(page, server.address, "Ann")
    context.set_offline(True)
    page.keyboard.press("1")
    api.expect(page.locator("#problem")).to_contain_text("does not answer")
    assert page.locator("[aria-pressed=true]").count() == 0
    context.set_offline(False)
    page.keyboard.press("1")
    api.expect(page.locator("#problem")).to_be_hidden()
    assert len(study.ratings()) == 1
    context.close()

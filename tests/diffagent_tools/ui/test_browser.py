"""The page of `diffagent ui` in a headless Chromium, as a person uses it: keys, a phone's width, dark mode.

Skipped where there is no Chromium: `apt-get install chromium`, or name one in DIFFAGENT_CHROMIUM.
"""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from small_world import WordSelector, small_records

from diffagent_tools.chat.conversation import Conversation
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord

CORGI = "a happy corgi, pixel art"
EVIL = "<script>alert(1)</script> <img src=x onerror=alert(2)> ${alert(3)} {{x}}"
CHROMIUM = (
    os.environ.get("DIFFAGENT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
WAIT = 60_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is found on this machine")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    from diffagent_tools.ui.page import build_page, serve

    records = small_records()
    records[3]["model"] = f"Free Pixels {EVIL}"
    catalogue = Catalogue(ModelRecord.model_validate(record) for record in records)
    page = build_page(Conversation(WordSelector(catalogue), catalogue))
    yield serve(page, host="127.0.0.1", port=None, block=False)
    page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


class Person:
    """A page of its own, what it asked of the network, and what went wrong on it."""

    def __init__(self, browser: Any, address: str, **how: Any) -> None:
        self.context = browser.new_context(**how)
        self.context.set_default_timeout(WAIT)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.dialogs: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.goto(address)
        self.page.wait_for_selector("#message textarea")

    def answered(self, before: int) -> None:
        """Waits for one more answer."""
        script = "n => document.querySelectorAll('.da-bot:not(.da-wait)').length > n"
        self.page.wait_for_function(script, arg=before)

    @property
    def answers(self) -> int:
        return int(self.page.locator(".da-bot:not(.da-wait)").count())

    def say(self, message: str) -> None:
        """Types a message, sends it with Enter, and waits for the answer."""
        before = self.answers
        self.page.focus("#message textarea")
        self.page.keyboard.insert_text(message)
        self.page.keyboard.press("Enter")
        self.answered(before)

    def chosen(self, name: str) -> None:
        """Waits until this model is the chosen one."""
        self.page.locator("#chosen h2", has_text=name).wait_for()


@pytest.fixture
def person(browser: Any, address: str) -> Iterator[Person]:
    made = Person(browser, address, viewport={"width": 1280, "height": 900})
    yield made
    made.context.close()


def test_a_talk_by_keyboard_alone(person: Person) -> None:
    page = person.page
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    person.say(CORGI)
    person.chosen("Pixel Art Helper")
    assert page.locator("#message textarea").input_value() == ""
    person.say("make it wide")
    page.locator("#chosen", has_text="768x512").wait_for()
    before = person.answers
    button = page.get_by_role("button", name="Use number 2")
    button.focus()
    page.keyboard.press("Enter")
    person.answered(before)
    person.chosen("Free Pixels")
    assert page.locator("#chosen a").get_attribute("href") == "https://civitai.com/models/202"


def test_html_of_strangers_is_text_and_runs_nothing(person: Person) -> None:
    person.say(CORGI)
    person.page.locator("#alternative-2", has_text=EVIL).wait_for()
    person.say(EVIL)
    person.chosen(EVIL)
    assert EVIL in person.page.locator(".da-you").last.inner_text()
    assert person.page.locator("#chosen img, #talk img, #talk script").count() == 0
    assert person.dialogs == []


def test_a_failure_is_shown_and_the_session_goes_on(person: Person) -> None:
    person.say(CORGI)
    person.say("use flux")
    assert "No model of the catalogue passes" in person.page.locator(".da-failed").inner_text()
    assert person.page.locator("#message textarea").input_value() == "use flux"
    person.page.locator("#message textarea").fill("")
    person.say("another one")
    person.chosen("Free Pixels")


def test_parameters_are_validated_and_exports_copied(person: Person) -> None:
    page = person.page
    person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    person.say(CORGI)
    page.get_by_role("button", name="Parameters").click()
    page.get_by_label("Width").fill("770")
    before = person.answers
    page.locator("#apply").click()
    person.answered(before)
    assert "width 770 became 768" in page.locator(".da-bot").last.inner_text()
    page.wait_for_function("document.querySelector('[aria-label=\"Width\"]').value === '768'")
    page.locator("button[aria-label*='opy'], button[title*='opy']").first.click()
    page.wait_for_timeout(200)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "<lora:Pixel Art Helper:0.8>" in copied
    assert "Size: 768x512" in copied


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_in_either_scheme(browser: Any, address: str, scheme: str) -> None:
    person = Person(browser, address, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    person.say(CORGI)
    person.chosen("Pixel Art Helper")
    page = person.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert ("dark" in (page.locator("body").get_attribute("class") or "")) == (scheme == "dark")
    shade = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    assert (sum(shade) < 200) == (scheme == "dark")
    person.context.close()


def test_the_page_asks_nobody_but_its_server(person: Person, address: str) -> None:
    person.say(CORGI)
    person.chosen("Pixel Art Helper")
    elsewhere = [url for url in person.asked if not url.startswith((address, "data:", "blob:"))]
    assert elsewhere == []

"""The page of `diffagent ui` in a headless Chromium, as a person uses it: keys, a phone's width, dark mode.

Skipped where there is no Chromium: `apt-get install chromium`, or name one in DIFFAGENT_CHROMIUM.
"""

import io
import os
import shutil
import threading
from collections.abc import Iterator
from typing import Any, Unpack

import httpx
import pytest
from PIL import Image
from small_world import WordSelector, small_records

from diffagent_tools.chat.conversation import Conversation
from diffagent_tools.select.selection import Request, Selection
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord
from retrieval.search.filters import FilterWords

CORGI = "a happy corgi, pixel art"
EVIL = "<script>alert(1)</script> <img src=x onerror=alert(2)> ${alert(3)} {{x}}"
CHROMIUM = (
    os.environ.get("DIFFAGENT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
WAIT = 60_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is found on this machine")


GATE = threading.Event()
GATE.set()


class GatedSelector(WordSelector):
    """Answers when the gate is open."""

    def select(self, instruction: Request, *, k: int = 1, **given: Unpack[FilterWords]) -> list[Selection]:
        GATE.wait(WAIT / 1000)
        return super().select(instruction, k=k, **given)


ASKED: list[str] = []


def civitai(request: httpx.Request) -> httpx.Response:
    """Civitai with one safe picture and one that is not, of every model."""
    ASKED.append(request.url.path)
    if request.url.path.startswith("/api/"):
        url = "https://image.civitai.com/{}.jpeg"
        images = [
            {"url": url.format(name), "nsfwLevel": level} for name, level in (("safe", 1), ("explicit", 16))
        ]
        return httpx.Response(200, json={"images": images})
    made = io.BytesIO()
    Image.new("RGB", (64, 64), (30, 60, 200)).save(made, "JPEG")
    return httpx.Response(200, content=made.getvalue())


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    from diffagent_tools.ui.page import build_page, serve
    from diffagent_tools.ui.samples import SamplePictures

    records = small_records()
    records[3]["model"] = f"Free Pixels {EVIL}"
    catalogue = Catalogue(ModelRecord.model_validate(record) for record in records)
    samples = SamplePictures(httpx.MockTransport(civitai))
    page = build_page(Conversation(GatedSelector(catalogue), catalogue), samples=samples)
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
        self.page.get_by_label("Your message").focus()
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
    page.locator("#files", has_text="768x512").wait_for()
    before = person.answers
    button = page.get_by_role("button", name="Use number 2")
    button.focus()
    page.keyboard.press("Enter")
    person.answered(before)
    person.chosen("Free Pixels")
    assert page.locator("#files a").first.get_attribute("href") == "https://civitai.com/models/202"


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
    assert "There is no model for that" in person.page.locator(".da-failed").inner_text()
    person.page.wait_for_function("document.querySelector('#message textarea').value === 'use flux'")
    person.page.locator("#message textarea").fill("")
    person.say("another one")
    person.chosen("Free Pixels")


def test_parameters_are_validated_and_exports_copied(person: Person) -> None:
    page = person.page
    person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    person.say(CORGI)
    page.get_by_role("button", name="Change the settings").click()
    page.get_by_label("Width").fill("770")
    before = person.answers
    page.locator("#apply").click()
    person.answered(before)
    assert "width 770 became 768" in page.locator(".da-bot").last.inner_text()
    page.wait_for_function("document.querySelector('[aria-label=\"Width\"]').value === '768'")
    page.get_by_role("button", name="Copy for A1111 / Forge").click()
    page.locator("#done", has_text="paste this into the prompt box").wait_for()
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


TASKS = {
    "get a prompt into A1111": ("say: a happy corgi, pixel art", "press: Copy for A1111 / Forge"),
    "get a workflow for ComfyUI": ("press: a happy corgi, pixel art", "press: Save for ComfyUI"),
    "find something I may sell": ("say: a happy corgi, pixel art", "press: only models I may sell"),
    "make it wide": ("say: a happy corgi, pixel art", "press: make it wide"),
    "go back": ("say: a happy corgi, pixel art", "press: make it wide", "press: undo"),
    "something completely different": (
        "say: a happy corgi, pixel art",
        "say: something completely different",
    ),
    "take the second": ("say: a happy corgi, pixel art", "press: Use number 2"),
    "what is a LoRA?": ("say: a happy corgi, pixel art", "say: what is a LoRA?"),
    "more like a watercolour": ("say: a happy corgi, pixel art", "say: more like a watercolour"),
    "use a model that I know": ("say: a happy corgi, pixel art", "say: use Watercolor Wash"),
}
DONE = {
    "get a prompt into A1111": ("#done", "paste this into the prompt box"),
    "get a workflow for ComfyUI": ("#done", "drop the workflow"),
    "find something I may sell": ("#files", "You may sell the pictures."),
    "make it wide": ("#files", "768x512"),
    "go back": ("#files", "512x512"),
    "something completely different": ("#chosen h2", "SD XL"),
    "take the second": ("#chosen h2", "Free Pixels"),
    "what is a LoRA?": ("#talk", "A LoRA is a small file"),
    "more like a watercolour": ("#talk", "instead of"),
    "use a model that I know": ("#chosen h2", "Watercolor Wash"),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_beginner_does_it_by_what_can_be_seen(person: Person, task: str) -> None:
    assert len(TASKS[task]) <= 3
    for action in TASKS[task]:
        how, _, words = action.partition(": ")
        if how == "say":
            person.say(words)
        else:
            before = person.answers
            person.page.get_by_role("button", name=words, exact=True).click()
            if not words.startswith(("Copy", "Save")):
                person.answered(before)
    where, said = DONE[task]
    person.page.locator(where, has_text=said).first.wait_for()


def test_a_reload_keeps_the_talk_and_the_browser_keeps_no_word_of_it(person: Person) -> None:
    person.say(CORGI)
    person.chosen("Pixel Art Helper")
    person.page.reload()
    person.chosen("Pixel Art Helper")
    assert CORGI in person.page.locator(".da-you").inner_text()
    stored = person.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "corgi" not in stored
    databases = person.page.evaluate("indexedDB.databases().then(found => found.map(each => each.name))")
    assert not [name for name in databases if "run" in name.lower()]
    person.say("make it wide")
    person.page.locator("#files", has_text="768x512").wait_for()


def test_what_is_typed_while_an_answer_is_on_its_way_is_kept(person: Person) -> None:
    page = person.page
    GATE.clear()
    try:
        page.focus("#message textarea")
        page.keyboard.insert_text(CORGI)
        page.keyboard.press("Enter")
        page.locator(".da-wait").wait_for()
        assert page.locator("#message textarea").input_value() == ""
        page.keyboard.insert_text("make it wide")
        page.keyboard.press("Enter")
    finally:
        GATE.set()
    person.chosen("Pixel Art Helper")
    assert page.locator("#message textarea").input_value() == "make it wide"
    before = person.answers
    page.keyboard.press("Enter")
    person.answered(before)
    page.locator("#files", has_text="768x512").wait_for()


def test_an_answer_that_takes_too_long_is_stopped_and_its_message_kept(person: Person) -> None:
    page = person.page
    GATE.clear()
    try:
        page.focus("#message textarea")
        page.keyboard.insert_text(CORGI)
        page.keyboard.press("Enter")
        page.locator("#stop").click()
        page.locator(".da-wait").wait_for(state="detached")
        page.wait_for_function(f"document.querySelector('#message textarea').value === '{CORGI}'")
    finally:
        GATE.set()


def test_an_answer_moves_nothing_away_and_fits_the_narrowest_screen(browser: Any, address: str) -> None:
    person = Person(browser, address, viewport={"width": 320, "height": 640})
    before = person.answers
    person.page.get_by_role("button", name=CORGI, exact=True).click()
    person.answered(before)
    person.chosen("Pixel Art Helper")
    assert person.page.evaluate("[scrollX, scrollY]") == [0, 0]
    assert person.page.evaluate("document.documentElement.scrollWidth") <= 320
    person.context.close()


def test_the_examples_are_there_again_after_starting_over_or_a_greeting(person: Person) -> None:
    example = person.page.get_by_role("button", name=CORGI, exact=True)
    person.say("hello")
    example.wait_for()
    person.say(CORGI)
    example.wait_for(state="hidden")
    person.say("start over")
    example.wait_for()


def test_a_message_that_is_not_understood_is_added_only_on_request(person: Person) -> None:
    person.say(CORGI)
    person.say("can dogs fly?")
    assert "can dogs fly" not in person.page.locator("#chosen").inner_text()
    before = person.answers
    person.page.get_by_role("button", name="Yes, add it").click()
    person.answered(before)
    person.page.locator("#chosen", has_text="can dogs fly").wait_for()


def test_the_page_asks_nobody_but_its_server(person: Person, address: str) -> None:
    person.say(CORGI)
    person.chosen("Pixel Art Helper")
    elsewhere = [url for url in person.asked if not url.startswith((address, "data:", "blob:"))]
    assert elsewhere == []


def test_samples_are_shown_once_they_are_asked_for_and_the_browser_asks_nobody_else(
    person: Person, address: str
) -> None:
    ASKED.clear()
    page = person.page
    person.say(CORGI)
    person.chosen("Pixel Art Helper")
    assert (ASKED, page.locator("#samples img").count()) == ([], 0)
    page.get_by_role("button", name="Show Civitai's samples").click()
    shown = page.get_by_alt_text("Sample picture 1 of Pixel Art Helper")
    shown.wait_for()
    page.wait_for_function("document.querySelector('#samples img').naturalWidth === 64")
    assert ASKED == ["/api/v1/model-versions/2011", "/safe.jpeg"]
    assert page.get_by_role("button", name="Show Civitai's samples").count() == 0
    # whoever has asked once sees those of the next model, too
    person.say("2")
    page.get_by_alt_text("Sample picture 1 of Free Pixels").wait_for()
    assert [url for url in person.asked if not url.startswith((address, "data:", "blob:"))] == []
    # another visitor has not asked
    before = len(ASKED)
    page.reload()
    person.chosen("Free Pixels")
    person.say("make it wide")
    assert (len(ASKED), page.locator("#samples img").count()) == (before, 0)


def serious(page: Any) -> list[str]:
    """What axe finds of the two worst kinds."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    # a colour on its way from one to another is no colour of the page
    page.wait_for_function("document.getAnimations().every(each => each.playState !== 'running')")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_nothing_serious_in_any_state(
    browser: Any,
    address: str,
    width: int,
    scheme: str,
) -> None:
    person = Person(browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = person.page
    found = {"first": serious(page)}
    person.say(CORGI)
    page.get_by_role("button", name="Show Civitai's samples").click()
    page.locator("#samples img").wait_for()
    found["answer"] = serious(page)
    person.say("can dogs fly?")
    found["offer"] = serious(page)
    person.say("use flux")
    found["failed"] = serious(page)
    page.get_by_role("button", name="Change the settings").click()
    page.get_by_role("button", name="See the text for each program").click()
    if width > 500:  # a narrow row of tabs puts those that have no room behind a button
        page.get_by_role("tab", name="ComfyUI").click()
    page.get_by_role("button", name="Copy for A1111 / Forge").click()
    page.locator("#done p").wait_for()
    found["open"] = serious(page)
    page.locator("#message textarea").fill("")
    person.say("start over")
    found["over"] = serious(page)
    assert {state: faults for state, faults in found.items() if faults} == {}
    person.context.close()

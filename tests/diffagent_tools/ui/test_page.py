"""The page of `diffagent ui` without a browser: its text, and what Gradio's own client gets from it."""

import functools
import queue
import socket
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from small_world import INJECTION, WordSelector, small_catalogue, small_records

from diffagent_tools.chat.conversation import Conversation, State, Turn
from diffagent_tools.select.fit import fit_of
from diffagent_tools.select.selection import Selection
from diffagent_tools.select.selector import RetrievalSelector
from diffagent_tools.ui.card import alternative_html, chosen_html, files_html
from diffagent_tools.ui.html import Line, lines_of, log_html
from diffagent_tools.ui.page import EXAMPLES
from diffagent_tools.ui.sessions import MOST, Sessions
from retrieval.catalogue import Catalogue
from retrieval.errors import MissingModelFile
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord

CATALOGUE = small_catalogue()
CORGI = "a happy corgi, pixel art"
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>${alert(3)}{{x}}"


class Tags(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def evil_selection(**update: Any) -> Selection:
    record = small_records()[2] | {"model": EVIL, "description": EVIL, "trigger_words": [EVIL]}
    catalogue = Catalogue([ModelRecord.model_validate(record)])
    (found,) = WordSelector(catalogue).select(EVIL)
    return found.model_copy(update={"reason": EVIL, "notes": (EVIL,), **update})


@pytest.mark.parametrize(
    "html",
    [
        chosen_html(evil_selection(), CATALOGUE, "a wish"),
        alternative_html(evil_selection(), 2, evil_selection(), CATALOGUE),
        log_html([Line(EVIL, own=True), Line(EVIL, understood=(EVIL,), failed=True)]),
    ],
    ids=["chosen", "alternative", "log"],
)
def test_what_strangers_wrote_is_shown_as_text(html: str) -> None:
    page = Tags(html)
    assert EVIL in page.text
    assert not {"script", "img"} & set(page.tags)
    assert "${" not in html
    assert "{{" not in html


def test_hidden_characters_and_length_are_taken_out() -> None:
    selection = evil_selection()
    shown = selection.model_copy(
        update={"api": selection.api.model_copy(update={"model_description": INJECTION})}
    )
    html = chosen_html(shown, CATALOGUE)
    assert not set("\x1b\u202e") & set(html)
    assert len(html) < 6_000


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", " javascript:x", 'https://a/"onclick="x']
)
def test_a_link_is_an_address_of_the_web_or_none(url: str) -> None:
    html = alternative_html(evil_selection(page_url=url), 2, evil_selection(), CATALOGUE)
    assert ("<a " in html) == url.startswith("https://")
    Tags(html)


def test_the_answer_says_first_what_it_is_and_last_what_may_be_done_with_it() -> None:
    turn = Conversation(WordSelector(CATALOGUE), CATALOGUE).turn(CORGI, State())
    best = turn.state.best
    assert best is not None
    text = Tags(chosen_html(best, CATALOGUE, CORGI)).text + Tags(files_html(best, CATALOGUE)).text
    order = (
        "Pixel Art Helper",
        "Small sprites",
        "A fair match",
        "Why: 60% of",
        "Prompt",
        "Files",
        "models/Lora",
        "Checkpoint v1-5-pruned-emaonly",
        "You may not sell the pictures: Pixel Art Helper forbids it.",
        "512x512",
    )
    places = [text.index(said) for said in order]
    assert places == sorted(places)
    assert chosen_html(None, CATALOGUE) == files_html(None, CATALOGUE) == ""
    assert log_html(()).count("Or begin with one of these") == 1
    assert [line.own for line in lines_of(turn)] == [True, False]


def test_the_licence_takes_the_checkpoint_below_a_lora_into_account() -> None:
    records = small_records()
    records[2]["commercial_use"], records[0]["commercial_use"] = ["Image"], []
    catalogue = Catalogue(ModelRecord.model_validate(record) for record in records)
    best = Conversation(WordSelector(catalogue), catalogue).turn(CORGI, State()).state.best
    said = "You may not sell the pictures: v1-5-pruned-emaonly forbids it."
    assert said in Tags(files_html(best, catalogue)).text


def test_a_weak_match_looks_weak_and_says_what_would_help() -> None:
    found = WordSelector(CATALOGUE).select("blocky games", k=1)[0]
    weak = found.model_copy(update={"confidence": 0.01})
    html = chosen_html(weak, CATALOGUE)
    assert 'class="da-card da-weak"' in html
    assert "A weak match" in html
    assert "It helps to name a style" in html
    assert "da-weak" not in chosen_html(WordSelector(CATALOGUE).select(CORGI)[0], CATALOGUE)


def test_words_that_were_added_to_the_prompt_are_marked() -> None:
    (found,) = WordSelector(CATALOGUE).select("sprites of pets")
    html = chosen_html(found, CATALOGUE, "sprites of pets")
    assert html.count("<mark") == 1
    assert ">pixel art</mark>" in html
    assert "<mark" not in chosen_html(found, CATALOGUE)


def test_sessions_are_kept_by_their_names_and_the_oldest_go() -> None:
    sessions = Sessions()
    for number in range(MOST + 1):
        sessions.keep(f"session {number}", State(), (Line(str(number)),))
    sessions.keep("", State(), (Line("none"),))
    sessions.keep("x" * 1_000, State(), (Line("none"),))
    assert sessions.find("session 0") is None
    assert sessions.find(f"session {MOST}") == (State(), (Line(str(MOST)),))
    assert sessions.find("") is sessions.find("x" * 1_000) is None


@pytest.mark.parametrize("wish", EXAMPLES)
def test_every_example_of_the_first_screen_has_a_good_answer(wish: str) -> None:
    best = _starter().select(wish)[0]
    fit = fit_of(best)
    assert fit is not None
    assert fit.level == "strong"


@functools.cache
def _starter() -> RetrievalSelector:
    return RetrievalSelector(Catalogue.starter())


class Pictures:
    """Makes small pictures, or has no file; counts how many it makes at once."""

    def __init__(self) -> None:
        self.at_once = self.most = 0
        self.lines: queue.Queue[str] = queue.Queue()

    def render(self, api: T2IApi, *, seeds: list[int]) -> list[Any]:
        from PIL import Image

        if "Night" in api.model:
            raise MissingModelFile("the checkpoint is not in the folder. Fetch it with `diffagent fetch 204`")
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.lines.put("loading v1-5 on cpu")
        time.sleep(0.6)
        self.at_once -= 1
        return [Image.new("RGB", (64, 64), "navy")]


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return Pictures()


@pytest.fixture(scope="module")
def address(pictures: Pictures) -> Iterator[str]:
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    from diffagent_tools.ui.page import build_page, serve

    page = build_page(
        Conversation(WordSelector(CATALOGUE), CATALOGUE), pictures=pictures, progress=pictures.lines
    )
    yield serve(page, host="127.0.0.1", port=None, block=False)
    page.close()


class Visitor:
    """A session of Gradio's own client."""

    def __init__(self, address: str) -> None:
        from gradio_client import Client

        self._client = Client(address, verbose=False, analytics_enabled=False)

    def call(self, name: str, *values: Any) -> list[Any]:
        """What the page shows afterwards, without the states."""
        return list(self._client.predict(*values, api_name=name))

    def say(self, message: str) -> str:
        """The HTML of the talk and of the chosen model."""
        return "".join(part for part in map(_html, self.call("/say", message)) if part)


def _html(part: Any) -> str:
    value = part.get("value") if isinstance(part, dict) else part
    return value if isinstance(value, str) else ""


def test_a_request_is_answered_with_all_that_the_page_shows(address: str) -> None:
    visitor = Visitor(address)
    page = visitor.say(CORGI)
    assert "<h2>Pixel Art Helper</h2>" in page
    assert "2. Free Pixels" in page
    assert "&lt;lora:" not in page
    assert "<lora:Pixel Art Helper:0.8>" in page, "the export is text of its own part"
    assert "urn:air:sd1:lora:civitai:201@2011" in page
    assert "KSampler" in page
    assert "768x512" in visitor.say("make it wide")


def test_a_failing_request_says_why_and_the_session_goes_on(address: str) -> None:
    visitor = Visitor(address)
    visitor.say(CORGI)
    assert "There is no model for that" in visitor.say("use flux")
    assert "there is no number 9" in visitor.say("9")
    assert "<h2>Free Pixels</h2>" in visitor.say("another one")


def test_an_alternative_is_picked_and_fields_are_edited(address: str) -> None:
    visitor = Visitor(address)
    visitor.say(CORGI)
    assert any("<h2>Free Pixels</h2>" in _html(part) for part in visitor.call("/pick_2"))
    fields = [770, 512, 30, 7, None, None, "Euler a", "a corgi", ""]
    page = "".join(map(_html, visitor.call("/edit", *fields)))
    assert "width 770 became 768: the width must be a multiple of 8" in page
    assert "Steps: 30, Sampler: Euler a" in page
    fields[0] = None
    assert "the field width is empty" in "".join(map(_html, visitor.call("/edit", *fields)))


def test_ten_users_at_once_get_ten_right_answers(address: str) -> None:
    wishes = {
        CORGI: "Pixel Art Helper",
        "neon streets in the rain": "[red]Night[/] City",
        "blocky games": "Free Pixels",
        "watercolor wash": "Watercolor Wash",
        "the base of stable diffusion xl": "SD XL",
    }
    pairs = [*wishes.items()] * 2
    visitors = [Visitor(address) for _ in pairs]
    got: dict[int, list[str]] = {}

    def visit(place: int) -> None:
        wish, _ = pairs[place]
        got[place] = [
            visitors[place].say(wish),
            visitors[place].say("make it wide"),
            visitors[place].say("why?"),
        ]

    threads = [threading.Thread(target=visit, args=(place,)) for place in range(len(pairs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, (wish, model) in enumerate(pairs):
        assert all(f"<h2>{model}</h2>" in page for page in got[place]), wish
        others = set(wishes) - {wish}
        assert not any(f"<p>{other}</p>" in page for page in got[place] for other in others)


def test_pictures_are_made_one_after_the_other_with_progress(address: str, pictures: Pictures) -> None:
    visitors = [Visitor(address) for _ in range(2)]
    for visitor in visitors:
        visitor.say(CORGI)
    jobs = [visitor._client.submit(api_name="/draw") for visitor in visitors]
    results = [job.result() for job in jobs]
    assert all("Made in" in str(result) and "image" in str(result) for result in results)
    assert pictures.most == 1
    told = [str(output) for job in jobs for output in job.outputs()]
    assert any("loading v1-5 on cpu" in each for each in told)
    visitors[0].say("start over")
    visitors[0].say("neon streets in the rain")
    assert "No picture: the checkpoint is not in the folder." in str(visitors[0].call("/draw"))


def test_nothing_on_the_page_comes_from_elsewhere(address: str) -> None:
    import re

    import httpx

    answer = httpx.get(address)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(https?:)?//[^\"]+", answer.text)
    assert not loaded
    assert "fonts.googleapis" not in answer.text
    assert '"analytics_enabled":false' in answer.text.replace(" ", "").replace("False", "false")
    assert httpx.get(f"{address}theme.css").text.count("googleapis") == 0


def test_only_this_machine_may_connect_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    from typer.testing import CliRunner

    from diffagent_tools.cli import command as cli
    from diffagent_tools.cli import ui as ui_command
    from diffagent_tools.ui import page as ui

    asked: dict[str, Any] = {}

    class Served:
        def block_thread(self) -> None:
            asked["blocked"] = True

    def serve(page: Any, **options: Any) -> str:
        asked.update(options, loaded=bool(selector.asked))
        return "http://127.0.0.1:1"

    selector = WordSelector(CATALOGUE)
    monkeypatch.setattr(ui_command, "make_selector", lambda *options: selector)
    loaded: list[str] = []

    def load(path: Any) -> Catalogue:
        loaded.append("catalogue")
        return CATALOGUE

    monkeypatch.setattr(ui_command, "load_catalogue", load)
    monkeypatch.setattr(ui, "build_page", lambda *parts, **options: Served())
    monkeypatch.setattr(ui, "serve", serve)
    result = CliRunner().invoke(cli.app, ["ui"])
    assert result.exit_code == 0, result.output
    assert (asked["host"], asked["blocked"]) == ("127.0.0.1", True)
    # the page is there first, and what its answers need is loaded behind
    assert not asked["loaded"]
    assert len(selector.asked) == 1
    assert "the page is at http://127.0.0.1:1" in result.stderr
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        loaded.clear()
        taken = CliRunner().invoke(cli.app, ["ui", "--port", str(port)])
    assert taken.exit_code == 2
    assert f"error: port {port} of 127.0.0.1 cannot be used (Address already in use)" in taken.stderr
    assert loaded == [], "it is found out before anything is loaded"
    missing = CliRunner().invoke(cli.app, ["ui", "--models", "nowhere"])
    assert missing.exit_code == 2
    assert "there is no models folder nowhere" in missing.stderr


def test_a_turn_that_failed_keeps_what_was_there() -> None:
    turn = Turn("x", "no", State(), failed=True)
    assert 'da-bot da-failed"' in log_html(lines_of(turn))

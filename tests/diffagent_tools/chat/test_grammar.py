"""The grammar of refinements: what is one, what is something to draw, and what becomes of the request."""

import time

import pytest
from calls import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from diffagent_tools.chat.request import KEPT, Refined, StandingRequest, read_message, refine, sized
from retrieval.records.api import T2IApi

CORGI = StandingRequest(prompt="a happy corgi, pixel art")


def known(name: str, sure: bool) -> int | None:
    return 201 if name.casefold() == "pixel art helper" else None


def said(message: str, request: StandingRequest = CORGI) -> Refined:
    return refine(request, message, known)


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("make it wide", {"shape": "wide"}),
        ("Wider, please!", {"shape": "wide"}),
        ("in landscape format", {"shape": "wide"}),
        ("portrait", {"shape": "tall"}),
        ("make it a portrait", {"shape": "tall"}),
        ("can you make that square?", {"shape": "square"}),
        ("768x512", {"width": 768, "height": 512}),
        ("make it 768 by 512 pixels please", {"width": 768, "height": 512}),
        ("768 × 512", {"width": 768, "height": 512}),
        ("height 640", {"height": 640}),
        ("1024 pixels wide", {"width": 1024}),
        ("16:9", {"ratio": (16, 9)}),
        ("an aspect ratio of 7:3", {"ratio": (7, 3)}),
        ("--ar 3:2", {"ratio": (3, 2)}),
        ("bigger", {"scale": 1.25}),
        ("only LoRAs", {"type": "LORA"}),
        ("use a checkpoint", {"type": "Checkpoint"}),
        ("no loras", {"type": "Checkpoint"}),
        ("SDXL", {"base_model": "SDXL 1.0"}),
        ("use stable diffusion 1.5 instead", {"base_model": "SD 1.5"}),
        ("switch to pony", {"base_model": "Pony"}),
        ("flux models", {"base_model": "Flux.1 D"}),
        ("only models I may use commercially", {"commercial_use": True}),
        ("I want to sell it", {"commercial_use": True}),
        ("for commercial use", {"commercial_use": True}),
        ("30 steps", {"sampling_steps": 30}),
        ("cfg 5.5", {"cfg_scale": 5.5}),
        ("dpm++ 2m karras sampler", {"sampling_method": "DPM++ 2M Karras"}),
        ("more like a watercolour", {"prompt": "a happy corgi, watercolour"}),
        ("add a moon", {"prompt": "a happy corgi, pixel art, a moon"}),
        ("at night", {"prompt": "a happy corgi, pixel art, at night"}),
        ("a wide river", {"prompt": "a happy corgi, pixel art, a wide river"}),
        ("a portrait", {"prompt": "a happy corgi, pixel art, a portrait"}),
        ("pony", {"prompt": "a happy corgi, pixel art, pony"}),
        ("at 10:30", {"prompt": "a happy corgi, pixel art, at 10:30"}),
        ('"wide"', {"prompt": "a happy corgi, pixel art, wide"}),
        ("in black and white", {"prompt": "a happy corgi, pixel art, in black and white"}),
        ("no text", {"negative_prompt": "text"}),
        ("not so dark", {"negative_prompt": "dark"}),
        ("remove the pixel art", {"prompt": "a happy corgi"}),
        ("remove the moon", {"negative_prompt": "moon"}),
        ("replace the corgi with a cat", {"prompt": "a happy cat, pixel art"}),
        ("a happy cat instead of a happy corgi", {"prompt": "a happy cat, pixel art"}),
    ],
)
def test_a_follow_up(message: str, changes: dict[str, object]) -> None:
    refined = said(message)
    assert {name: getattr(refined.request, name) for name in changes} == changes
    others = {
        name for name in ("prompt", "shape", "ratio", "width", "type", "base_model") if name not in changes
    }
    assert all(getattr(refined.request, name) == getattr(CORGI, name) for name in others)
    assert refined.changed
    assert len(refined.understood) == 1
    assert refined.request.undone() == CORGI


def test_several_wishes_in_one_message() -> None:
    refined = said("No, make it wide and at night, only LoRAs. Also for SD 1.5")
    request = refined.request
    assert (request.shape, request.type, request.base_model) == ("wide", "LORA", "SD 1.5")
    assert request.prompt == "a happy corgi, pixel art, at night"
    assert refined.understood == (
        "wide",
        "only LoRAs",
        "only models for SD 1.5",
        'added "at night" to the prompt',
    )


@pytest.mark.parametrize("message", ["only LoRAs for SD 1.5", "SD 1.5 loras only", "use SD 1.5 LoRAs"])
def test_a_type_and_a_family_at_once(message: str) -> None:
    request = said(message).request
    assert (request.type, request.base_model, request.prompt) == ("LORA", "SD 1.5", CORGI.prompt)
    assert said("happy loras").request.type is None


@pytest.mark.parametrize(
    ("message", "act"),
    [
        ("another one", ("another", None)),
        ("show me something else", ("another", None)),
        ("not that model", ("refuse", None)),
        ("no, not this one", ("refuse", None)),
        ("no", ("no", None)),
        ("not Pixel Art Helper", ("refuse", 201)),
        ("use the model pixel art helper", ("take", 201)),
        ("2", ("pick", 2)),
        ("take the third one", ("pick", 3)),
        ("the last one", ("pick", -1)),
        ("undo", ("undo", None)),
        ("go back", ("undo", None)),
    ],
)
def test_acts_on_the_models(message: str, act: tuple[str, object]) -> None:
    refined = said(message)
    assert [(step.kind, step.value) for step in refined.acts] == [act]
    assert refined.request == CORGI
    assert not refined.changed


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("may I sell it?", "licence"),
        ("Can I use this commercially?", "licence"),
        ("is commercial use allowed", "licence"),
        ("what's the licence?", "licence"),
        ("why?", "why"),
        ("why did you choose that?", "why"),
        ("what have you understood?", "show"),
        ("help", "help"),
        ("thanks!", "thanks"),
    ],
)
def test_questions_change_nothing(message: str, kind: str) -> None:
    refined = said(message)
    assert [step.kind for step in refined.questions] == [kind]
    assert refined.request is CORGI


@pytest.mark.parametrize(
    ("message", "prompt"),
    [
        ("a happy corgi, pixel art", "a happy corgi, pixel art"),
        ("portrait, a woman", "portrait, a woman"),
        ("a landscape; oil painting", "a landscape; oil painting"),
        ("another world", "another world"),
        ("a pony", "a pony"),
        ("2", "2"),
        (
            "masterpiece, (best:1.2), 1girl, <lora:x:0.8>. Wow",
            "masterpiece, (best:1.2), 1girl, <lora:x:0.8>. Wow",
        ),
        ("no man is an island", "no man is an island"),
    ],
)
def test_a_first_message_is_taken_as_it_is(message: str, prompt: str) -> None:
    refined = refine(StandingRequest(), message, known)
    assert refined.request == StandingRequest(prompt=prompt)
    assert refined.request.history == ()


def test_a_first_message_may_say_how() -> None:
    request = refine(StandingRequest(), "a corgi in 768x512, no people, only checkpoints, SD 1.5").request
    assert request == StandingRequest(
        prompt="a corgi",
        negative_prompt="people",
        width=768,
        height=512,
        type="Checkpoint",
        base_model="SD 1.5",
    )


@pytest.mark.parametrize(
    ("message", "after"),
    [
        ("start over", StandingRequest()),
        ("new picture: a castle, SDXL", StandingRequest(prompt="a castle", base_model="SDXL 1.0")),
        ("forget everything.", StandingRequest()),
    ],
)
def test_starting_over_can_be_undone(message: str, after: StandingRequest) -> None:
    wide = said("wide, 30 steps").request
    refined = said(message, wide)
    assert refined.request == after
    assert refined.request.undone() == wide


def test_the_history_is_bounded_and_ends() -> None:
    request = CORGI
    for place in range(2 * KEPT):
        request = said(f"thing {place}", request).request
    assert len(request.history) == KEPT
    assert request.history[-1].history == ()
    for _ in range(2 * KEPT):
        request = request.undone()
    assert request.prompt.endswith(f"thing {KEPT - 1}")


def test_a_pinned_model_stays_until_another_kind_is_asked_for() -> None:
    pinned = CORGI.after(pinned=202, seen=(201,))
    assert said("at night", pinned).request.pinned == 202
    assert said("at night", pinned).request.seen == (201,)
    assert said("now draw a castle", pinned).request.seen == ()
    assert said("more like a watercolour", pinned).request.pinned is None
    assert said("SDXL", pinned).request.pinned is None


def api(base_model: str, width: int, height: int) -> T2IApi:
    return checkpoint(base_model=base_model, width=width, height=height)


@pytest.mark.parametrize(
    ("call", "wish", "size"),
    [
        (api("SD 1.5", 512, 512), "", (512, 512)),
        (api("SD 1.5", 512, 512), "wide", (768, 512)),
        (api("SD 1.5", 512, 512), "16:9", (896, 512)),
        (api("SD 1.5", 512, 768), "wide", (768, 512)),
        (api("SD 1.5", 640, 960), "tall", (640, 960)),
        (api("SD 1.5", 512, 768), "square", (512, 512)),
        (api("SDXL 1.0", 1024, 1024), "wide", (1280, 832)),
        (api("SDXL 1.0", 1024, 1024), "2:3", (832, 1280)),
        (api("SDXL 1.0", 832, 1216), "bigger", (1024, 1536)),
        (api("SD 1.5", 512, 512), "640x384", (640, 384)),
        (api("SD 1.5", 512, 512), "height 640", (512, 640)),
    ],
)
def test_a_shape_is_made_at_the_resolution_of_the_model(
    call: T2IApi, wish: str, size: tuple[int, int]
) -> None:
    assert sized(call, said(wish).request) == size


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_read_and_what_is_drawn_comes_from_the_message(first: str, second: str) -> None:
    one = refine(StandingRequest(), first, known)
    two = refine(one.request, second, known)
    for refined in (one, two):
        assert len(refined.request.history) <= KEPT
        assert all("\n" not in words for words in refined.understood)
    if first.strip() and not read_message(first.strip(), follows=False):
        assert one.request.prompt == ""


def test_long_messages_are_read_at_once() -> None:
    for text in (
        "make it " * 3_000,
        "a, " * 7_000,
        "and " * 6_000,
        "only " * 5_000,
        "replace a with " * 2_000,
    ):
        assert said(text).request.prompt


def test_a_message_of_spaces_is_read_in_a_moment() -> None:
    begin = time.process_time()
    read_message("a fox" + " " * 20_000 + "by night", follows=True)
    assert time.process_time() - begin < 2

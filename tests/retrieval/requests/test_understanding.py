"""What a sentence is understood to ask for; what is not understood stays in the wish."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retrieval.requests.nothing import NO_FIGURES, ONLY_REFUSED
from retrieval.requests.understanding import reads_as_prompt, understand

NAMES = {"DreamShaper": 1, "ReV Animated": 2, "majicMIX realistic": 3, "Night": 4}


def names(name: str, sure: bool) -> int | None:
    """Exact names; "Night" is an everyday word, so that it must be said to be a model."""
    return None if name == "Night" and not sure else NAMES.get(name)


@pytest.mark.parametrize(
    ("text", "wish", "refused"),
    [
        ("archer queen, not chibi", "archer queen", ("chibi",)),
        ("a cat, but please no pixel art", "a cat", ("pixel art",)),
        ("a girl under a tree, I don't want a cartoon", "a girl under a tree", ("cartoon",)),
        ("harbour at dusk without any cyberpunk look", "harbour at dusk", ("cyberpunk",)),
        ("a tired baker, nothing photorealistic", "a tired baker", ("photorealistic",)),
        ("a dragon, avoid 3d renders", "a dragon", ("3d renders",)),
        ("a cafe - no anime, no cartoon", "a cafe", ("anime", "cartoon")),
        ("a station, nothing in black and white", "a station", ("black and white",)),
        ("a logo, not 3d or realistic", "a logo", ("3d", "realistic")),
        ("a castle, it should not look like a photo", "a castle", ("photo",)),
        ("a fox, anything but anime please", "a fox", ("anime",)),
        ("a fox that is not far away", "a fox that is not far away", ()),
        ("nobody on the beach", "nobody on the beach", ()),
    ],
)
def test_what_is_refused_leaves_the_wish(text: str, wish: str, refused: tuple[str, ...]) -> None:
    found = understand(text)
    assert (found.wish, found.refused) == (wish, refused)


@pytest.mark.parametrize(
    ("text", "named", "wish"),
    [
        ("use DreamShaper to draw a windmill", 1, "a windmill"),
        ("a windmill with ReV Animated", 2, "a windmill"),
        ("majicMIX realistic: a woman at a piano", 3, "a woman at a piano"),
        ("DreamShaper, a temple in the clouds", 1, "a temple in the clouds"),
        ('a temple, please use "ReV Animated"', 2, "a temple"),
        ("a temple <lora:DreamShaper:0.6>", 1, "a temple"),
        ("use the model Night for a lake", 4, "a lake"),
        ("a lake at Night", None, "a lake at Night"),
        ("a girl with Night in her eyes", None, "a girl with Night in her eyes"),
        ("use Whatever to draw a fox", None, "use Whatever to draw a fox"),
    ],
)
def test_a_named_model_is_taken(text: str, named: int | None, wish: str) -> None:
    found = understand(text, names)
    assert (found.named, found.wish) == (named, wish)


def test_a_refused_model_is_not_taken() -> None:
    assert understand("a fox, don't use DreamShaper", names).named is None


def test_the_weight_of_a_lora_tag_is_read() -> None:
    assert understand("a temple <lora:DreamShaper:0.6>", names).lora_weight == 0.6
    assert understand("a temple <lora:Unknown:0.6>", names).named is None


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "Hola!",
        "こんにちは",
        "Bonjour, how are you today?",
        "what is the longest river of asia",
        "please summarise this report for me",
        "translate see you tomorrow into dutch",
        "write a poem about autumn",
        "lorem ipsum dolor sit amet",
        "who are you?",
        "xkcdqw zzzrtpl",
    ],
)
def test_a_text_that_asks_for_no_picture(text: str) -> None:
    assert understand(text).nothing is not None


@pytest.mark.parametrize(
    "text",
    [
        "what a fox looks like in the snow, as a painting",
        "can you draw a dog?",
        "write hello in the sand, photo",
        "a teacher explaining maths, comic",
        "hello kitty style icon of a robot",
        "eine rote Katze im Schnee",
        "a bonjour sign in a Paris cafe",
    ],
)
def test_a_wish_in_any_form_is_one(text: str) -> None:
    assert understand(text).nothing is None


def test_only_refusals_and_exact_figures_have_answers_of_their_own() -> None:
    assert understand("no people, no text").nothing == ONLY_REFUSED
    assert understand("a bar chart of our sales with exact numbers").nothing == NO_FIGURES


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("can you please make me a logo for my bakery", "a logo for my bakery"),
        ("I would like to have a picture of a red fox, thanks", "a red fox"),
        ("Hi! I'm looking for a watercolor of a bridge please", "a watercolor of a bridge"),
        ("I need a photo of a cat", "a photo of a cat"),
        ("draw", "draw"),
    ],
)
def test_politeness_is_no_evidence(text: str, wish: str) -> None:
    assert understand(text).wish == wish


def test_licence_family_and_kind_are_filters() -> None:
    found = understand("a fox in the snow that I can sell, with SDXL")
    assert (found.wish, found.commercial_use, found.base_model) == ("a fox in the snow", True, "SDXL 1.0")
    found = understand("find me a LoRA for stained glass, for commercial use")
    assert (found.wish, found.type, found.commercial_use) == ("stained glass", "LORA", True)
    assert understand("a wild pony on a hill").base_model is None


def test_contradictions_keep_both_sides() -> None:
    found = understand("pixel art, no pixel art")
    assert (found.wish, found.refused, found.nothing) == ("pixel art", ("pixel art",), None)


def test_prompts_of_uploaders_go_through() -> None:
    tags = "masterpiece, best quality, 1girl, no humans, (white dress:1.2)"
    assert reads_as_prompt(tags)
    assert understand(tags, sentence=False).wish == tags
    assert not reads_as_prompt("a red fox in the snow, watercolor, no people")


SUBJECTS = st.sampled_from(("a red fox", "two boats on a lake", "my grandmother", "an empty street"))
STYLES = st.sampled_from(("anime", "pixel art", "watercolor", "black and white", "3d renders"))
REFUSALS = st.sampled_from(
    (", no {}", ", not {}", " without any {}", ", but please avoid {}", ", I don't want {}")
)
POLITE = st.sampled_from(("{}", "please draw {}", "can you make me {}", "I need {}"))
SHAPES = st.sampled_from(((", 16:9", (16, 9)), (", 9:16", (9, 16)), (" in square format", None), ("", None)))


@given(SUBJECTS, STYLES, REFUSALS, POLITE, SHAPES)
def test_a_made_wish_is_found_again(
    subject: str, style: str, refusal: str, polite: str, shape: tuple[str, tuple[int, int] | None]
) -> None:
    found = understand(polite.format(subject + shape[0] + refusal.format(style)))
    assert found.wish == subject
    assert found.refused == (style,)
    assert found.ratio == shape[1]
    assert found.nothing is None


@given(st.text(max_size=300))
@example("no")
@example("not , no")
@example('use "" to draw')
@example("<lora:a:9.9999>")
def test_any_text_is_understood_somehow(text: str) -> None:
    found = understand(text, names)
    assert found.nothing or found.wish.strip() or not text.strip()
    assert all(part.strip() for part in found.refused)

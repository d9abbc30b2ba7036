"""Two tables of what people say to a chat that refines a picture, and what each phrase must do.

phrases.txt was written with the grammar; kept_phrases.txt after it. A line is what is done, a bar, and what
is said: `+moon` is now in the wish, `-boat` no longer, `!people` is refused; the rest names a field, an act
or a question. All that a phrase does must be named.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from diffagent_tools.chat.request import StandingRequest, refine

WISH = StandingRequest(prompt="a happy corgi on a lake with a boat, pixel art")
MODELS = {"pixel art helper": 201, "free pixels": 202}
FIELDS = {
    "shape": "shape",
    "ratio": "ratio",
    "type": "type",
    "base_model": "family",
    "sampling_steps": "steps",
    "cfg_scale": "cfg",
    "sampling_method": "sampler",
    "lora_weight": "weight",
    "clip_skip": "clip",
}
SET = WISH.after(
    shape="wide", base_model="SD 1.5", type="LORA", commercial_use=True, sampling_steps=40, seen=(201,)
)


def lines(name: str) -> list[tuple[str, str]]:
    """What is done, and what is said, of each line of a table."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(done.strip(), said.strip()) for done, said in (row.split("|", 1) for row in rows)]


def known(name: str, sure: bool) -> int | None:
    return MODELS.get(name.casefold())


def done(message: str, request: StandingRequest) -> Iterator[str]:
    """All that a message does beside the wording of the wish."""
    refined = refine(request, message, known)
    after = refined.request
    if "started over" in refined.understood:
        yield "over"
        return
    if "a new picture" in refined.understood:
        yield f"fresh {after.prompt}"
        return
    for field, name in FIELDS.items():
        value = getattr(after, field)
        if name == "type" and value != getattr(request, field):
            yield f"type {value or 'any'}"
        elif value != getattr(request, field) and value is not None:
            shown = f"{value[0]}:{value[1]}" if isinstance(value, tuple) else value
            yield f"{name} {shown:g}" if isinstance(shown, float) else f"{name} {shown}"
    if after.width and after.width != request.width:
        yield f"size {after.width}x{after.height}"
    if after.commercial_use != request.commercial_use:
        yield "sell yes" if after.commercial_use else "sell any"
    if after.scale != request.scale:
        yield "scale up" if after.scale > request.scale else "scale down"
    for act in refined.acts:
        if act.kind == "nudge":
            yield f"nudge {act.value[0]} {'up' if act.value[1] > 1 else 'down'}"
        else:
            yield act.kind if act.value is None else f"{act.kind} {act.value}"
    for question in refined.questions:
        yield f"ask {question.value}" if question.kind == "ask" else question.kind


@pytest.mark.parametrize(
    ("expected", "message"), [*lines("phrases.txt"), *lines("kept_phrases.txt")], ids=lambda text: text
)
def test_a_phrase_does_what_a_person_means(expected: str, message: str) -> None:
    wanted = [item.strip() for item in expected.split(";")]
    start = SET if wanted[0].startswith(("sell any", "type any", "free")) else WISH
    found = list(done(message, start))
    after = refine(start, message, known).request
    worded = [item for item in wanted if item[0] in "+-!"]
    told = [item for item in wanted if item[0] not in "+-!"]
    if told and told[0].startswith("free"):
        free = {"free filters": "base_model", "free size": "shape", "free settings": "sampling_steps"}
        assert getattr(after, free[told[0]]) is None
        return
    assert found == told
    for item in worded:
        sign, words = item[0], item[1:].casefold()
        text = (after.negative_prompt if sign == "!" else after.prompt).casefold()
        assert (words in text) == (sign != "-"), f"{after.prompt!r}, not {after.negative_prompt!r}"
    if not told or told[0].split()[0] not in ("over", "fresh"):
        signs = {item[0] for item in worded}
        assert (after.prompt != start.prompt) == bool(signs & set("+-"))
        assert (after.negative_prompt != start.negative_prompt) == ("!" in signs)


def test_the_tables_are_large_enough() -> None:
    assert len(lines("phrases.txt")) + len(lines("kept_phrases.txt")) >= 300
    assert len(lines("kept_phrases.txt")) >= 100
    said = [message for _, message in (*lines("phrases.txt"), *lines("kept_phrases.txt"))]
    assert len(set(said)) == len(said)

"""Lines of progress beside an answer: the first one, and then one now and then."""

from diffagent_tools.progress import LINE_SECONDS, now_and_then


def test_the_first_line_is_passed_on_and_then_one_a_while() -> None:
    said: list[str] = []
    now = 100.0
    tell = now_and_then(said.append, clock=lambda: now)
    tell("building")
    for step in range(5):
        now += 1
        tell(f"{step} of 5")
    assert said == ["building"]
    now += LINE_SECONDS
    tell("4 of 5")
    tell("5 of 5")
    assert said == ["building", "4 of 5"]

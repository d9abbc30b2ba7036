"""Lines of progress beside an answer: what begins, and of its counts one now and then."""

from diffagent_tools.cli.progress import LINE_SECONDS, now_and_then


def test_what_begins_is_passed_on_at_once_and_a_count_once_in_a_while() -> None:
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
    tell("read 1,000 of 3,000 models")
    tell("read 2,000 of 3,000 models")
    tell("downloading the model")
    assert said[2:] == ["read 1,000 of 3,000 models", "downloading the model"]

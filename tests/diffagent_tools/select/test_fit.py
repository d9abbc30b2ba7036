"""How well a model fits, in words."""

import pytest
from small_world import WordSelector, small_catalogue

from diffagent_tools.agents.text import selection_text
from diffagent_tools.select.fit import fit_of
from diffagent_tools.select.selection import Evidence, Selection

TOLD = Evidence(made_for=("watercolor",))


def selection(confidence: float | None, evidence: Evidence, *, abstained: bool = False) -> Selection:
    (found,) = WordSelector(small_catalogue()).select("a corgi, pixel art")
    update = {"confidence": confidence, "evidence": evidence, "abstained": abstained}
    return found.model_copy(update=update)


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (selection(0.9, TOLD), "strong"),
        (selection(0.5, TOLD), "fair"),
        (selection(0.01, TOLD), "weak"),
        (selection(0.9, Evidence()), "weak"),
        (selection(0.9, Evidence(name_said=True)), "strong"),
        (selection(0.9, Evidence(all_round=True)), "strong"),
        (selection(0.2, Evidence(all_round=True)), "weak"),
        (selection(None, TOLD, abstained=True), "weak"),
    ],
)
def test_the_fit_follows_chance_and_evidence(found: Selection, level: str) -> None:
    fit = fit_of(found)
    assert fit is not None
    assert fit.level == level
    assert bool(fit.advice) == (level == "weak")


def test_what_nobody_measured_has_no_fit() -> None:
    assert fit_of(selection(None, TOLD)) is None


def test_a_calling_model_reads_the_fit_and_what_was_understood() -> None:
    found = selection(0.01, Evidence()).model_copy(update={"understood": ("not: people",)})
    text = selection_text(1, found, small_catalogue())
    assert "a weak match (confidence 0.01)" in text
    assert "understood: not: people" in text
    assert "what would help: It helps to name a style" in text

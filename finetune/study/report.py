"""What the raters of a user study said: win rates, their intervals, how far raters agree, and Fig. 5.

    diffagent study report study.db --output report      # study.md, .csv, .json, .png

Win rates are DiffAgent's, of all ratings of an architecture and a question: without ties, wins / (wins +
losses), as in the paper's Fig. 5; and with them, as shares of all. Ratings of one pair hang together, so the
intervals are bootstrapped over pairs. Raters agree by Krippendorff's alpha for ordered values (lose < tie <
win): 1 is agreement, 0 what chance would give.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffagent_tools.extras import require
from finetune.evaluate.metrics import Interval, bootstrap_ratio
from finetune.evaluate.write import percent, write_table
from finetune.study.store import QUESTIONS, Answer, Question, Rating, Study
from retrieval.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES: dict[Question, str] = {"relevance": "Relevance with prompt", "preference": "Human preference"}
_VALUES: dict[Answer, float] = {"lose": 0.0, "tie": 1.0, "win": 2.0}
# of Okabe and Ito's palette, which the colour-blind can tell apart
_COLOURS = {"DiffAgent win": "#0072B2", "Tie": "#BBBBBB", "Baseline win": "#E69F00"}


@dataclass(frozen=True)
class Outcome:
    """The ratings of one architecture, or one of its data sets, on one question.

    `without_ties`: wins / (wins + losses); `wins`, `ties`, `losses`: shares of all ratings. `alpha` is None
    where it is not defined: one rater, no pair that two rated, or one answer throughout.
    """

    architecture: str
    data_set: str | None
    question: Question
    win: int
    tie: int
    lose: int
    pairs: int
    without_ties: Interval
    wins: Interval
    ties: Interval
    losses: Interval
    alpha: float | None


def outcomes(ratings: Sequence[Rating]) -> list[Outcome]:
    """For each question and architecture: over all data sets, then each of them."""
    found = []
    for question in QUESTIONS:
        asked = [rating for rating in ratings if rating.question == question]
        for architecture in sorted({rating.architecture for rating in asked}):
            here = [rating for rating in asked if rating.architecture == architecture]
            found.append(_outcome(here, architecture, None, question))
            for name in sorted({rating.data_set for rating in here}):
                of_set = [rating for rating in here if rating.data_set == name]
                found.append(_outcome(of_set, architecture, name, question))
    return found


def agreement(ratings: Sequence[Rating]) -> float | None:
    """Krippendorff's alpha of ratings of one question; None where it is not defined."""
    raters = sorted({rating.rater for rating in ratings})
    pairs = sorted({rating.pair for rating in ratings})
    rows, columns = ({name: i for i, name in enumerate(names)} for names in (raters, pairs))
    table = np.full((len(raters), len(pairs)), np.nan)
    for rating in ratings:
        table[rows[rating.rater], columns[rating.pair]] = _VALUES[rating.answer]
    shared = table[:, (~np.isnan(table)).sum(0) >= 2]
    if len(np.unique(shared[~np.isnan(shared)])) < 2:
        return None
    import krippendorff

    return float(krippendorff.alpha(reliability_data=shared, level_of_measurement="ordinal"))


def write_report(study: Study, folder: Path) -> None:
    """Writes study.md, .csv, .json and .png.

    Raises:
        MissingExtra: what computes and draws the report is not installed.
        InvalidInput: nobody has rated yet.
        StorageError: the folder cannot be written.
    """
    for module in ("krippendorff", "matplotlib"):
        require(module)
    ratings = study.ratings()
    if not ratings:
        raise InvalidInput(f"nobody has rated {study.path} yet; raters need `diffagent study serve`")
    found = outcomes(ratings)
    raters = Counter(rating.rater for rating in ratings)
    sides = Counter(rating.side for rating in ratings)
    figures = {
        "table": study.source,
        "seed": study.seed,
        "pairs": len(study),
        "ratings": len(ratings),
        "raters": dict(raters),
        "sides": dict(sides),
        "outcomes": [asdict(outcome) for outcome in found],
    }
    whole = [outcome for outcome in found if outcome.data_set is None]
    write_table(
        folder,
        "study",
        markdown=_markdown(study, found, raters, sides),
        rows=[_row(outcome) for outcome in found],
        figures=figures,
        plot=lambda figure: draw(figure, whole),
        size=(10, 4.5),
    )


def draw(figure: "Figure", found: Sequence[Outcome]) -> None:
    """Fig. 5: for each question a bar an architecture, DiffAgent's wins at the bottom, ties in the middle,
    the baseline's wins on top, with their counts; above it the win rate without ties."""
    panels = figure.subplots(1, len(QUESTIONS), squeeze=False)[0]
    for panel, question, letter in zip(panels, QUESTIONS, "ab", strict=True):
        bars = [outcome for outcome in found if outcome.question == question]
        names = [outcome.architecture for outcome in bars]
        bottom = np.zeros(len(bars))
        counts = {
            "DiffAgent win": [outcome.win for outcome in bars],
            "Tie": [outcome.tie for outcome in bars],
            "Baseline win": [outcome.lose for outcome in bars],
        }
        totals = np.maximum(1, np.sum(list(counts.values()), axis=0))
        for label, values in counts.items():
            heights = 100 * np.asarray(values) / totals
            drawn = panel.bar(names, heights, 0.55, bottom=bottom, color=_COLOURS[label], label=label)
            shown = [str(value) if height > 4 else "" for value, height in zip(values, heights, strict=True)]
            panel.bar_label(
                drawn, shown, label_type="center", color="white" if "DiffAgent" in label else "black"
            )
            bottom += heights
        for place, outcome in enumerate(bars):
            rate = outcome.without_ties
            text = f"{100 * rate.mean:.0f}%" if rate.count else "ties only"
            panel.text(place, 101.5, text, ha="center", fontweight="bold")
        panel.set_ylim(0, 112)
        panel.set_xlim(-0.6, max(1, len(bars)) - 0.4)
        panel.set_yticks(range(0, 101, 20))
        panel.set_ylabel("ratings, %; above the bar: win rate without ties")
        panel.set_title(f"({letter}) {TITLES[question]}")
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)


def _outcome(
    ratings: Sequence[Rating], architecture: str, data_set: str | None, question: Question
) -> Outcome:
    pairs = sorted({rating.pair for rating in ratings})
    tally = {pair: Counter[Answer]() for pair in pairs}
    for rating in ratings:
        tally[rating.pair][rating.answer] += 1
    answers: tuple[Answer, ...] = ("win", "tie", "lose")
    win, tie, lose = ([tally[pair][answer] for pair in pairs] for answer in answers)
    every = [sum(tally[pair].values()) for pair in pairs]
    return Outcome(
        architecture=architecture,
        data_set=data_set,
        question=question,
        win=sum(win),
        tie=sum(tie),
        lose=sum(lose),
        pairs=len(pairs),
        without_ties=bootstrap_ratio(win, np.add(win, lose)),
        wins=bootstrap_ratio(win, every),
        ties=bootstrap_ratio(tie, every),
        losses=bootstrap_ratio(lose, every),
        alpha=agreement(ratings),
    )


def _row(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {
        "question": outcome.question,
        "architecture": outcome.architecture,
        "data set": outcome.data_set or "all",
        "pairs": outcome.pairs,
        "win": outcome.win,
        "tie": outcome.tie,
        "lose": outcome.lose,
    }
    for name in ("without_ties", "wins", "ties", "losses"):
        interval: Interval = getattr(outcome, name)
        for key in ("mean", "low", "high"):
            row[f"{name} {key}"] = getattr(interval, key)
    return {**row, "alpha": outcome.alpha}


def _markdown(study: Study, found: Sequence[Outcome], raters: Counter[str], sides: Counter[Any]) -> str:
    full = len(QUESTIONS) * len(study)
    lines = [
        "# User study",
        "",
        f"{len(study)} pairs drawn from {_cell(study.source)} with the seed {study.seed}, "
        f"{sum(raters.values()):,} ratings by {len(raters)} raters: "
        + ", ".join(f"{_cell(name)} {count} of {full}" for name, count in raters.items())
        + f". The left picture was chosen {sides['left']} times, the right one {sides['right']} times.",
        "",
        "Win rate: DiffAgent's wins / (wins + losses), as in Fig. 5 of the paper, in per cent with the 95% "
        "interval over pairs. Alpha: Krippendorff's, for ordered values; 1 is agreement, 0 chance.",
        "",
        "| question | architecture | data set | win | tie | lose | win rate | wins, ties counted | alpha |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for outcome in found:
        alpha = "not defined" if outcome.alpha is None else f"{outcome.alpha:.2f}"
        cells = [
            TITLES[outcome.question],
            _cell(outcome.architecture),
            _cell(outcome.data_set or "all"),
            str(outcome.win),
            str(outcome.tie),
            str(outcome.lose),
            percent(asdict(outcome.without_ties)),
            percent(asdict(outcome.wins)),
            alpha,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Somebody's text in a Markdown table, as text."""
    shown = "".join(f"\\{char}" if char in r"\`*_{}[]<>|#!~&" else char for char in text)
    return " ".join(shown.split())

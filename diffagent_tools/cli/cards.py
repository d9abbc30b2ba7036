"""What the command shows: cards in a terminal, plain `label: text` lines where the output is piped.

Names, descriptions and prompts are shown letter for letter: nothing in them is read as rich's markup, and
control characters are taken out.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from diffagent_tools.quoting import NAME_CHARS, plain, settings_text
from diffagent_tools.select.fit import fit_of
from diffagent_tools.select.selection import InstalledFile, Selection
from retrieval.calls.licence import SALE_WORDS
from retrieval.records.inert import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from retrieval.calls.check import Check
    from retrieval.records.model import ModelRecord

PROMPT_CHARS = 1_500
DESCRIPTION_CHARS = 600
_LINE_CHARS = 400
_SHOWN = 12
_BOXED_WIDTH = 50

Rows = list[tuple[str, str]]


def make_console(*, stderr: bool = False) -> "Console":
    """A console that obeys NO_COLOR and the width of the terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def show_selections(console: "Console", found: Sequence[Selection]) -> None:
    """The best answer as a card, the others below it in a line each."""
    best, *others = found
    rows = selection_rows(best)
    rows += [(f"  {place}", _alternative(other)) for place, other in enumerate(others, start=2)]
    title = "nothing fits well: the plain base model" if best.abstained else plain(best.api.model, NAME_CHARS)
    show_rows(console, title, rows, colour="yellow" if best.abstained else "green")


def show_examination(console: "Console", found: "Check") -> None:
    """The verdict, its reasons, and the API to use."""
    rows: Rows = [("checked", plain(found.named, NAME_CHARS)), ("verdict", found.verdict.status)]
    rows += [("assumed", plain(guess, _LINE_CHARS)) for guess in found.guesses[:_SHOWN]]
    rows += [("problem", plain(reason, _LINE_CHARS)) for reason in found.verdict.reasons[:_SHOWN]]
    rows += [
        (
            "changed",
            plain(f"{change.field}: {_short(change.before)} -> {_short(change.after)} ({change.why})", 500),
        )
        for change in found.repair.changes[:_SHOWN]
    ]
    api = found.repair.api
    label = "can be called" if found.verdict.valid else "use instead"
    rows.append(("fallback" if found.repair.abstained else label, plain(api.model, NAME_CHARS)))
    rows.append(("kind", _kind(api.type, api.base_model, api.version)))
    rows.append(("settings", settings_text(api)))
    if api.air:
        rows.append(("AIR", plain(api.air, _LINE_CHARS)))
    show_rows(console, f"{found.verdict.status}", rows, colour="green" if found.accepted else "yellow")


def show_hits(console: "Console", hits: Sequence[tuple["ModelRecord", float]]) -> None:
    """Found models, a line each."""
    for place, (record, score) in enumerate(hits, start=1):
        name = plain(record.model, NAME_CHARS)
        kind = _kind(record.type, record.base_model, None)
        _print(console, f"{place:>3}. {score:.3f}  {name} ({kind})  {record.page_url}")


def show_rows(console: "Console", title: str, rows: Rows, *, colour: str = "cyan") -> None:
    """Labelled lines: in a box on a terminal, bare on a narrow one, `label: text` lines in a pipe."""
    title, rows = one_line(title), [(label, one_line(text)) for label, text in rows]
    if not console.is_terminal:
        for label, text in rows:
            _print(console, f"{label.strip()}: {text}")
        return
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(Text(label), Text(text))
    if console.width < _BOXED_WIDTH:
        console.print(Text(title, style=f"bold {colour}"))
        console.print(table)
        return
    console.print(Panel(table, title=Text(title, style="bold"), title_align="left", border_style=colour))


def selection_rows(selection: Selection) -> Rows:
    """One answer, label and text."""
    api = selection.api
    rows: Rows = [
        ("model", plain(api.model, NAME_CHARS)),
        ("kind", _kind(api.type, api.base_model, api.version)),
        ("why", plain(selection.reason, _LINE_CHARS)),
    ]
    if selection.understood:
        rows.append(("understood", plain("; ".join(selection.understood), _LINE_CHARS)))
    rows.append(("settings", settings_text(api)))
    rows.append(("prompt", plain(api.prompt, PROMPT_CHARS)))
    if api.negative_prompt:
        rows.append(("negative", plain(api.negative_prompt, PROMPT_CHARS)))
    if api.model_description:
        rows.append(("about", plain(api.model_description, DESCRIPTION_CHARS)))
    fit = fit_of(selection)
    if fit is not None:
        rows.append(("fit", f"{fit.words}. {fit.advice}" if fit.advice else fit.words))
    if selection.confidence is not None:
        rows.append(("confidence", f"{selection.confidence:.0%}"))
    rows.append(("selling", SALE_WORDS[selection.may_sell]))
    if selection.rating_words:
        rows.append(("rating", selection.rating_words))
    if selection.page_url:
        rows.append(("page", plain(selection.page_url, _LINE_CHARS)))
    if api.air:
        rows.append(("AIR", plain(api.air, _LINE_CHARS)))
    rows += [("file", plain(_place(file), _LINE_CHARS)) for file in selection.files]
    rows += [("note", plain(note, _LINE_CHARS)) for note in selection.notes]
    if selection.missing is not None:
        rows.append(("missing", plain(selection.missing, _LINE_CHARS)))
    return rows


def _place(file: InstalledFile) -> str:
    """The name as ComfyUI lists it, and where it lies."""
    return f"{file.name} ({file.path})" if file.path is not None else file.name


def _alternative(selection: Selection) -> str:
    api = selection.api
    sure = "" if selection.confidence is None else f", {selection.confidence:.0%}"
    page = f"  {selection.page_url}" if selection.page_url else ""
    return f"{plain(api.model, NAME_CHARS)} ({_kind(api.type, api.base_model, None)}{sure}){page}"


def _kind(type: str, base_model: str, version: str | None) -> str:
    name = f", version {plain(version, NAME_CHARS)}" if version else ""
    return f"{type} for {plain(base_model, NAME_CHARS)}{name}"


def _short(value: object) -> str:
    return plain(str(getattr(value, "model", value)), 80)


def _print(console: "Console", line: str) -> None:
    """One line that a pipe gets whole, however wide."""
    console.print(line, soft_wrap=True)

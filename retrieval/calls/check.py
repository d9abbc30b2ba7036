"""What somebody wrote, a model's name or a T2I API, checked and repaired in one step.

    found = check('{"model": "Dream Shapper", "steps": 0}', Catalogue.starter())
    found.verdict.status, found.repair.api.model

The command `diffagent check`, the tool for agents and the examples all call it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.calls.repair import Change, Repair, Searcher, repair
from retrieval.calls.verdict import Verdict
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi
from retrieval.records.api import ApiReading, Instruction, T2IApi, read_api

MAX_CHARS = 100_000
"""A longer text is no API."""
_SAME = ("valid", "alias")


@dataclass(frozen=True)
class Check:
    """What was read, what is wrong with it, and the API that can be called.

    `read` is None where only a name was given; `guesses` is what the reading assumed, a sentence each.
    """

    named: str
    read: T2IApi | None
    guesses: tuple[str, ...]
    repair: Repair

    @property
    def verdict(self) -> Verdict:
        """Of what was written, before the repair."""
        return self.repair.verdict

    @property
    def accepted(self) -> bool:
        """Whether it names a model that can be called as it stands, if under another spelling."""
        return self.verdict.status in _SAME

    def to_wire(self) -> dict[str, Any]:
        """JSON values: verdict and problems, then the repair with its changes."""
        return {
            "model": self.named,
            "status": self.verdict.status,
            "problems": [
                {"kind": problem.kind, "field": problem.field, "reason": problem.reason}
                for problem in self.verdict.problems
            ],
            "guesses": list(self.guesses),
            "repair": {
                "api": self.repair.api.to_wire(),
                "changes": [_change_wire(change) for change in self.repair.changes],
                "abstained": self.repair.abstained,
                "similarity": self.repair.similarity,
            },
        }


def check(
    written: str | Mapping[str, Any] | ApiReading,
    catalogue: Catalogue,
    search: Searcher | None = None,
    instruction: Instruction | str | Mapping[str, Any] | None = None,
) -> Check:
    """Reads a name or an API, checks it against the catalogue and repairs it.

    Args:
        written: a bare name, JSON (also inside prose), a mapping, or what was read already. Text with
            a brace is a name only where no API can be read out of it and the catalogue knows it.
        search: finds a substitute by meaning; without it shared words count.
        instruction: the request the model was meant for.

    Raises:
        InvalidApi: it is empty, too long, or has a brace and no API in it.
        InvalidInstruction: the instruction is empty or no text.
        UnknownModel: the catalogue holds no checkpoint to fall back on.
    """
    named: str | None = None
    call: T2IApi | None = None
    guesses: tuple[str, ...] = ()
    if isinstance(written, str):
        if not written.strip():
            raise InvalidApi("there is nothing to check; give a model's name or a T2I API as JSON")
        if len(written) > MAX_CHARS:
            raise InvalidApi(
                f"the text has {len(written):,} characters and at most {MAX_CHARS:,} are read; "
                "give one T2I API as JSON"
            )
        if "{" not in written or catalogue.find(written):
            named = written.strip()
    if named is None:
        reading = written if isinstance(written, ApiReading) else read_api(written)
        call, guesses, named = reading.api, reading.guesses, reading.api.model
    return Check(named, call, guesses, repair(call or named, catalogue, search, instruction))


def _change_wire(change: Change) -> dict[str, Any]:
    return {
        "field": change.field,
        "before": _json_value(change.before),
        "after": _json_value(change.after),
        "why": change.why,
    }


def _json_value(value: Any) -> Any:
    """A changed field's value; one that JSON cannot say (infinity, not a number) as text."""
    if hasattr(value, "model_dump"):
        return value.model_dump(by_alias=True, exclude_none=True)
    if isinstance(value, tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value

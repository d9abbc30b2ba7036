"""The card of a training run: `card.json` for the code that loads the adapter, `card.md` for people.

    write_card(folder, facts, metrics=output / "metrics.csv", weights=4_884_480)

`diffagent_tools/llm/llama.py` reads its `base`, `base_digest`, `catalogue`, `model_ids`, `max_prompt_tokens`.
"""

import importlib.metadata
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retrieval.storage import atomic_write

_POINTS = 40
_LIBRARIES = ("torch", "transformers", "peft", "trl")


def write_card(folder: Path, facts: Mapping[str, Any], *, metrics: Path, weights: int) -> None:
    """Writes both: `run_facts` (finetune/training/script.py), figures of the run's CSV, the weights trained.

    Raises:
        StorageError: the folder cannot be written.
    """
    from finetune.training.callbacks import read_curve

    rows = read_curve(metrics)
    card = {
        **facts,
        "weights": weights,
        "figures": _figures(rows),
        "curve": _thin([[int(row["step"]), round(float(row["loss"]), 4)] for row in rows if row["loss"]]),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
    atomic_write(folder / "card.json", (json.dumps(card, ensure_ascii=False, indent=1) + "\n").encode())
    atomic_write(folder / "card.md", _markdown(card).encode())


def _figures(rows: Sequence[Mapping[str, str]]) -> dict[str, float | int | None]:
    trained = [row for row in rows if row["loss"]]
    measured = [row for row in rows if row["eval_loss"]]
    tail = trained[-max(1, len(trained) // 20) :]
    seconds = float(rows[-1]["seconds"]) if rows else 0.0
    tokens = int(float(trained[-1]["num_tokens"])) if trained else 0
    return {
        "steps": int(rows[-1]["step"]) if rows else 0,
        "first_loss": round(float(trained[0]["loss"]), 4) if trained else None,
        "last_loss": round(math.fsum(float(row["loss"]) for row in tail) / len(tail), 4) if tail else None,
        **{f"last_{called}": _last(trained, name) for name, called in _SHARES.items() if _has(rows, name)},
        "eval_loss": round(float(measured[-1]["eval_loss"]), 4) if measured else None,
        "seconds": seconds,
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1) if seconds else None,
    }


_SHARES = {"mean_token_accuracy": "token_accuracy", "pairs_in_order": "pairs_in_order"}


def _has(rows: Sequence[Mapping[str, str]], name: str) -> bool:
    return any(row.get(name) for row in rows)


def _last(rows: Sequence[Mapping[str, str]], name: str) -> float | None:
    return next((round(float(row[name]), 4) for row in reversed(rows) if row[name]), None)


def _thin(points: list[list[float]]) -> list[list[float]]:
    """At most `_POINTS` of them, evenly, the first and the last among them."""
    if len(points) <= _POINTS:
        return points
    return [points[round(i * (len(points) - 1) / (_POINTS - 1))] for i in range(_POINTS)]


_LOSSES = {
    "rrhf": "the ranking loss (Eq. 8) times {weight:g} plus the cross-entropy of the best response (Eq. 9), "
    "{reduction} over its tokens",
    "ce_only": "the cross-entropy of the best response (Eq. 9), {reduction} over its tokens, and no ranking: "
    "the control that shows what the ranking adds",
}


def _markdown(card: Mapping[str, Any]) -> str:
    figures = card["figures"]
    curve = "\n".join(f"| {step:,.0f} | {loss:.3f} |" for step, loss in card["curve"])
    settings = "\n".join(f"- {name}: {value}" for name, value in card["config"].items() if value is not None)
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    intro, data, loss = _ranked(card) if card["stage"] == "rrhf" else _taught(card)
    return f"""# Adapter for {card["base"]}: names models of {card["catalogue"]}

{intro} It fits the base model with the
digest `{card["base_digest"]}`, and knows {len(card["model_ids"]):,} models of the catalogue
with the digest `{card["catalogue_digest"][:12]}`. Made by `python -m finetune.{card["stage"]}`.

{data}
- Weights trained: {card["weights"]:,}.
- {figures["steps"]:,} steps and {figures["tokens"]:,} tokens in {figures["seconds"] / 60:,.0f} minutes.
- {loss}.
- Libraries: {versions}.

## Settings
{settings}

## Loss
| step | loss |
|---|---|
{curve}
"""


def _taught(card: Mapping[str, Any]) -> tuple[str, str, str]:
    """Of stage 1: what it is, what it was taught, how the loss went."""
    figures, data = card["figures"], card["dialogues"]
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(data["kinds"].items()))
    measured = "" if figures["eval_loss"] is None else f", held-out loss {figures['eval_loss']:.3f}"
    return (
        "Stage 1 (supervised fine-tuning) of DiffAgent, CVPR 2024, section 3.2.1.",
        f"""- Data: {data["count"]:,} dialogues ({kinds}); SHA256 of their token ids `{data["digest"]}`.
  Left out: {data["too_long"]:,} longer than the context, {data["unknown"]:,} pairs of models that the
  catalogue lacks, {data["empty"]:,} without a prompt.""",
        f"Loss in nats for each token of the response: {figures['first_loss']} at first, "
        f"{figures['last_loss']} at the end{measured}",
    )


def _ranked(card: Mapping[str, Any]) -> tuple[str, str, str]:
    """Likewise of stage 2."""
    figures, data, config = card["figures"], card["dialogues"], card["config"]
    loss = _LOSSES[config["loss"]].format(weight=config["ranking_weight"], reduction=config["ce_reduction"])
    start = f"the adapter with SHA256 `{card['started_from']}`" if card["started_from"] else "the base itself"
    in_order = figures.get("last_pairs_in_order")
    order = "" if in_order is None else f"; {in_order:.0%} of the pairs were in order at the end"
    return (
        f"Stage 2 (RRHF) of DiffAgent, CVPR 2024, section 3.2.2, begun from {start}.",
        f"""- Scores: {"; ".join(card["rewards"]) or "the file does not say what gave them"}.
- Loss: {loss}; the mean over prompts.
- Data: {data["count"]:,} prompts, {data["responses"]:,} responses, {data["pairs"]:,} pairs to rank; SHA256 of
  token ids and scores `{data["digest"]}`. {data["single"]:,} prompts have a single response and
  {data["all_tied"]:,} equal scores alone; {data["ties"]:,} tied pairs.
  Left out: {data["no_response"]:,} prompts without a valid response; responses: {data["unreadable"]:,}
  unreadable, {data["unknown"]:,} of models that the catalogue lacks, {data["unscored"]:,} without a score,
  {data["too_long"]:,} longer than the context, {data["merged"]:,} the same as another.""",
        f"Loss: {figures['first_loss']} at first, {figures['last_loss']} at the end{order}",
    )

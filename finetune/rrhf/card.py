"""The text of stage 2's card, for people; `finetune/training/card.py` writes it."""

from collections.abc import Mapping
from typing import Any

_LOSSES = {
    "rrhf": "the ranking loss (Eq. 8) times {weight:g} plus the cross-entropy of the best response (Eq. 9), "
    "{reduction} over its tokens",
    "ce_only": "the cross-entropy of the best response (Eq. 9), {reduction} over its tokens, and no ranking: "
    "the control that shows what the ranking adds",
}


def markdown(card: Mapping[str, Any]) -> str:
    """What was trained on what, and how it went."""
    figures, data, config = card["figures"], card["dialogues"], card["config"]
    loss = _LOSSES[config["loss"]].format(weight=config["ranking_weight"], reduction=config["ce_reduction"])
    curve = "\n".join(f"| {step:,.0f} | {value:.3f} |" for step, value in card["curve"])
    settings = "\n".join(f"- {name}: {value}" for name, value in config.items() if value is not None)
    versions = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
    start = f"the adapter with SHA256 `{card['started_from']}`" if card["started_from"] else "the base itself"
    in_order = figures.get("last_pairs_in_order")
    order = "" if in_order is None else f"; {in_order:.0%} of the pairs were in order at the end"
    return f"""# Adapter for {card["base"]}: names models of {card["catalogue"]}

Stage 2 (RRHF) of DiffAgent, CVPR 2024, section 3.2.2, begun from {start}. It fits the base model with the
digest `{card["base_digest"]}`, and knows {len(card["model_ids"]):,} models of the catalogue with the digest
`{card["catalogue_digest"][:12]}`. Made by `python -m finetune.rrhf`.

- Scores: {"; ".join(card["rewards"]) or "the file does not say what gave them"}.
- Loss: {loss}; the mean over prompts.
- Data: {data["count"]:,} prompts, {data["responses"]:,} responses, {data["pairs"]:,} pairs to rank; SHA256 of
  token ids and scores `{data["digest"]}`. {data["single"]:,} prompts have a single response and
  {data["all_tied"]:,} equal scores alone; {data["ties"]:,} tied pairs.
  Left out: {data["no_response"]:,} prompts without a valid response; responses: {data["unreadable"]:,}
  unreadable, {data["unknown"]:,} of models that the catalogue lacks, {data["unscored"]:,} without a score,
  {data["too_long"]:,} longer than the context, {data["merged"]:,} the same as another.
- Weights trained: {card["weights"]:,}.
- {figures["steps"]:,} steps and {figures["tokens"]:,} tokens in {figures["seconds"] / 60:,.0f} minutes.
- Loss: {figures["first_loss"]} at first, {figures["last_loss"]} at the end{order}.
- Libraries: {versions}.

## Settings
{settings}

## Loss
| step | loss |
|---|---|
{curve}
"""

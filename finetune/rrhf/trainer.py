"""Stage 2's trainer: all responses to a prompt in one sequence, the prompt read once.

    trainer = RRHFTrainer(model=peft_model, args=RRHFConfig(...), train_dataset=ranked.prompts, ...)
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))

A prompt of 150 tokens with six responses is read once and not six times:

    tokens     p0 p1 p2 p3   a0 a1 a2   b0 b1        each response without its last token,
    segments    0  0  0  0    1  1  1    2  2        which predicts nothing
    positions   0  1  2  3    4  5  6    4  5

A response's tokens attend to the prompt and to their own response, at the positions they would have if they
stood alone, so hidden states and gradients are those of separate sequences, up to the rounding of sums. Only
with dropout is there a difference: one mask for the prompt, not one a response. Imported inside functions
only, because torch and transformers take seconds.
"""

import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import Trainer, TrainingArguments
from transformers.utils.generic import ModelOutput

from finetune.rrhf.data import RankedPrompt
from finetune.rrhf.loss import (
    IGNORED,
    best_response_loss,
    log_probability,
    pairs_in_order,
    ranking_loss,
    rrhf_loss,
    token_log_probabilities,
)
from finetune.training.batches import of_trainer
from retrieval.errors import TrainingError

_MEASURES = ("rank_loss", "ce_loss", "pairs_in_order")
CURVE = (
    *("loss", "eval_loss", *_MEASURES, *(f"eval_{name}" for name in _MEASURES)),
    *("learning_rate", "grad_norm"),
)
LOSSES = ("rrhf", "ce_only")
REDUCTIONS = ("sum", "mean")
_OWN_MASKS = ("sdpa", "eager")


@dataclass
class RRHFConfig(TrainingArguments):
    """transformers' TrainingArguments and what the losses of the paper's section 3.2.2 leave open."""

    loss: str = field(
        default="rrhf",
        metadata={
            "help": "'rrhf' is Eq. 10; 'ce_only' reads the best response alone: the control run, as good as "
            "further SFT on it"
        },
    )
    ranking_weight: float = field(
        default=1.0, metadata={"help": "factor of the ranking loss; 1 in Eq. 10, 0 measures without training"}
    )
    ce_reduction: str = field(
        default="sum", metadata={"help": "'sum' over the best response's tokens as Eq. 9, or their 'mean'"}
    )
    share_prompt: bool = field(
        default=True,
        metadata={"help": "false reads the prompt once for each response, as flash attention needs it"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]
        for name, choices in (("loss", LOSSES), ("ce_reduction", REDUCTIONS)):
            if getattr(self, name) not in choices:
                raise TrainingError(
                    f"{name} is {getattr(self, name)!r}, needed is one of {', '.join(choices)}"
                )
        if not 0 <= self.ranking_weight < float("inf"):
            raise TrainingError(f"ranking_weight is {self.ranking_weight}, needed is 0 or more")
        self.remove_unused_columns = False
        self.label_names = ["scores"]
        self.prediction_loss_only = True


@dataclass(frozen=True)
class RankedCollator:
    """Batches of `RankedPrompt`.

    Args:
        share_prompt: a row for each prompt; else a row for each response with its whole prompt.
        best_only: the response with the highest score alone, of several the first.

    A batch of b prompts with at most n responses of at most t tokens, in r rows of at most l tokens:
    `scores` [b, n], NaN where there is no response; `targets` [b, n, t], the responses' tokens or `IGNORED`;
    `predictors` [b, n, t], the position in the flattened rows whose hidden state predicts the target;
    `input_ids` and `position_ids` [r, l]; and `segments` [r, l] as above with -1 for padding, or, where the
    prompt is not shared, `attention_mask` [r, l].
    """

    share_prompt: bool = True
    best_only: bool = False

    def __call__(self, prompts: Sequence[RankedPrompt]) -> dict[str, torch.Tensor]:
        rows: list[_Row] = []
        predictors: list[list[list[tuple[int, int]]]] = []  # of a prompt, a response, a token: row and place
        kept = [_best(prompt) if self.best_only else prompt for prompt in prompts]
        for prompt in kept:
            predictors.append([])
            for number, response in enumerate(prompt.responses):
                if number == 0 or not self.share_prompt:
                    rows.append(_Row(prompt.prompt_ids))
                first = len(prompt.prompt_ids) - 1, len(rows[-1].ids)
                rows[-1].add(response[:-1], segment=number + 1, position=len(prompt.prompt_ids))
                places = [first[0], *range(first[1], first[1] + len(response) - 1)]
                predictors[-1].append([(len(rows) - 1, place) for place in places])
        length = max(len(row.ids) for row in rows)
        most = max(len(prompt.responses) for prompt in kept)
        longest = max(len(response) for prompt in kept for response in prompt.responses)
        scores = torch.full((len(kept), most), float("nan"))
        targets = torch.full((len(kept), most, longest), IGNORED)
        places_of = torch.zeros_like(targets)
        for i, prompt in enumerate(kept):
            scores[i, : len(prompt.scores)] = torch.tensor(prompt.scores)
            for j, response in enumerate(prompt.responses):
                targets[i, j, : len(response)] = torch.tensor(response)
                flat = [row * length + place for row, place in predictors[i][j]]
                places_of[i, j, : len(flat)] = torch.tensor(flat)
        segments = _padded([row.segments for row in rows], length, -1)
        return {
            "scores": scores,
            "targets": targets,
            "predictors": places_of,
            "input_ids": _padded([row.ids for row in rows], length, 0),
            "position_ids": _padded([row.positions for row in rows], length, 0),
            **({"segments": segments} if self.share_prompt else {"attention_mask": (segments >= 0).long()}),
        }


class _Row:
    """A sequence that grows by responses."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self.ids = list(prompt)
        self.segments = [0] * len(prompt)
        self.positions = list(range(len(prompt)))

    def add(self, tokens: Sequence[int], *, segment: int, position: int) -> None:
        self.ids += tokens
        self.segments += [segment] * len(tokens)
        self.positions += range(position, position + len(tokens))


def _best(prompt: RankedPrompt) -> RankedPrompt:
    best = prompt.scores.index(max(prompt.scores))
    return RankedPrompt(prompt.prompt_ids, (prompt.responses[best],), (prompt.scores[best],))


def _padded(rows: Sequence[Sequence[int]], length: int, value: int) -> torch.Tensor:
    return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows])


def shared_prompt_mask(segments: torch.Tensor) -> torch.Tensor:
    """Who sees whom, bool [rows, 1, queries, keys]: the prompt and its own response, up to itself.

    Args:
        segments: 0 for the prompt, 1, 2, ... for responses, -1 for padding, [rows, length].
    """
    queries, keys = segments[:, :, None], segments[:, None, :]
    earlier = torch.ones(2 * segments.shape[-1:], dtype=torch.bool, device=segments.device).tril()
    # padding sees padding: a row that saw nothing would be NaN
    return (((keys == queries) | ((keys == 0) & (queries > 0))) & earlier)[:, None]


@dataclass
class CandidateOutput(ModelOutput):
    """What the model returns when called with `targets`: log P(r_t | t, r_<t), [b, n, t], 0 for no token."""

    token_log_probabilities: torch.Tensor | None = None


def add_candidate_head(model: Any) -> None:
    """Lets a causal model take the batches of `RankedCollator`, without `scores`.

    The output layer sees each predicting position once, and no other: the prompt's last token predicts the
    first of every response. In the model's own forward, so that DDP's and FSDP's hooks see the call.
    """
    original = model.forward

    def forward(
        self: Any,
        *args: Any,
        targets: torch.Tensor | None = None,
        predictors: torch.Tensor | None = None,
        segments: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        if targets is None or predictors is None:
            return original(*args, **kwargs)
        kwargs.pop("labels", None)
        if segments is not None:
            mask = shared_prompt_mask(segments)
            if self.config._attn_implementation == "eager":  # which adds the mask
                lowest = torch.finfo(self.dtype).min
                mask = torch.zeros_like(mask, dtype=self.dtype).masked_fill(~mask, lowest)
            kwargs["attention_mask"] = mask
        hidden = self.base_model(*args, **kwargs).last_hidden_state.flatten(0, 1)
        answers = targets != IGNORED
        needed, place = torch.unique(predictors[answers], return_inverse=True)
        logits = self.get_output_embeddings()(hidden[needed]).float()  # [needed, vocabulary]
        rows = torch.zeros_like(predictors)
        rows[answers] = place
        return CandidateOutput(token_log_probabilities=token_log_probabilities(logits, rows, targets))

    model.forward = types.MethodType(forward, model)


class RRHFTrainer(Trainer):
    """transformers' Trainer for `RankedPrompt`; every prompt of an optimizer step counts the same.

    Raises:
        TrainingError: the prompt is to be shared, and the model's attention takes no mask of one's own.
    """

    loss_is_scaled_for_ga = True  # by the number of prompts, in `compute_loss`
    args: RRHFConfig

    def __init__(self, model: Any, args: RRHFConfig, **kwargs: Any) -> None:
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        attention = base.config._attn_implementation
        if args.share_prompt and attention not in _OWN_MASKS:
            raise TrainingError(
                f"attn_implementation is {attention!r}, which takes no mask of one's own; needed is sdpa or "
                "eager to read each prompt once, or --share_prompt false to read it for every response"
            )
        add_candidate_head(base)
        collator = RankedCollator(share_prompt=args.share_prompt, best_only=args.loss == "ce_only")
        super().__init__(model=model, args=args, data_collator=collator, **kwargs)
        self._sums = {mode: torch.zeros(5, dtype=torch.float64) for mode in ("train", "eval")}

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        return of_trainer(self, [prompt.packed_length for prompt in dataset])

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Prompts of the optimizer step, over all its batches and all processes."""
        prompts = torch.tensor(sum(len(batch["scores"]) for batch in batch_samples), device=device)
        return self.accelerator.gather(prompts).sum()

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Eq. 10, the mean over the step's prompts."""
        scores = inputs["scores"]
        outputs = model(**{name: inputs[name] for name in inputs if name != "scores"}, use_cache=False)
        tokens, counted = outputs.token_log_probabilities, inputs["targets"] != IGNORED
        p = log_probability(tokens, counted)
        ranking = ranking_loss(p, scores)
        best = best_response_loss(tokens, counted, scores, reduction=self.args.ce_reduction)
        total = rrhf_loss(ranking, best, self.args.ranking_weight).sum()
        if model.training and num_items_in_batch is not None:
            # DDP averages gradients over the processes
            loss = total * self.accelerator.num_processes / num_items_in_batch
        else:
            loss = total / len(scores)
        in_order, pairs = pairs_in_order(p.detach(), scores)
        self._count(
            "train" if model.training else "eval",
            torch.stack([ranking.sum(), best.sum(), torch.tensor(len(scores)), in_order, pairs]),
        )
        if model.training:
            read = inputs["segments"] >= 0 if "segments" in inputs else inputs["attention_mask"]
            self.state.num_input_tokens_seen += int(self.accelerator.gather(read.sum()).sum())
        return (loss, outputs) if return_outputs else loss

    def _count(self, mode: str, values: torch.Tensor) -> None:
        self._sums[mode] = self._sums[mode].to(values.device) + values.detach()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the two losses, the share of pairs in order, and the tokens read so far."""
        mode = "eval" if "eval_loss" in logs else "train"
        if "eval_loss" in logs or "loss" in logs:
            sums = (
                self.accelerator.gather(self._sums[mode].float().to(self.args.device)[None]).sum(0).tolist()
            )
            self._sums[mode].zero_()
            rank, best, prompts, in_order, pairs = sums
            measured = {"ce_loss": best / max(1, prompts)}
            if self.args.loss != "ce_only":
                measured["rank_loss"] = rank / max(1, prompts)
                measured["pairs_in_order"] = in_order / pairs if pairs else 1.0
            logs.update({name if mode == "train" else f"eval_{name}": v for name, v in measured.items()})
            logs["num_tokens"] = self.state.num_input_tokens_seen
        super().log(logs, start_time)

"""Stage 1's trainer: TRL's SFTTrainer with the language model's head on the response's positions only.

    trainer = DiffAgentSFTTrainer(model=peft_model, args=sft_config, train_dataset=to_dataset(rows), ...)
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))

On two cores most of a step's waste is the head: 576 x 49,152 weights for each of some 70 positions, of which
8 belong to the response. Stock TRL skips the others only on devices with Triton. Imported inside functions
only, because TRL takes five seconds.
"""

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers.utils.generic import ModelOutput
from trl import SFTTrainer  # type: ignore[attr-defined]

from finetune.sft.dialogues import Row
from finetune.training.batches import of_trainer

IGNORED = -100
CURVE = ("loss", "eval_loss", "learning_rate", "grad_norm", "mean_token_accuracy")


def response_nll(
    hidden: torch.Tensor, labels: torch.Tensor, head: Callable[[torch.Tensor], torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Paper Eq. 1, L_sft = -sum_t log P(r_t | t, r_<t), with logits for the response's positions only.

    Args:
        hidden: last hidden states, [batch, length, width].
        labels: token ids, `IGNORED` outside the response, [batch, length].
        head: [positions, width] -> [positions, vocabulary].

    Returns:
        The summed negative log-likelihood in nats, the number of response tokens, and how many of them were
        the likeliest token; each a scalar.
    """
    targets = labels[:, 1:]
    response = targets != IGNORED
    logits = head(hidden[:, :-1][response]).float()  # [positions, vocabulary]
    wanted = targets[response]
    nll = cross_entropy(logits, wanted, reduction="sum")
    return nll, response.sum(), (logits.detach().argmax(-1) == wanted).sum()


@dataclass
class ResponseOutput(ModelOutput):
    """What the model returns when called with `response_only=True`: see `response_nll`."""

    nll: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    correct: torch.Tensor | None = None


def add_response_head(model: Any) -> None:
    """Lets `model(input_ids, attention_mask, labels, response_only=True)` return a `ResponseOutput`.

    In the model's own forward, not beside it, so that DDP's and FSDP's hooks see the call.
    """
    original = model.forward

    def forward(self: Any, *args: Any, response_only: bool = False, **kwargs: Any) -> Any:
        if not response_only:
            return original(*args, **kwargs)
        labels = kwargs.pop("labels")
        hidden = self.base_model(*args, **kwargs).last_hidden_state
        nll, tokens, correct = response_nll(hidden, labels, self.get_output_embeddings())
        return ResponseOutput(nll=nll, tokens=tokens, correct=correct)

    model.forward = types.MethodType(forward, model)


class DiffAgentSFTTrainer(SFTTrainer):
    """SFTTrainer for dialogues that are token ids already (`to_dataset`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model: Any = self.model
        add_response_head(model.get_base_model() if _has_adapter(model) else model)

    def _send_telemetry(self) -> None:
        """Nothing about a run is sent anywhere."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """TRL's README for the hub, one at each checkpoint; finetune/training/card.py writes this
        project's own."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        return of_trainer(self, [len(ids) for ids in dataset["input_ids"]])

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        mode = "train" if model.training else "eval"
        outputs = model(**inputs, use_cache=False, response_only=True)
        loss = outputs.nll / (outputs.tokens if num_items_in_batch is None else num_items_in_batch)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # DDP averages gradients over the processes
        gather = self.accelerator.gather_for_metrics
        tokens, correct = gather(outputs.tokens).sum(), gather(outputs.correct).sum()
        self._metrics[mode]["mean_token_accuracy"].append((correct / tokens).item())
        if mode == "train":
            self._total_train_tokens += int(gather(inputs["attention_mask"].sum()).sum())
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
        return (loss, outputs) if return_outputs else loss


def _has_adapter(model: Any) -> bool:
    from peft import PeftModel

    return isinstance(model, PeftModel)


def to_dataset(rows: Sequence[Row]) -> Any:
    """A `datasets.Dataset` of `input_ids` and `labels`, as TRL's collator reads them."""
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [list(row.input_ids) for row in rows],
            "labels": [
                [IGNORED] * row.response_start + list(row.input_ids[row.response_start :]) for row in rows
            ],
        }
    )

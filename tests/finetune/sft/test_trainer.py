"""Stage 1 on a real tiny LLaMA: the loss on the response alone, runs that stop and resume, what is saved."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kill_and_resume import killed_after_checkpoint
from process_numbers import numbers_stay
from small_world import small_records
from tiny import save_tiny_base, tiny_llama

from finetune.sft.run import SFTScriptConfig, main, make_parser
from retrieval.errors import BaseModelMismatch, DataError, StorageError, TrainingError

ROOT = Path(__file__).parents[3]
PAIRS = [
    {"prompt": "a corgi, pixel art, masterpiece", "model_id": 201, "model": "Pixel Art Helper"},
    {
        "prompt": "a lake, watercolor",
        "negative_prompt": "blurry",
        "model_id": 203,
        "model": "Watercolor Wash",
    },
    {"prompt": "sprites for a game, best quality", "model_id": 202, "model": "Free Pixels"},
]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with a base, a catalogue and pairs."""
    save_tiny_base(tmp_path / "base")
    lines = [json.dumps(record) for record in small_records()]
    (tmp_path / "models.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = [{**pair, "prompt": f"{pair['prompt']}, {i}"} for i in range(8) for pair in PAIRS]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


def command(world: Path, output: str, *more: str) -> list[str]:
    return [
        *("--train_data", str(world / "pairs.jsonl"), "--catalogue", str(world / "models.jsonl")),
        *("--model_name_or_path", str(world / "base"), "--output_dir", str(world / output)),
        *("--use_cpu", "true", "--bf16", "false", "--gradient_checkpointing", "false", "--report_to", "none"),
        *("--use_peft", "true", "--lora_r", "4", "--lora_alpha", "8", "--lora_dropout", "0.1"),
        *("--lora_target_modules", "q_proj", "v_proj", "up_proj", "down_proj"),
        *("--learning_rate", "0.01", "--per_device_train_batch_size", "4", "--max_steps", "8"),
        *("--logging_steps", "1", "--save_steps", "3", "--description_rate", "0", "--threads", "1"),
        *more,
    ]


def run(world: Path, output: str, *more: str, tell: Callable[[str], None] = lambda line: None) -> Path | None:
    return main(*make_parser().parse_args_and_config(command(world, output, *more)), tell=tell)


def losses(folder: Path) -> list[tuple[int, float]]:
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        return [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(stream) if row["loss"]]


def batch() -> dict[str, Any]:
    import torch

    return {
        "input_ids": torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]),
        "labels": torch.tensor([[-100, -100, -100, 8, 9, 10], [-100, -100, 13, 14, -100, -100]]),
    }


def test_the_loss_is_that_of_all_logits() -> None:
    import torch

    from finetune.sft.trainer import add_response_head

    plain, ours = tiny_llama(400, seed=1), tiny_llama(400, seed=1)
    add_response_head(ours)
    full = plain(**batch()).loss
    outputs = ours(**batch(), response_only=True)
    assert int(outputs.tokens) == 5
    loss = outputs.nll / outputs.tokens
    assert float(loss.detach()) == pytest.approx(float(full.detach()), abs=1e-5)
    full.backward()
    loss.backward()
    for (name, one), other in zip(plain.named_parameters(), ours.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, atol=1e-5), name
    # without the flag the forward is as it was
    assert torch.equal(plain(**batch()).logits, ours(**batch()).logits)


def test_only_the_responses_positions_go_through_the_head() -> None:
    from finetune.sft.trainer import add_response_head

    model = tiny_llama(400)
    add_response_head(model)
    seen: list[tuple[int, ...]] = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape)))
    model(**batch(), response_only=True)
    assert seen == [(5, 400)]


def test_batches_have_similar_lengths_in_an_order_that_seed_and_epoch_settle() -> None:
    from finetune.training.batches import LengthGroupedBatches

    lengths = [(7 * i) % 101 for i in range(1003)]
    epoch = 0
    sampler = LengthGroupedBatches(lengths, 8, seed=1, epoch=lambda: epoch)
    order = list(sampler)
    assert sorted(order) == list(range(1003))
    batches = [[lengths[i] for i in order[at : at + 8]] for at in range(0, 1000, 8)]
    assert sum(max(each) - min(each) for each in batches) / len(batches) < 6  # of 100
    means = [sum(each) / 8 for each in batches]
    assert means != sorted(means)
    assert means != sorted(means, reverse=True)
    assert list(sampler) == order
    assert list(LengthGroupedBatches(lengths, 8, seed=2, epoch=lambda: 0)) != order
    epoch = 1
    assert list(sampler) != order


def test_frozen_layers_may_multiply_in_bf16() -> None:
    import torch

    from diffagent_tools.llm.bf16 import round_frozen_linears

    model = tiny_llama(400)
    before = model(**batch()).logits
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("q_proj" in name)
    round_frozen_linears(model)
    after = model(**batch()).logits
    assert not torch.equal(before, after)
    assert torch.nn.functional.cosine_similarity(before, after, dim=-1).min() > 0.99
    after.sum().backward()
    assert model.model.layers[0].self_attn.q_proj.weight.grad.dtype == torch.float32


def test_twenty_steps_lower_the_loss_and_leave_a_usable_adapter(world: Path) -> None:
    from diffagent_tools.llm.llama import Llama
    from retrieval.catalogue import Catalogue
    from retrieval.records.api import read_instruction

    told: list[str] = []
    folder = run(
        world,
        *("out", "--max_steps", "20", "--save_steps", "20", "--lora_dropout", "0", "--full_share", "0.3"),
        *("--lora_r", "16", "--learning_rate", "0.03", "--max_length", "4096"),
        *("--eval_data", str(world / "pairs.jsonl"), "--eval_strategy", "steps", "--eval_steps", "10"),
        tell=told.append,
    )
    assert folder == world / "out" / "adapter"
    curve = losses(world / "out")
    assert [step for step, _ in curve] == list(range(1, 21))
    assert sum(loss for _, loss in curve[-4:]) < 0.8 * sum(loss for _, loss in curve[:4])
    assert any("48 dialogues of 3 models" in line for line in told)
    assert any("step 20 of 20: loss" in line and "min left" in line for line in told)

    assert sorted(path.name for path in folder.iterdir()) == [
        *("adapter_config.json", "adapter_model.safetensors", "card.json", "card.md")
    ]
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert (card["base"], card["catalogue"], card["max_prompt_tokens"]) == ("base", "models", 64)
    assert card["model_ids"] == [201, 202, 203]
    assert card["dialogues"]["count"] == 48
    assert card["config"]["learning_rate"] == 0.03
    assert card["figures"]["eval_loss"] < card["figures"]["first_loss"]
    assert len(card["curve"]) == 20
    for path in folder.glob("*.*"):
        assert str(world).encode() not in path.read_bytes(), path.name
    assert "| 20 |" in (folder / "card.md").read_text(encoding="utf-8")

    catalogue = Catalogue.load(world / "models.jsonl")
    taught = Llama.load(catalogue, base=str(world / "base"), adapter=folder)
    untaught = Llama.load(catalogue, base=str(world / "base"), adapter=world)
    request = read_instruction("a corgi, pixel art, masterpiece, 3")
    names = ["Pixel Art Helper", "[red]Night[/] City"]
    after, before = taught.scores(request, names)["llm.mean"], untaught.scores(request, names)["llm.mean"]
    assert after[0] - after[1] > before[0] - before[1]
    assert after[0] > before[0] + 1


def test_a_run_that_was_killed_goes_on_with_the_same_losses(world: Path) -> None:
    assert run(world, "whole")
    expected = losses(world / "whole")
    assert [step for step, _ in expected] == list(range(1, 9))

    # the eighth step comes late enough to be killed before it, whatever the machine
    killed_after_checkpoint("finetune.sft", command(world, "killed"), world / "killed")
    told: list[str] = []
    assert run(world, "killed", "--resume_from_checkpoint", "auto", tell=told.append)
    assert "going on from checkpoint-3" in told
    assert losses(world / "killed") == expected
    weights = [
        (world / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("whole", "killed")
    ]
    assert weights[0] == weights[1]


def test_sigterm_saves_and_stops_and_the_next_epoch_is_the_same_too(world: Path) -> None:
    # 48 dialogues in batches of 4: step 14 lies in the second epoch
    steps = ("--max_steps", "18", "--save_steps", "50")
    assert run(world, "whole", *steps)

    def stop_after_14(line: str) -> None:
        if line.startswith("step 14 of"):
            os.kill(os.getpid(), signal.SIGTERM)

    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        stop_after_14(line)

    handler = signal.getsignal(signal.SIGTERM)
    assert run(world, "stopped", *steps, tell=tell) is None
    assert signal.getsignal(signal.SIGTERM) is handler
    assert "--resume_from_checkpoint auto goes on" in told[-1]
    assert not (world / "stopped" / "adapter").exists()
    assert run(world, "stopped", *steps, "--resume_from_checkpoint", "auto")
    assert losses(world / "stopped") == losses(world / "whole")


def test_a_full_disk_is_told_with_the_way_to_go_on(world: Path) -> None:
    def full(line: str) -> None:
        if line.startswith("step 2 of"):
            # the third step's checkpoint finds a file where its folder should be, as good as no room
            (world / "full" / "checkpoint-3").write_text("")

    with pytest.raises(StorageError, match=r"cannot write .*full .*--resume_from_checkpoint auto goes on"):
        run(world, "full", tell=full)


def test_a_script_says_a_wrong_setting_in_one_line(world: Path) -> None:
    for arguments, said in (
        (["--config", "nowhere.yaml"], "cannot take the settings of this run: [Errno 2]"),
        ([*command(world, "out"), "--bogus", "3"], "not used by the HfArgumentParser: ['--bogus', '3']"),
        (
            ["--train_data", "nowhere.jsonl", "--use_cpu", "--bf16", "false"],
            "cannot read nowhere.jsonl",
        ),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "finetune.sft", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 2
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_folder_with_another_run_is_refused(world: Path) -> None:
    assert run(world, "out", "--max_steps", "3")
    with pytest.raises(TrainingError, match=r"holds checkpoint-3 of an earlier run; add --resume_from"):
        run(world, "out", "--max_steps", "4")
    with pytest.raises(
        TrainingError, match=r"max_steps was 3 and is 4; give the old settings, or name another"
    ):
        run(world, "out", "--max_steps", "4", "--resume_from_checkpoint", "auto")


def test_lora_on_upper_layers_needs_no_gradient_below(world: Path) -> None:
    with numbers_stay():
        folder = run(world, "out", "--max_steps", "2", "--upper_layers", "1")
    assert folder
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["layers_to_transform"] == [1]
    with pytest.raises(TrainingError, match="upper_layers is 3, and base has 2 layers"):
        run(world, "other", "--upper_layers", "3")

    import torch
    from peft import LoraConfig, get_peft_model

    from finetune.sft.trainer import add_response_head

    model = tiny_llama(400)
    lora = get_peft_model(model, LoraConfig(target_modules=["q_proj"], layers_to_transform=[1]))
    add_response_head(model)
    needed: list[bool] = []
    for layer in model.model.layers:
        layer.register_forward_hook(lambda module, inputs, output: needed.append(output.requires_grad))
    assert isinstance(lora(**batch(), response_only=True).nll, torch.Tensor)
    assert needed == [False, True]


def test_the_whole_model_can_be_trained(world: Path) -> None:
    folder = run(world, "out", "--max_steps", "2", "--use_peft", "false", "--learning_rate", "0.001")
    assert folder
    assert (folder / "model.safetensors").is_file()
    assert json.loads((folder / "card.json").read_text(encoding="utf-8"))["base"] == "base"


def test_bad_data_and_a_base_without_a_tokenizer_are_refused(world: Path) -> None:
    (world / "bad.jsonl").write_text('{"prompt": "a cat"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"line 1 of .*bad\.jsonl has no model_id"):
        run(world, "out", "--train_data", str(world / "bad.jsonl"))
    with pytest.raises(TrainingError, match="matmul_precision is 'low', needed is one of highest"):
        run(world, "out", "--matmul_precision", "low")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (world / "base" / name).unlink(missing_ok=True)
    with pytest.raises(BaseModelMismatch, match="has no tokenizer"):
        run(world, "out")
    assert not (world / "out").exists()


def test_a_response_longer_than_the_context_is_reported(world: Path) -> None:
    told: list[str] = []
    assert run(
        world, *("out", "--max_steps", "1", "--full_share", "0.5", "--max_length", "130"), tell=told.append
    )
    report = next(line for line in told if line.startswith("train: "))
    assert " 0 longer than the context" not in report
    assert "longer than the context" in report


@pytest.mark.parametrize(
    "path", sorted((ROOT / "finetune" / "configs").glob("sft_*.yaml")), ids=lambda p: p.name
)
def test_every_packaged_config_is_understood(path: Path, tmp_path: Path) -> None:
    arguments = ["--config", str(path), "--train_data", "pairs.jsonl", "--output_dir", str(tmp_path)]
    # the configs for GPUs ask for bf16, which this machine may lack
    parsed: tuple[Any, ...] = make_parser().parse_args_and_config([*arguments, "--use_cpu", "true"])
    config, args, model_config = parsed
    assert isinstance(config, SFTScriptConfig)
    assert args.learning_rate > 0
    assert model_config.lora_target_modules

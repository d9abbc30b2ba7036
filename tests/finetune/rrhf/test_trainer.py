"""Stage 2 on a tiny LLaMA: one sequence a prompt against separate ones, runs that stop, two processes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from kill_and_resume import killed_after_checkpoint
from process_numbers import numbers_stay
from small_adapter import fusion_only, with_lora
from small_world import small_catalogue, small_records
from tiny import save_tiny_base, tiny_llama

from finetune.rrhf.data import RankedPrompt
from finetune.rrhf.loss import IGNORED, best_response_loss, log_probability, ranking_loss, rrhf_loss
from finetune.rrhf.run import RRHFScriptConfig, main, make_parser
from retrieval.calls.compose import api_for
from retrieval.errors import AdapterError, AdapterMismatch, DataError, TrainingError
from retrieval.records.api import read_instruction

ROOT = Path(__file__).parents[3]
PROMPTS = (
    RankedPrompt((5, 6, 7, 8), ((10, 11, 12, 2), (10, 13, 2), (14,)), (0.1, 0.9, 0.5)),
    RankedPrompt((9, 8), ((20, 21, 22, 23, 24, 2), (10, 2)), (0.7, 0.2)),
)


def collate(**options: bool) -> dict[str, torch.Tensor]:
    from finetune.rrhf.trainer import RankedCollator

    return RankedCollator(**options)(PROMPTS)


def test_a_prompt_and_its_responses_are_one_row() -> None:
    batch = collate()
    assert batch["input_ids"].tolist() == [
        [5, 6, 7, 8, 10, 11, 12, 10, 13],
        [9, 8, 20, 21, 22, 23, 24, 10, 0],
    ]
    assert batch["segments"].tolist() == [[0, 0, 0, 0, 1, 1, 1, 2, 2], [0, 0, 1, 1, 1, 1, 1, 2, -1]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 6, 4, 5], [0, 1, 2, 3, 4, 5, 6, 2, 0]]
    assert batch["targets"][0].tolist() == [
        [10, 11, 12, 2, -100, -100],
        [10, 13, 2, -100, -100, -100],
        [14, -100, -100, -100, -100, -100],
    ]
    assert batch["targets"][1, 2].tolist() == [IGNORED] * 6
    # each first token is predicted by the prompt's last; the second row begins at 9
    assert batch["predictors"][0].tolist() == [[3, 4, 5, 6, 0, 0], [3, 7, 8, 0, 0, 0], [3, 0, 0, 0, 0, 0]]
    assert batch["predictors"][1, :2].tolist() == [[10, 11, 12, 13, 14, 15], [10, 16, 0, 0, 0, 0]]
    assert torch.equal(batch["scores"].isnan(), torch.tensor([[False] * 3, [False, False, True]]))
    # five rows otherwise, each with its prompt
    naive = collate(share_prompt=False)
    assert naive["input_ids"].shape == (5, 7)
    assert naive["input_ids"][1].tolist() == [5, 6, 7, 8, 10, 13, 0]
    assert naive["attention_mask"][1].tolist() == [1, 1, 1, 1, 1, 1, 0]
    # or the best response alone
    best = collate(best_only=True)
    assert best["input_ids"].tolist() == [[5, 6, 7, 8, 10, 13, 0], [9, 8, 20, 21, 22, 23, 24]]


def test_a_response_sees_the_prompt_and_itself() -> None:
    from finetune.rrhf.trainer import shared_prompt_mask

    mask = shared_prompt_mask(torch.tensor([[0, 0, 1, 1, 2, -1]]))
    assert mask.shape == (1, 1, 6, 6)
    assert mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]


def losses_of(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Eq. 10 of each prompt of the batch."""
    inputs = {name: value for name, value in batch.items() if name != "scores"}
    tokens, counted = model(**inputs).token_log_probabilities, batch["targets"] != IGNORED
    p = log_probability(tokens, counted)
    ranking = ranking_loss(p, batch["scores"])
    return rrhf_loss(ranking, best_response_loss(tokens, counted, batch["scores"]))


def by_hand(model: Any, prompt: RankedPrompt) -> torch.Tensor:
    """The same from the logits of every response alone."""
    p, sums = [], []
    for response in prompt.responses:
        ids = torch.tensor([[*prompt.prompt_ids, *response]])
        scores = model(input_ids=ids).logits[0, len(prompt.prompt_ids) - 1 : -1].log_softmax(-1)
        sums.append(scores.gather(1, torch.tensor(response)[:, None]).sum())
        p.append(sums[-1] / len(response))
    pairs = [
        (p[i] - p[j]).clamp(min=0)
        for i, worse in enumerate(prompt.scores)
        for j, better in enumerate(prompt.scores)
        if worse < better
    ]
    return torch.stack(pairs).sum() - sums[prompt.scores.index(max(prompt.scores))]


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
def test_one_sequence_a_prompt_gives_the_losses_and_gradients_of_separate_ones(
    attention: str, checkpointing: bool
) -> None:
    from finetune.rrhf.trainer import add_candidate_head

    plain, ours = tiny_llama(60, seed=1), tiny_llama(60, seed=1)
    add_candidate_head(ours)
    ours.set_attn_implementation(attention)
    if checkpointing:
        ours.gradient_checkpointing_enable({"use_reentrant": False})
        ours.train(True)
    expected = torch.stack([by_hand(plain, prompt) for prompt in PROMPTS])
    assert float(expected.min().detach()) > 1
    wanted = gradients(plain, expected.sum())
    for batch in (collate(), collate(share_prompt=False)):
        found = losses_of(ours, batch)
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)
        for name, gradient in gradients(ours, found.sum()).items():
            assert torch.allclose(gradient, wanted[name], rtol=1e-4, atol=1e-5), name
    # without targets the forward is as it was
    ids = torch.tensor([[5, 6, 7]])
    assert torch.allclose(plain(ids).logits, ours(ids).logits, atol=1e-5)


def test_the_output_layer_sees_each_predicting_position_once() -> None:
    from finetune.rrhf.trainer import add_candidate_head

    model = tiny_llama(60)
    add_candidate_head(model)
    seen: list[tuple[int, ...]] = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape)))
    losses_of(model, collate())
    # of the first prompt its last token and five of the responses, of the second 1 + 6
    assert seen == [(13, 60)]


# the script

REQUESTS = (
    "a corgi, pixel art",
    "a lake, watercolor",
    "sprites for a game",
    "a portrait",
    "a red car",
    "fog",
)


def scored_lines(count: int = 8) -> str:
    catalogue = small_catalogue()
    rows = []
    for i in range(count):
        request = read_instruction(f"{REQUESTS[i % len(REQUESTS)]}, {i}")
        models = [(201, 202, 203), (203, 201), (202, 62437, 201, 203)][i % 3]
        rows.append(
            {
                "id": str(i),
                "instruction": request.to_wire(),
                "responses": [api_for(catalogue.get(m), request).paper_json() for m in models],
                "scores": [round(((i + 3 * m) % 7) / 7, 3) for m in models],
                "reward": "catalogue",
                "note": "no image was rendered",
            }
        )
    return "\n".join(map(json.dumps, rows))


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, an SFT adapter of it, a catalogue and scored responses."""
    from diffagent_tools.llm.base import load_base
    from retrieval.catalogue import Catalogue

    world = tmp_path_factory.mktemp("rrhf")
    save_tiny_base(world / "base")
    lines = [json.dumps(record) for record in small_records()]
    (world / "models.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (world / "scored.jsonl").write_text(scored_lines(), encoding="utf-8")
    base = load_base(str(world / "base"))
    (world / "sft" / "retriever").mkdir(parents=True)
    (world / "sft" / "retriever" / "config.json").write_text("{}", encoding="utf-8")
    (world / "sft" / "shortlist.safetensors").write_bytes(b"of the old scores")
    fusion_only(world / "sft")
    with_lora(
        world / "sft",
        base.model,
        base=base.name,
        base_digest=base.digest,
        catalogue="models",
        catalogue_digest=Catalogue.load(world / "models.jsonl").digest,
        max_prompt_tokens=48,
        model_ids=[201, 62437],
    )
    return world


@pytest.fixture
def world(shared_world: Path, tmp_path: Path) -> Path:
    """The same with an empty place for the runs."""
    for each in shared_world.iterdir():
        (tmp_path / each.name).symlink_to(each)
    return tmp_path


def command(world: Path, output: str, *more: str) -> list[str]:
    return [
        *("--train_data", str(world / "scored.jsonl"), "--catalogue", str(world / "models.jsonl")),
        *("--model_name_or_path", str(world / "base"), "--output_dir", str(world / output)),
        *("--use_cpu", "true", "--adapter", str(world / "sft"), "--name_only", "true"),
        *("--learning_rate", "0.01", "--per_device_train_batch_size", "2", "--max_steps", "8"),
        *("--logging_steps", "1", "--save_steps", "3", "--threads", "1", *more),
    ]


def run(world: Path, output: str, *more: str, tell: Callable[[str], None] = lambda line: None) -> Path | None:
    return main(*make_parser().parse_args_and_config(command(world, output, *more)), tell=tell)


def curve(folder: Path, *names: str) -> list[tuple[float, ...]]:
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        return [tuple(float(row[name]) for name in names) for row in csv.DictReader(stream) if row["loss"]]


def test_a_run_ranks_better_and_leaves_an_adapter_that_the_selector_takes(world: Path) -> None:
    from diffagent_tools.llm.llama import Llama
    from diffagent_tools.select.selector import LlamaSelector
    from retrieval.catalogue import Catalogue

    told: list[str] = []
    folder = run(
        world,
        *("out", "--max_steps", "12", "--learning_rate", "0.02"),
        *("--eval_data", str(world / "scored.jsonl"), "--eval_strategy", "steps", "--eval_steps", "6"),
        tell=told.append,
    )
    assert folder == world / "out" / "adapter"
    assert any("8 prompts with 23 responses of 4 models" in line for line in told)
    assert any("step 12 of 12: loss" in line and "pairs in order" in line for line in told)
    values = curve(world / "out", "loss", "rank_loss", "ce_loss", "num_tokens")
    assert len(values) == 12
    assert all(loss == pytest.approx(rank + ce, abs=1e-4) for loss, rank, ce, _ in values)
    assert sum(loss for loss, *_ in values[-4:]) < 0.8 * sum(loss for loss, *_ in values[:4])

    with (world / "out" / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        measured = [row for row in csv.DictReader(stream) if row["eval_loss"]]
    assert [row["step"] for row in measured] == ["6", "12"]
    for row in measured:
        parts = float(row["eval_rank_loss"]) + float(row["eval_ce_loss"])
        assert float(row["eval_loss"]) == pytest.approx(parts, rel=1e-3)

    assert sorted(path.name for path in folder.iterdir()) == [
        *("adapter_config.json", "adapter_model.safetensors", "card.json", "card.md"),
        *("lexical.safetensors", "retriever"),
    ]
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert card["stage"] == "rrhf"
    assert card["max_prompt_tokens"] == 48
    assert card["model_ids"] == [201, 202, 203, 62437]
    assert card["rewards"] == ["catalogue (no image was rendered)"]
    assert card["figures"]["last_pairs_in_order"] > 0.5
    assert "no image was rendered" in (folder / "card.md").read_text(encoding="utf-8")
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["base_model_name_or_path"]) == (4, "base")
    for path in folder.glob("*.*"):
        assert str(world).encode() not in path.read_bytes(), path.name

    # it went on with the SFT adapter's weights
    before = torch.cat([t.flatten() for t in tensors(world / "sft").values()])
    after = torch.cat([t.flatten() for t in tensors(folder).values()])
    assert 0 < float((after - before).norm()) < 0.5 * float(before.norm())

    shutil.rmtree(folder / "retriever")  # of this test an empty one
    catalogue = Catalogue.load(world / "models.jsonl")
    assert Llama.load(catalogue, base=str(world / "base"), adapter=folder)
    selector = LlamaSelector(catalogue, base=str(world / "base"), adapter=folder)
    assert selector.select("a corgi, pixel art")[0].api.model


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {name: tensor.float() for name, tensor in load_file(folder / "adapter_model.safetensors").items()}


def test_the_control_trains_on_the_best_responses_alone(world: Path) -> None:
    with numbers_stay():
        assert run(world, "control", "--loss", "ce_only", "--max_steps", "4")
    assert run(world, "weight", "--ranking_weight", "0", "--max_steps", "4")
    control, weight = (curve(world / name, "loss", "ce_loss") for name in ("control", "weight"))
    for one, other in zip(control, weight, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
        assert one[0] == pytest.approx(one[1], abs=1e-4)
    assert curve(world / "weight", "rank_loss")[0][0] > 0
    text = (world / "control" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert text[1].split(",")[text[0].split(",").index("rank_loss")] == ""
    card = (world / "control" / "adapter" / "card.md").read_text(encoding="utf-8")
    assert "no ranking: the control" in card


def test_accumulation_separate_rows_and_checkpointing_give_the_same_losses(world: Path) -> None:
    assert run(world, "plain", "--max_steps", "3", "--adapter_dtype", "float32")
    more = {
        "accumulated": ["--per_device_train_batch_size", "1", "--gradient_accumulation_steps", "2"],
        "separate": ["--share_prompt", "false"],
        "checkpointing": ["--activation_checkpointing", "true"],
    }
    expected = curve(world / "plain", "loss", "rank_loss", "ce_loss", "grad_norm", "pairs_in_order")
    for name, options in more.items():
        assert run(world, name, "--max_steps", "3", "--adapter_dtype", "float32", *options)
        found = curve(world / name, "loss", "rank_loss", "ce_loss", "grad_norm", "pairs_in_order")
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, rel=1e-3), name


def test_two_processes_give_the_losses_of_one(world: Path) -> None:
    steps = ("--max_steps", "3", "--save_strategy", "no")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    process = subprocess.run(
        [
            *launch,
            "-m",
            "finetune.rrhf",
            *command(world, "two", *steps, "--per_device_train_batch_size", "1"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.count("step 3 of 3") == 1  # the first process alone speaks
    assert run(world, "one", *steps)
    names = ("loss", "rank_loss", "ce_loss", "pairs_in_order", "grad_norm", "num_tokens")
    for two, one in zip(curve(world / "two", *names), curve(world / "one", *names), strict=True):
        assert two == pytest.approx(one, rel=1e-3)
    found, expected = tensors(world / "two" / "adapter"), tensors(world / "one" / "adapter")
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, atol=2e-3), name


def test_a_run_that_was_killed_goes_on_with_the_same_losses(world: Path) -> None:
    assert run(world, "whole")
    killed_after_checkpoint("finetune.rrhf", command(world, "killed"), world / "killed")
    told: list[str] = []
    assert run(world, "killed", "--resume_from_checkpoint", "auto", tell=told.append)
    assert "going on from checkpoint-3" in told
    names = ("step", "loss", "rank_loss", "ce_loss", "pairs_in_order", "num_tokens")
    assert curve(world / "killed", *names) == curve(world / "whole", *names)
    weights = [
        (world / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("whole", "killed")
    ]
    assert weights[0] == weights[1]


def test_sigterm_saves_and_stops_and_a_fresh_lora_goes_on_the_same(world: Path) -> None:
    fresh = [
        *("--use_peft", "true", "--lora_r", "4", "--lora_alpha", "8", "--lora_dropout", "0.1"),
        *("--lora_target_modules", "q_proj", "v_proj", "--save_steps", "50"),
    ]

    def parsed(output: str, *more: str) -> Any:
        parts = make_parser().parse_args_and_config(command(world, output, *fresh, *more))
        parts[0].adapter = None
        return parts

    assert main(*parsed("whole"), tell=lambda line: None)
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if line.startswith("step 5 of"):  # in the second epoch
            os.kill(os.getpid(), signal.SIGTERM)

    assert main(*parsed("stopped"), tell=tell) is None
    assert "--resume_from_checkpoint auto goes on" in told[-1]
    folder = main(*parsed("stopped", "--resume_from_checkpoint", "auto"), tell=lambda line: None)
    assert folder
    assert curve(world / "stopped", "loss") == curve(world / "whole", "loss")
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert (card["started_from"], card["max_prompt_tokens"]) == (None, 64)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("adapter_config.json", "adapter_model.safetensors", "card.json", "card.md")
    ]


def test_a_prompt_with_one_response_has_no_ranking(world: Path) -> None:
    rows = [json.loads(line) for line in scored_lines(2).splitlines()]
    for row in rows:
        row["responses"], row["scores"] = row["responses"][:1], row["scores"][:1]
    (world / "single.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    told: list[str] = []
    data = ("--train_data", str(world / "single.jsonl"))
    assert run(world, "out", *data, "--max_steps", "1", tell=told.append)
    assert "2 prompts with a single response" in next(line for line in told if line.startswith("train: "))
    ((loss, rank, ce),) = curve(world / "out", "loss", "rank_loss", "ce_loss")
    assert rank == 0
    assert loss == pytest.approx(ce, abs=1e-4)


def test_what_cannot_be_trained_is_refused_before_it_begins(world: Path) -> None:
    (world / "bad.jsonl").write_text(scored_lines(1) + '\n{"scores": [NaN]}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2 of .*bad\.jsonl has no instruction"):
        run(world, "out", "--train_data", str(world / "bad.jsonl"))
    with pytest.raises(TrainingError, match="matmul_precision is 'low', needed is one of highest"):
        run(world, "out", "--matmul_precision", "low")
    with pytest.raises(AdapterError, match=r"runs has no adapter_model\.safetensors; needed is the folder"):
        run(world, "out", "--adapter", str(world / "runs"))
    with pytest.raises(TrainingError, match="loss is 'dpo', needed is one of rrhf, ce_only"):
        run(world, "out", "--loss", "dpo")
    with pytest.raises(TrainingError, match=r"ranking_weight is -1\.0, needed is 0 or more"):
        run(world, "out", "--ranking_weight", "-1")
    other = world / "other"
    shutil.copytree(world / "sft", other)
    card = json.loads((other / "card.json").read_text(encoding="utf-8"))
    (other / "card.json").write_text(json.dumps({**card, "base_digest": "of another"}), encoding="utf-8")
    with pytest.raises(AdapterMismatch, match="was trained on 'base'"):
        run(world, "out", "--adapter", str(other))
    assert not (world / "out").exists()


def test_an_attention_without_masks_of_ones_own_is_refused(tmp_path: Path) -> None:
    from finetune.rrhf.trainer import RRHFConfig, RRHFTrainer

    model = tiny_llama(60)
    model.config._attn_implementation = "flash_attention_2"
    args = RRHFConfig(output_dir=str(tmp_path), use_cpu=True)
    with pytest.raises(TrainingError, match="is 'flash_attention_2', which takes no mask of one's own"):
        RRHFTrainer(model, args, train_dataset=PROMPTS)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "finetune" / "configs").glob("rrhf_*.yaml")), ids=lambda p: p.name
)
def test_every_packaged_config_is_understood(path: Path, tmp_path: Path) -> None:
    arguments = ["--config", str(path), "--train_data", "scored.jsonl", "--output_dir", str(tmp_path)]
    # the configs for GPUs ask for bf16, which this machine may lack
    parsed: tuple[Any, ...] = make_parser().parse_args_and_config([*arguments, "--use_cpu", "true"])
    config, args, model_config = parsed
    assert isinstance(config, RRHFScriptConfig)
    assert (args.loss, args.ranking_weight, args.ce_reduction) == ("rrhf", 1.0, "sum")
    assert model_config.attn_implementation in ("sdpa", "eager")

"""ImageReward in transformers' BLIP against the authors' forward pass, on shared random weights."""

from pathlib import Path

import pytest
import torch
from tiny_scorers import (
    PROMPTS,
    TINY,
    image_reward_state,
    reference_image_reward,
    save_tiny_image_reward,
    tiny_images,
)

from finetune.rewards.image_reward import ImageReward, ImageRewardModel, Sizes, renamed_keys
from finetune.rewards.pixels import centre_pixels
from finetune.rewards.weights import HubFile
from retrieval.errors import BrokenModelFile, MissingModelFile


@pytest.fixture(scope="module")
def reward(tmp_path_factory: pytest.TempPathFactory) -> ImageReward:
    folder = tmp_path_factory.mktemp("reward")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFAGENT_HOME", str(folder / "home"))
        return ImageReward.load(save_tiny_image_reward(folder), sizes=TINY)


def test_the_network_is_the_authors(reward: ImageReward) -> None:
    state = image_reward_state(TINY)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, TINY.vocabulary, (4, 35), generator=generator)
    mask = (torch.arange(35)[None] < torch.tensor([[35], [7], [20], [2]])).long()
    pixels = torch.randn(4, 3, 32, 32, generator=generator)
    expected = reference_image_reward(state, ids, mask, pixels)
    with torch.no_grad():
        found = reward._model(ids, mask, pixels)
    assert torch.allclose(found, expected, atol=2e-5)
    assert found.std() > 0.01, "the weights tell these apart"


def test_scores_of_prompts_and_images(reward: ImageReward) -> None:
    images = tiny_images()
    found = reward.score(PROMPTS, images)
    # "a red fox" by hand: [CLS] a red fox [SEP], padded to 35
    ids = torch.tensor([[2, 5, 6, 8, 3] + [0] * 30])
    mask = torch.tensor([[1] * 5 + [0] * 30])
    expected = reference_image_reward(image_reward_state(TINY), ids, mask, centre_pixels(images[:1], 32))
    assert found[0].item() == pytest.approx(expected.item(), abs=2e-5)
    assert found.dtype == torch.float32
    assert reward.version.startswith("ImageReward-")


def test_a_prompt_is_cut_after_35_tokens(reward: ImageReward) -> None:
    image = tiny_images(1)
    # [CLS] and [SEP] are two of the 35
    cut = reward.score(["fox " * 33], image)
    assert torch.equal(reward.score(["fox " * 33 + "castle"], image), cut)


def test_the_published_sizes_are_those_of_the_checkpoint() -> None:
    with torch.device("meta"):
        model = ImageRewardModel(Sizes())
    names = set(model.state_dict())
    sizes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    published = _published_shapes()
    assert names == set(published)
    assert sizes == published
    assert sum(value.numel() for value in model.parameters()) == pytest.approx(446e6, rel=0.02)


def _published_shapes() -> dict[str, tuple[int, ...]]:
    """Those of the authors' names with the published widths, out of a network of two layers each."""
    two = Sizes(vision_layers=2, text_layers=2)
    state = renamed_keys(image_reward_state(two))
    shapes: dict[str, tuple[int, ...]] = {}
    for name, value in state.items():
        parts = name.split(".")
        count = {"vision.encoder.layers": 24, "text.encoder.layer": 12}.get(".".join(parts[:3]), 0)
        if count and parts[3] == "1":
            continue
        for layer in range(max(count, 1)):
            named = ".".join([*parts[:3], str(layer), *parts[4:]]) if count else name
            shapes[named] = tuple(value.shape)
    return shapes


def test_the_published_file_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    weights = save_tiny_image_reward(tmp_path)
    asked: list[str] = []

    def download(file: HubFile) -> Path:
        asked.append(f"{file.repo}/{file.filename}")
        return weights.parent / file.filename

    reward = ImageReward.load(sizes=TINY, download=download)
    assert reward.score(PROMPTS, tiny_images()).shape == (3,)
    assert asked == ["zai-org/ImageReward/ImageReward.pt", "google-bert/bert-base-uncased/vocab.txt"]


def test_a_checkpoint_of_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    weights = save_tiny_image_reward(tmp_path)
    state = image_reward_state(TINY)
    state["blip.text_decoder.x"] = state.pop("mlp.layers.7.bias")
    torch.save(state, weights)
    with pytest.raises(
        BrokenModelFile, match=r"no checkpoint of ImageReward: 1 weights are missing and 1 are"
    ):
        ImageReward.load(weights, sizes=TINY)


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(
        MissingModelFile, match=r"needed is ImageReward.pt of zai-org/ImageReward: get it with `hf"
    ):
        ImageReward.load(tmp_path / "ImageReward.pt")

"""CLIP Score: Eq. 2 on literal vectors, and a tiny CLIP of transformers, loaded as the published one is."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_scorers import PROMPTS, save_tiny_clip, tiny_images

from finetune.rewards import clip as clip_score
from finetune.rewards.clip import ClipScore
from finetune.rewards.load import make_reward
from finetune.rewards.pixels import MEAN, STD, centre_pixels, letterbox_pixels
from finetune.rewards.weights import HubFile
from retrieval.errors import BrokenModelFile, ChecksumError, InvalidInput, MissingModelFile
from retrieval.storage import sha256_of


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipScore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFAGENT_HOME", str(tmp_path_factory.mktemp("home")))
        return ClipScore.load(weights)


def test_equation_2_by_hand() -> None:
    text = torch.tensor([[1.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    image = torch.tensor([[2.0, 0.0], [4.0, 3.0], [-1.0, 0.5]])
    # cosines 1, 24/25 and below 0
    assert clip_score.clip_score(text, image).tolist() == pytest.approx([2.5, 2.4, 0.0])


def test_the_score_is_that_of_the_models_own_embeddings(clip: ClipScore, weights: Path) -> None:
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    model = CLIPModel(CLIPConfig.from_json_file(str(weights.parent / "config.json")))
    state = torch.load(weights, weights_only=True)
    state.pop("text_model.embeddings.position_ids")
    model.load_state_dict(state)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(weights.parent / "tokenizer.json"))  # type: ignore[no-untyped-call]
    images = tiny_images()
    found = clip.score(PROMPTS, images)
    for prompt, image, score in zip(PROMPTS, images, found, strict=True):
        with torch.no_grad():
            output = model.train(False)(
                **tokenizer([prompt], return_tensors="pt"), pixel_values=centre_pixels([image], 32)
            )
        # CLIP's own logits are cosines times the learned scale
        cosine = output.logits_per_image.item() / model.logit_scale.exp().item()
        assert score.item() == pytest.approx(2.5 * max(cosine, 0), abs=1e-5)
    assert len(set(found.tolist())) > 1
    assert found.dtype == torch.float32
    assert not found.is_inference()


def test_batches_do_not_change_scores(
    clip: ClipScore, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, prompts = tiny_images(5), [PROMPTS[i % 3] for i in range(5)]
    whole = clip.score(prompts, images)
    monkeypatch.setattr(clip, "batch_size", 2)
    assert torch.allclose(clip.score(prompts, images), whole, atol=1e-5)


def test_a_long_prompt_is_cut(clip: ClipScore) -> None:
    assert clip.score(["a red fox " * 50], tiny_images(1)).isfinite().all()


def test_weights_are_kept_as_safetensors(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    first = make_reward("clip", weights=weights)
    (kept,) = (tmp_path / "scorers").glob("*.safetensors")
    monkeypatch.setattr(torch, "load", None)  # not read again
    second = make_reward("clip", weights=weights)
    assert torch.equal(first.score(PROMPTS, tiny_images()), second.score(PROMPTS, tiny_images()))
    assert first.version == second.version
    assert kept.name in first.version


def test_the_published_files_are_fetched_and_checked(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    asked: list[HubFile] = []

    def download(file: HubFile) -> Path:
        asked.append(file)
        return weights.parent / file.filename

    with pytest.raises(
        ChecksumError, match=r"pytorch_model.bin has the SHA256 .* delete it and fetch it again"
    ):
        ClipScore.load(download=download)
    published = HubFile("openai/clip-vit-base-patch32", weights.name, "3d74acf9", sha256_of(weights))
    monkeypatch.setattr(clip_score, "WEIGHTS", published)
    assert ClipScore.load(download=download).score(PROMPTS, tiny_images()).shape == (3,)
    assert {file.filename for file in asked} == {"config.json", "tokenizer.json", "pytorch_model.bin"}
    assert {file.repo for file in asked} == {"openai/clip-vit-base-patch32"}
    assert all(file.revision != "main" for file in asked)


def test_no_network_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        MissingModelFile, match=r"cannot be fetched .*`hf download openai/clip-vit-base-patch32"
    ):
        make_reward("clip")


def test_files_that_are_not_there(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    with pytest.raises(
        MissingModelFile, match=r"there is no file .*gone.bin; needed is pytorch_model.bin of"
    ):
        make_reward("clip", weights=tmp_path / "gone.bin")
    alone = tmp_path / weights.name
    alone.write_bytes(weights.read_bytes())
    with pytest.raises(MissingModelFile, match=r"config.json, which belongs to the weights; get it with `hf"):
        make_reward("clip", weights=alone)


def test_files_that_are_no_weights(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((weights.parent / name).read_bytes())
    (tmp_path / "text.txt").write_text("x")
    with pytest.raises(BrokenModelFile, match=r"text.txt is neither .safetensors nor"):
        make_reward("clip", weights=tmp_path / "text.txt")
    (tmp_path / "half.bin").write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(BrokenModelFile, match=r"half.bin cannot be read as weights"):
        make_reward("clip", weights=tmp_path / "half.bin")
    # a pickle that would run code is refused before it does
    torch.save({"state_dict": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(BrokenModelFile, match=r"code.pt cannot be read as weights"):
        make_reward("clip", weights=tmp_path / "code.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(BrokenModelFile, match=r"empty.pt holds no weights"):
        make_reward("clip", weights=tmp_path / "empty.pt")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(
        BrokenModelFile, match=r"no checkpoint of CLIP: \d+ weights are missing and 1 are unknown"
    ):
        make_reward("clip", weights=tmp_path / "other.pt")
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(BrokenModelFile, match=r"bad.safetensors cannot be read as safetensors"):
        make_reward("clip", weights=tmp_path / "bad.safetensors")


@pytest.mark.parametrize(
    ("prompts", "images", "message"),
    [
        ([], [], "there is no image to score"),
        (["a", "b"], [Image.new("RGB", (8, 8))], "2 prompts and 1 images"),
        ([" "], [Image.new("RGB", (8, 8))], "prompt 0 is empty"),
        (["a"], ["fox.png"], "image 0 is of type str; needed is a PIL image"),
        (["a"], [Image.new("RGB", (0, 8))], "image 0 has the size 0x8"),
    ],
)
def test_what_cannot_be_scored(
    clip: ClipScore, prompts: list[str], images: list[Image.Image], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        clip.score(prompts, images)


def test_a_score_that_is_no_number_is_refused(clip: ClipScore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "_score", lambda prompts, images: torch.tensor([0.5, float("nan")]))
    with pytest.raises(InvalidInput, match=r"clip gave no finite number for 1 of 2 images, such as number 1"):
        clip.score(PROMPTS[:2], tiny_images(2))


def test_a_batch_size_of_none(clip: ClipScore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "batch_size", 0)
    with pytest.raises(InvalidInput, match="the batch size is 0"):
        clip.score(PROMPTS, tiny_images())


def test_an_unknown_reward() -> None:
    with pytest.raises(
        InvalidInput, match="there is no reward 'beauty' of images; there are clip, imagereward"
    ):
        make_reward("beauty")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_images_of_other_modes(clip: ClipScore, mode: str) -> None:
    assert clip.score(["fox"], [tiny_images(1)[0].convert(mode)]).isfinite().all()


def test_the_middle_is_cut_out() -> None:
    image = Image.new("RGB", (64, 32), (0, 0, 0))
    image.paste((255, 255, 255), (16, 0, 48, 32))
    pixels = centre_pixels([image], 32)[0]
    white = (1 - torch.tensor(MEAN)) / torch.tensor(STD)
    assert torch.allclose(pixels, white.view(3, 1, 1).expand(3, 32, 32), atol=1e-5)


def test_bars_are_put_round() -> None:
    pixels = letterbox_pixels([Image.new("RGB", (64, 32), (255, 255, 255))], 32)[0]
    black, white = -torch.tensor(MEAN) / torch.tensor(STD), (1 - torch.tensor(MEAN)) / torch.tensor(STD)
    assert torch.allclose(pixels[:, :8], black.view(3, 1, 1).expand(3, 8, 32))
    assert torch.allclose(pixels[:, 8:24], white.view(3, 1, 1).expand(3, 16, 32), atol=1e-5)
    # as large as the tower's side, and a strip of one pixel
    assert letterbox_pixels([Image.new("RGB", (32, 16))], 32).shape == (1, 3, 32, 32)
    assert letterbox_pixels([Image.new("RGB", (300, 1))], 32).shape == (1, 3, 32, 32)

"""HPS v2: Eq. 4 on literal vectors, its pixels against torchvision's, and its scores against the authors'.

What needs open_clip runs in the environment of `.ci/scorers`, with a small model of ViT-H-14's form.
"""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_scorers import PROMPTS, save_tiny_hps, tiny_images, tiny_open_clip_config

from finetune.rewards.hps import HpsScore, hps_score
from finetune.rewards.pixels import centre_pixels, letterbox_pixels
from retrieval.errors import BrokenModelFile, InvalidInput, MissingExtra, MissingModelFile

WHY = "open_clip and its torchvision live in an environment of their own: .ci/scorers"
NAME = "tiny-H-14"


def test_equation_4_by_hand() -> None:
    text, image = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [-2.0, 0.0]])
    assert hps_score(text, image).tolist() == pytest.approx([96.0, -100.0])
    assert hps_score(text, image, torch.tensor(math.log(10)).exp()).tolist() == pytest.approx([9.6, -10.0])


def test_an_unknown_version() -> None:
    with pytest.raises(InvalidInput, match=r"there is no HPS 'v3'; there are v2.0 and v2.1"):
        HpsScore.load("v3")


def test_without_open_clip_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingExtra, match=r"`pip install 'diffagent-tools\[scorers\]'`"):
        HpsScore.load("v2.1")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    open_clip = pytest.importorskip("open_clip", reason=WHY)
    folder = tmp_path_factory.mktemp("configs")
    open_clip.add_model_config(folder / f"{tiny_open_clip_config(folder, NAME)}.json")
    torch.manual_seed(0)
    model = open_clip.create_model(NAME, pretrained=None)
    for value in model.parameters():
        if value.ndim > 1:
            torch.nn.init.normal_(value, std=0.2)
    return model.train(False)


@pytest.fixture(scope="module")
def weights(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_hps(tmp_path_factory.mktemp("hps"), network)


@pytest.fixture
def hps(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HpsScore:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    return HpsScore.load("v2.1", weights, model=NAME)


def test_the_score_is_the_cosine_times_100(hps: HpsScore, network: Any) -> None:
    import open_clip

    found = hps.score(PROMPTS, tiny_images())
    assert hps.name == "hps-v2.1"
    with torch.no_grad():
        image = network.encode_image(letterbox_pixels(tiny_images(), 32), normalize=True)
        text = network.encode_text(open_clip.get_tokenizer(NAME)(list(PROMPTS)), normalize=True)
    assert torch.allclose(found, 100 * (image * text).sum(-1), atol=1e-4)
    assert found.std() > 0.01


def test_the_score_is_that_of_the_authors_code(hps: HpsScore, weights: Path) -> None:
    """Their network, tokenizer and preprocessing, on the same weights."""
    pytest.importorskip("hpsv2", reason=WHY)
    # one of their files imports a name of it by mistake, and not every Python has Tk
    pytest.importorskip("turtle", reason="hpsv2 imports turtle, and this Python has no Tk")
    from hpsv2.src.open_clip.model import CLIP
    from hpsv2.src.open_clip.tokenizer import tokenize
    from hpsv2.src.open_clip.transform import image_transform

    config: dict[str, Any] = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    theirs = CLIP(**config, output_dict=True)
    theirs.load_state_dict(torch.load(weights, weights_only=True)["state_dict"])
    theirs.train(False)
    preprocess = image_transform(32, is_train=False, resize_longest_max=True)
    for prompt, image in zip(PROMPTS, tiny_images(), strict=True):
        with torch.no_grad():
            outputs = theirs(preprocess(image)[None], tokenize([prompt]))
        score = 100 * torch.diagonal(outputs["image_features"] @ outputs["text_features"].T).item()
        assert hps.score([prompt], [image]).item() == pytest.approx(score, abs=2e-3)


def test_pixels_are_those_of_torchvision() -> None:
    transforms = pytest.importorskip("torchvision.transforms", reason=WHY)
    bicubic = transforms.InterpolationMode.BICUBIC
    sizes = [(40, 64), (70, 33), (48, 48), (31, 97), (500, 333), (224, 100)]
    random = torch.Generator().manual_seed(0)
    for width, height in sizes:
        array = torch.randint(0, 256, (height, width, 3), generator=random, dtype=torch.uint8).numpy()
        image = Image.fromarray(array)
        centre = transforms.Compose(
            [transforms.Resize(32, bicubic), transforms.CenterCrop(32), transforms.ToTensor()]
        )
        mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        normal = transforms.Normalize(mean, std)
        assert torch.allclose(centre_pixels([image], 32)[0], normal(centre(image)), atol=1e-5), image.size
        scale = 32 / max(width, height)
        small = [round(height * scale), round(width * scale)]
        resized = transforms.functional.resize(transforms.ToTensor()(image), small, bicubic, antialias=True)
        across, down = 32 - small[1], 32 - small[0]
        bars = [across // 2, down // 2, across - across // 2, down - down // 2]
        expected = normal(transforms.functional.pad(resized, bars))
        assert torch.allclose(letterbox_pixels([image], 32)[0], expected, atol=1e-5), image.size


def test_the_published_network_has_the_published_weights() -> None:
    open_clip = pytest.importorskip("open_clip", reason=WHY)
    with torch.device("meta"):
        model = open_clip.CLIP(**open_clip.get_model_config("ViT-H-14"))
    # the keys of HPS_v2_compressed.pt: 686, logit_scale among them
    assert len(model.state_dict()) == 686
    assert tuple(model.visual.image_size) == (224, 224)


def test_both_versions_are_known_by_name(weights: Path, hps: HpsScore) -> None:
    older = HpsScore.load("v2.0", weights, model=NAME)
    assert older.name == "hps-v2.0"
    assert torch.equal(older.score(PROMPTS, tiny_images()), hps.score(PROMPTS, tiny_images()))


def test_a_missing_checkpoint_and_one_of_another_network(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    with pytest.raises(
        MissingModelFile, match=r"needed is HPS_v2_compressed.pt of xswu/HPSv2: get it with `hf"
    ):
        HpsScore.load("v2.0", tmp_path / "gone.pt", model=NAME)
    torch.save({"state_dict": {"x": torch.zeros(1)}}, tmp_path / "x.pt")
    with pytest.raises(
        BrokenModelFile, match=r"no checkpoint of HPS v2.1 .*weights are missing and 1 are unknown"
    ):
        HpsScore.load("v2.1", tmp_path / "x.pt", model=NAME)

"""The environment of the authors' packages: how it is made and spoken to, with stand-ins for the packages.

With DIFFAGENT_SCORE_ENV naming a folder that `python -m finetune.rewards.authors create --path` made, the
authors' ImageReward scores random weights of the published size beside this project's (about 4 GB of memory).
"""

import json
import os
from pathlib import Path

import pytest
from tiny_scorers import PROMPTS, WORDS, image_reward_state, tiny_images

from finetune.rewards.authors import ScoreEnv, main
from finetune.rewards.image_reward import ImageReward, Sizes
from retrieval.errors import InvalidInput, RenderError, StorageError

# the outermost edge: packages of the authors' names that give what a test can foresee
STAND_INS = {
    "ImageReward.py": (
        "print('a package that prints')\n"
        "class Model:\n"
        "    def score(self, prompt, path):\n"
        "        from pathlib import Path\n"
        "        assert Path(path).read_bytes()[1:4] == b'PNG'\n"
        "        return float(len(prompt))\n"
        "def load(name):\n"
        "    if name != 'ImageReward-v1.0':\n"
        "        raise FileNotFoundError(name)\n"
        "    return Model()\n"
    ),
    "hpsv2.py": (
        "def score(path, prompt, hps_version):\n    return [{'v2.0': 0.25, 'v2.1': 0.5}[hps_version]]\n"
    ),
}


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> ScoreEnv:
    folder = tmp_path_factory.mktemp("env") / "score-env"
    made = ScoreEnv.create(folder, requirements=())
    (packages,) = folder.glob("lib/python*/site-packages")
    for name, text in STAND_INS.items():
        (packages / name).write_text(text)
    return made


def test_scores_come_back_in_order(env: ScoreEnv) -> None:
    assert env.score("imagereward", PROMPTS, tiny_images()) == [float(len(prompt)) for prompt in PROMPTS]
    assert env.score("hps-v2.0", PROMPTS[:1], tiny_images(1)) == [25.0], "times 100, as in Table 2"
    assert env.score("hps-v2.1", PROMPTS[:1], tiny_images(1)) == [50.0]


def test_what_the_package_raises_is_said(env: ScoreEnv, tmp_path: Path) -> None:
    gone = tmp_path / "gone.pt"
    with pytest.raises(
        RenderError, match=r"the authors' imagereward failed \(FileNotFoundError: .*gone.pt\)"
    ):
        env.score("imagereward", PROMPTS, tiny_images(), weights=gone)


def test_what_cannot_be_scored(env: ScoreEnv) -> None:
    with pytest.raises(InvalidInput, match="have no 'clip'; they have imagereward"):
        env.score("clip", PROMPTS, tiny_images())
    with pytest.raises(InvalidInput, match="there is no image to score"):
        env.score("imagereward", [], [])


def test_the_script_tells_what_is_there(
    env: ScoreEnv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["info", "--path", str(env.folder)])
    said = json.loads(capsys.readouterr().out)
    assert said["folder"] == str(env.folder)
    assert said["image-reward"] == "not installed"
    with pytest.raises(RenderError, match=r"rewards\.authors create` makes it"):
        main(["info", "--path", str(tmp_path)])


def test_an_environment_that_was_not_finished(env: ScoreEnv, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="there is no environment of the authors' scorers"):
        ScoreEnv.find(tmp_path)
    assert ScoreEnv.find(env.folder) == env


def test_a_package_that_cannot_be_installed(env: ScoreEnv) -> None:
    with pytest.raises(RenderError, match="cannot install the authors' packages"):
        ScoreEnv.create(env.folder, requirements=("./no-such-folder",))


def test_an_interpreter_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot make the environment: .*nopython does not start"):
        ScoreEnv.create(tmp_path, python=tmp_path / "nopython")


MED_CONFIG = """{"architectures": ["BertModel"], "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu",
"hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02, "intermediate_size": 3072,
"layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 12,
"num_hidden_layers": 12, "pad_token_id": 0, "type_vocab_size": 2, "vocab_size": 30524, "encoder_width": 768,
"add_cross_attention": true}"""


@pytest.mark.skipif(
    "DIFFAGENT_SCORE_ENV" not in os.environ,
    reason="DIFFAGENT_SCORE_ENV names no environment of `python -m finetune.rewards.authors create`",
)
def test_image_reward_is_the_authors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    state = image_reward_state(Sizes())
    for name, value in state.items():
        # weights as wide as those of the small network would drown the words in the picture's noise
        if value.is_floating_point() and value.ndim > 1:
            state[name] = value * 0.2
    torch.save(state, tmp_path / "ImageReward.pt")
    (tmp_path / "med_config.json").write_text(MED_CONFIG)
    words = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n"
    (tmp_path / "vocab.txt").write_text(words)
    (tmp_path / "bert-base-uncased").mkdir()
    (tmp_path / "bert-base-uncased" / "vocab.txt").write_text(words)
    ours = ImageReward.load(tmp_path / "ImageReward.pt").score(PROMPTS, tiny_images())
    theirs = ScoreEnv.find(Path(os.environ["DIFFAGENT_SCORE_ENV"])).score(
        "imagereward", PROMPTS, tiny_images(), weights=tmp_path / "ImageReward.pt"
    )
    print("ours", ours.tolist(), "theirs", theirs)
    assert ours.tolist() == pytest.approx(theirs, abs=1e-4)
    assert ours.std() > 5e-4

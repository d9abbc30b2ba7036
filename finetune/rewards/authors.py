"""The authors' own packages, image-reward and hpsv2, in an environment of their own: a cross-check.

    python -m finetune.rewards.authors create        # about 8 GB, once
    env = ScoreEnv.find(); env.score("imagereward", ["a corgi"], [image])     # [0.53]

They pin versions that cannot live beside this project's, so they are called in a subprocess: requests and
answers are one JSON object a line, images are files. The scorers of this project
(finetune/rewards/image_reward.py, finetune/rewards/hps.py) give the same numbers and need none of this.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.exits import tell
from finetune.rewards.pixels import check_pairs
from retrieval.errors import InvalidInput, RenderError, StorageError
from retrieval.storage import atomic_write, cache_dir, home

if TYPE_CHECKING:
    from PIL.Image import Image

# Versions that work together: image-reward 1.5 imports functions that transformers dropped in 4.48, `clip`
# without naming it, and timm 0.6.13; hpsv2 1.2.0 wants protobuf below 4, and its wheel
# lacks the vocabulary that open_clip has.
REQUIREMENTS = (
    "image-reward==1.5",
    "hpsv2==1.2.0",
    "timm==0.6.13",
    "transformers==4.46.3",
    "huggingface-hub>=0.26,<1",
    "diffusers==0.31.0",
    "accelerate==1.1.1",
    "datasets==3.1.0",
    "openai-clip==1.0.1",
    "open-clip-torch==2.20.0",
    "setuptools<81",
)
REWARDS = ("imagereward", "hps-v2.0", "hps-v2.1")
_PROGRAM = "score_server.py"
_MARK = "created.json"

_VOCABULARY = """
import importlib.util, shutil
def folder(name):
    return importlib.util.find_spec(name).submodule_search_locations[0]

shutil.copy(folder("open_clip") + "/bpe_simple_vocab_16e6.txt.gz", folder("hpsv2") + "/src/open_clip/")
"""

# Runs in the other environment: whatever Python that has, and none of this project's modules.
SERVER = '''\
"""Scores for {"reward", "prompts", "images", "weights"} a line with the authors' packages."""
import json
import os
import sys

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # the packages print; only answers go to standard output
loaded = {}


def image_reward(prompt, path, weights):
    import ImageReward

    if "imagereward" not in loaded:
        config = os.path.join(os.path.dirname(weights), "med_config.json") if weights else ""
        given = {"med_config": config} if os.path.isfile(config) else {}
        loaded["imagereward"] = ImageReward.load(weights or "ImageReward-v1.0", **given)
    return loaded["imagereward"].score(prompt, path)


def hps(version):
    def score(prompt, path, weights):
        import hpsv2

        given = {"cp": weights} if weights else {}
        # a cosine; Table 2 prints it times 100
        return 100 * float(hpsv2.score(path, prompt, hps_version=version, **given)[0])

    return score


SCORERS = {"imagereward": image_reward, "hps-v2.0": hps("v2.0"), "hps-v2.1": hps("v2.1")}
for line in sys.stdin:
    request = json.loads(line)
    try:
        scorer = SCORERS[request["reward"]]
        pairs = zip(request["prompts"], request["images"])
        answer = {"scores": [float(scorer(prompt, path, request["weights"])) for prompt, path in pairs]}
    except Exception as error:  # whatever it is goes back to the caller, who raises it
        answer = {"error": "%s: %s" % (type(error).__name__, error)}
    answers.write(json.dumps(answer) + "\\n")
    answers.flush()
'''


@dataclass(frozen=True)
class ScoreEnv:
    """An environment that has been created; `python` is its interpreter."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @classmethod
    def find(cls, folder: Path | None = None) -> "ScoreEnv":
        """The environment at a folder, by default the one in the cache.

        Raises:
            RenderError: it has not been created.
        """
        env = cls(folder or home() / "score-env")
        if not (env.folder / _MARK).is_file() or not env.python.exists():
            raise RenderError(
                f"there is no environment of the authors' scorers in {env.folder}; "
                "`python -m finetune.rewards.authors create` makes it (about 8 GB)"
            )
        return env

    @classmethod
    def create(
        cls,
        folder: Path | None = None,
        *,
        python: Path | None = None,
        requirements: Sequence[str] = REQUIREMENTS,
        tell: Callable[[str], None] = lambda line: None,
    ) -> "ScoreEnv":
        """Makes the environment, or goes on with one that was not finished.

        Args:
            python: the interpreter it is made with, 3.10 or 3.11; this one if None.

        Raises:
            StorageError: the folder cannot be made.
            RenderError: a package cannot be installed; the message has pip's last line.
        """
        env = cls(folder or cache_dir() / "score-env")
        tell(f"making an environment in {env.folder}")
        _run([str(python or sys.executable), "-m", "venv", str(env.folder)], "make the environment")
        if requirements:
            tell(f"installing {', '.join(requirements)}")
            install = [str(env.python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
            _run([*install, *requirements], "install the authors' packages")
            _run([str(env.python), "-c", _VOCABULARY], "complete hpsv2")
        atomic_write(env.folder / _PROGRAM, SERVER.encode())
        # last of all, so that an environment that was not finished is told apart
        atomic_write(env.folder / _MARK, json.dumps({"requirements": list(requirements)}).encode())
        return env

    def info(self) -> dict[str, str]:
        """Where it is and which versions are installed."""
        wanted = ("image-reward", "hpsv2", "transformers", "timm", "torch", "torchvision")
        code = (
            "import importlib.metadata as m, json, sys\n"
            "def v(n):\n"
            "    try: return m.version(n)\n"
            "    except m.PackageNotFoundError: return 'not installed'\n"
            "print(json.dumps({'python': sys.version.split()[0], **{n: v(n) for n in sys.argv[1:]}}))"
        )
        versions: dict[str, str] = json.loads(
            _run([str(self.python), "-c", code, *wanted], "ask for versions")
        )
        return {"folder": str(self.folder), **versions}

    def score(
        self,
        reward: str,
        prompts: Sequence[str],
        images: "Sequence[Image]",
        *,
        weights: Path | None = None,
    ) -> list[float]:
        """The authors' scores, one a pair of prompt and image; HPS v2 times 100.

        Args:
            reward: imagereward, hps-v2.0 or hps-v2.1.
            weights: a checkpoint on this machine; the package fetches its own if None. Of ImageReward, a
                `med_config.json` and a folder `bert-base-uncased` beside it are taken, too.

        Raises:
            InvalidInput: no such reward, or pairs that cannot be scored.
            RenderError: the package failed; the message has what it said.
        """
        if reward not in REWARDS:
            raise InvalidInput(f"the authors' packages have no {reward!r}; they have {', '.join(REWARDS)}")
        check_pairs(prompts, images)
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for place, image in enumerate(images):
                path = Path(folder) / f"{place}.png"
                image.convert("RGB").save(path)
                paths.append(str(path))
            request = {
                "reward": reward,
                "prompts": list(prompts),
                "images": paths,
                "weights": str(weights.resolve()) if weights else None,
            }
            said = _run(
                [str(self.python), str(self.folder / _PROGRAM)],
                f"score with {reward}",
                stdin=json.dumps(request) + "\n",
                folder=weights.parent if weights else None,
            )
        answer: dict[str, Any] = json.loads(said)
        if "error" in answer:
            raise RenderError(
                f"the authors' {reward} failed ({answer['error']}); see "
                "`python -m finetune.rewards.authors info`"
            )
        scores: list[float] = answer["scores"]
        return scores


def _run(
    command: list[str],
    purpose: str,
    *,
    stdin: str = "",
    folder: Path | None = None,
) -> str:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=folder)
    except OSError as error:
        raise StorageError(f"cannot {purpose}: {command[0]} does not start ({error.strerror})") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise RenderError(f"cannot {purpose} ({last[:300]}); remove the folder and create it again")
    return done.stdout


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m finetune.rewards.authors",
        description="The authors' packages image-reward and hpsv2 in an environment of their own.",
    )
    parser.add_argument("do", choices=("create", "info"), help="make it (about 8 GB), or say what it has")
    parser.add_argument("--path", type=Path, help="its folder, in place of the one below the cache")
    parser.add_argument("--python", type=Path, help="the interpreter to make it with, 3.10 or 3.11")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    given = make_parser().parse_args(argv)
    if given.do == "create":
        env = ScoreEnv.create(given.path, python=given.python, tell=tell)
        print(f"ready: {env.folder}")
    else:
        print(json.dumps(ScoreEnv.find(given.path).info(), indent=2))


if __name__ == "__main__":
    from diffagent_tools.exits import run_script

    run_script(main, "stopped; the same command begins anew")

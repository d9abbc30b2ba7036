"""The install line of an integration's README, run as it stands there."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
INTEGRATIONS = ROOT / "integrations"


def install(name: str, **folders: Path) -> None:
    """Runs the line in the repository, with the program's folder in the variable that it names."""
    readme = (INTEGRATIONS / name / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```bash\n(.+)\n```", readme)
    assert found is not None
    folder = {key: str(path) for key, path in folders.items()}
    assert all(f"${key}" in found[1] for key in folder)
    subprocess.run(found[1], shell=True, check=True, cwd=ROOT, env={**os.environ, **folder})

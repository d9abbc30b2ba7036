"""What is only there with an extra, and what to say where it is not.

gradio = require("gradio")       # the module, or MissingExtra: "... `pip install 'diffagent-tools[ui]'`"
"""

import importlib
from typing import Any

from retrieval.errors import MissingExtra

EXTRAS = {
    "train": {
        "trl": "trl",
        "datasets": "datasets",
        "accelerate": "accelerate",
        "datasketch": "datasketch",
        "sklearn": "scikit-learn",
        "matplotlib": "matplotlib",
        "pyarrow": "pyarrow",
        "yaml": "pyyaml",
        "krippendorff": "krippendorff",
    },
    "images": {"diffusers": "diffusers", "accelerate": "accelerate", "PIL": "pillow"},
    "scorers": {"open_clip": "open-clip-torch", "torchvision": "torchvision"},
    "scale": {"ray": "ray"},
    "mcp": {"mcp": "mcp", "uvicorn": "uvicorn"},
    "serve": {"fastapi": "fastapi", "uvicorn": "uvicorn"},
    "ui": {"gradio": "gradio"},
    "agents": {
        "langchain": "langchain",
        "langgraph": "langgraph",
        "langchain_community": "langchain-community",
    },
}
"""For each extra of pyproject.toml, its modules and what the package index calls them."""


def extra_of(module: str) -> str | None:
    """The extra that brings a module or one inside it; None for what none brings."""
    top = module.partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if top in modules), None)


def missing_extra(error: ImportError) -> MissingExtra | None:
    """What to say of an import that failed; None where no extra brings the module."""
    extra = extra_of(error.name or "")
    if extra is None:
        return None
    reason = str(error).partition("\n")[0]
    return MissingExtra(
        f"{error.name} cannot be imported ({reason}); install the extra that brings it: "
        f"`pip install 'diffagent-tools[{extra}]'`"
    )


def require(module: str) -> Any:
    """Imports a module that comes with an extra.

    Raises:
        MissingExtra: the extra is not installed, or a part of it is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_extra(ImportError(str(error), name=module)) or error from error

"""What libraries print, warn and log does not reach somebody who uses the command.

    quiet_libraries()    # first of all: some read the environment when they are imported

Only the command calls it; a program that imports this package keeps its own settings. Whoever wants to hear
the libraries sets PYTHONWARNINGS, which lets warnings and log lines out, and any of the variables below.
"""

import logging
import os
import sys
import warnings

HEARD = ("diffagent_tools", "retrieval", "finetune", "asyncio", "concurrent.futures", "mcp")
"""Loggers that are still heard: this project's, and those that tell errors which nobody caught."""
_SETTINGS = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


def quiet_libraries() -> None:
    """Silences bars, warnings and log lines of libraries for the rest of this process and what it starts."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if sys.warnoptions:
        return
    warnings.simplefilter("ignore")
    # what no logger has a handler for Python prints to standard error, by its handler of last resort
    logging.getLogger().addHandler(logging.NullHandler())
    for name in HEARD:
        if logging.lastResort is not None:
            logging.getLogger(name).addHandler(logging.lastResort)

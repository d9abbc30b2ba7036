"""What libraries print, warn and log does not reach somebody who uses the command.

    quiet_libraries()    # first of all: some read the environment when they are imported

Only the command calls it; a program that imports this package keeps its own settings. Whoever wants to hear a
library sets PYTHONWARNINGS, TRANSFORMERS_VERBOSITY or TQDM_DISABLE, which are left as they are.
"""

import logging
import os
import sys
import warnings

OWN = ("diffagent_tools", "retrieval", "finetune")
_SETTINGS = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
}


def quiet_libraries() -> None:
    """Silences bars, warnings and log lines of libraries for the rest of this process and what it starts."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # without a handler anywhere Python prints what is logged to standard error
    logging.getLogger().addHandler(logging.NullHandler())
    for name in OWN:
        logger = logging.getLogger(name)
        if logging.lastResort is not None and logging.lastResort not in logger.handlers:
            logger.addHandler(logging.lastResort)

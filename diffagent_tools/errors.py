"""Every error that this project raises on purpose; their tree is drawn in retrieval/errors.py.

from diffagent_tools.errors import NoModelFits, UnknownModel
"""

from retrieval import errors
from retrieval.errors import *  # noqa: F403

__all__ = [
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.DiffAgentError)
]

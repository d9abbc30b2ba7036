"""The command `diffagent`: the only folder that may import finetune, and only inside functions."""

from diffagent_tools.cli.command import app, main

__all__ = ["app", "main"]

"""`python -m finetune.candidates`, see finetune/candidates/make.py."""

from diffagent_tools.exits import run_script
from finetune.candidates.make import main

if __name__ == "__main__":
    run_script(main, "stopped; what is decoded is kept, and the same command goes on after it")

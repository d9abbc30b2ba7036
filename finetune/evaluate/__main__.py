"""`python -m finetune.evaluate`, see finetune/evaluate/run.py."""

from diffagent_tools.exits import run_script
from finetune.evaluate.run import main

if __name__ == "__main__":
    run_script(main)

"""`python -m finetune.rewards`, see finetune/rewards/render_and_score.py."""

from diffagent_tools.exits import run_script
from finetune.rewards.render_and_score import main

if __name__ == "__main__":
    run_script(main, "stopped; what is scored is kept, and the same command goes on after it")

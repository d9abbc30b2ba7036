"""`python -m finetune.rrhf`, see finetune/rrhf/run.py."""

from finetune.rrhf.run import main, make_parser
from finetune.training.run import run_training_script

if __name__ == "__main__":
    run_training_script(make_parser, main)

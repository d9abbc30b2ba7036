"""`python -m finetune.sft`, see finetune/sft/run.py."""

from finetune.sft.run import main, make_parser
from finetune.training.run import run_training_script

if __name__ == "__main__":
    run_training_script(make_parser, main)

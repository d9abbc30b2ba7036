"""Answers that the trained model would give, for stage 2."""

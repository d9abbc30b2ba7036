"""Stage 1, supervised fine-tuning (paper section 3.2.1)."""

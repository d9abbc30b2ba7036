"""Scores of pictures, a file a scorer, and rendering for them."""

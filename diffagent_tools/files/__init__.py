"""Weights on disk: which are wanted, which are there, their headers, fetching from Civitai."""

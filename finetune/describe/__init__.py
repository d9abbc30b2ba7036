"""Descriptions of models, by rules or by a chat model, and their checks."""

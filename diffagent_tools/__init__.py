"""Choose and call."""

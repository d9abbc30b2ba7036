"""Facts of the field that no user's catalogue changes: families, samplers, the word screen."""

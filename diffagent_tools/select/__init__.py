"""A request in, ranked calls with their evidence out."""

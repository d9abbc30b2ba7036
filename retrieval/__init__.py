"""What exists: records, samplers, the catalogue, its index, check and repair."""

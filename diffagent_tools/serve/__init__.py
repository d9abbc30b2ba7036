"""HTTP: select, check, search, export and batch for many at once, over the one set of operations."""

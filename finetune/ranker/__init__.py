"""The fitted parts of retrieval/search: evidence, fusion, encoder."""

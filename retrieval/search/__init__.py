"""Which models fit a request: words, vectors, filters, fitted fusion, and the Chroma store."""

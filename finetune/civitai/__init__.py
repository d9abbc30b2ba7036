"""Civitai's objects: client, pages, collection, the raw store, generation metadata."""

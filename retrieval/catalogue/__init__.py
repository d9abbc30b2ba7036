"""Which models exist, and how any spelling of a name finds one."""

from retrieval.catalogue.catalogue import Catalogue, Match

__all__ = ["Catalogue", "Match"]

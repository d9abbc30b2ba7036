"""The commands on which models there are: what is installed, and catalogues that live."""

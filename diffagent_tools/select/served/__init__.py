"""A served language model as chooser, reader and writer: it moves an answer, and never makes one up."""

"""The commands that answer other programs: over the Model Context Protocol, and over plain HTTP."""

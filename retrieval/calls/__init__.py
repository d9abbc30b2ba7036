"""A T2I API as a call: composed from a record, kept in its family's limits, checked, mended."""

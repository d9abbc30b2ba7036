"""From the raw store to a data set: rules, pairs, split, catalogue, files, card, the starter."""

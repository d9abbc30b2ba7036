"""What every stage reads: pairs, cases, folds, near-duplicates, stripping, files that grow."""

"""What the two stages of training share: run, callbacks, batches, card."""

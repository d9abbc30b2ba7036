"""The language model that may choose: where its weights come from, its prompt, scores, decoding."""

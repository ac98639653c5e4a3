"""Translation: a sentence in one language -> the same in another, with the alignment of their pieces."""

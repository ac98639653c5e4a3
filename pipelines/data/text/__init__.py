"""Texts: vocabularies, segmentation, word vectors, file layouts."""

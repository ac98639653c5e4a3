"""Corpus metrics and their bootstrap intervals."""

"""Corpus scores and their bootstrap intervals."""

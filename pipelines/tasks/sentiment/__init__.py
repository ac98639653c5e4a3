"""Sentiment: a sentence or a text -> an opinion or another class."""

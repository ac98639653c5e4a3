"""Keras layers and losses. Imports no file format, data set or task."""

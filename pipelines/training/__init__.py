"""Fitting, runs, evaluation, metrics and pictures; knows no task by name."""

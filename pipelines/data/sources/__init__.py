"""Where raw examples come from: files, named data sets, and built-in data."""

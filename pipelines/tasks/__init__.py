"""One package for each task."""

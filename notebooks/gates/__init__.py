"""Code of notebook 00: the adding problem, gradients through time, gate diagrams."""

"""The mathematics: Keras layers, losses and search. Knows no file, no data set and no task."""

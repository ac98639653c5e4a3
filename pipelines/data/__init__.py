"""From raw files to tensors: sources, preprocessors in graph, and the tf.data input pipeline."""

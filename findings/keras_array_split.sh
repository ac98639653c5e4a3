#!/usr/bin/env bash
# Keras 3.15.1, TensorFlow 2.21.0: ops.array_split returns one piece on an axis of open length.
# Behaviour: inside a graph with time None, 3 pieces are asked for and one piece with all frames comes back, without an error.
# Expected: three pieces as in eager mode, or an error.
# Seen:
#   eager [(1, 3, 2), (1, 3, 2), (1, 3, 2)] graph [(1, 9, 2)]
. "$(dirname "$0")/environment.bash"
environment keras==3.15.1 tensorflow-cpu==2.21.0
"$PYTHON" - <<'PY'
import numpy as np
import tensorflow as tf
from keras import ops

signal = np.zeros((1, 9, 2), "float32")


@tf.function(input_signature=[tf.TensorSpec((None, None, 2))])
def split(x):
    return list(ops.array_split(x, 3, axis=1))


eager = [tuple(piece.shape) for piece in ops.array_split(signal, 3, axis=1)]
graph = [tuple(piece.shape) for piece in split(signal)]
print("eager", eager, "graph", graph)
raise SystemExit(len(eager) != 3 or graph != [(1, 9, 2)])
PY

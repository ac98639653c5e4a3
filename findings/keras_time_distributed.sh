#!/usr/bin/env bash
# Keras 3.15.1, TensorFlow 2.21.0: TimeDistributed on batches of open length drops frames.
# Behaviour: when the time axis is None in the traced function, the layer loops over as many frames as the batch has rows.
# Expected: as many output frames as input frames, as in a direct call.
# Seen:
#   called (2, 5, 2) in a graph of open length (2, 2, 2)
#   predicted frames for batches of 2 rows with 5, 6, 7 frames: [5, 5, 2, 2, 2, 2]
. "$(dirname "$0")/environment.bash"
environment keras==3.15.1 tensorflow-cpu==2.21.0
"$PYTHON" - <<'PY'
import keras
import numpy as np
import tensorflow as tf

frames = keras.Input((None, 3))
model = keras.Model(frames, keras.layers.TimeDistributed(keras.layers.Dense(2))(frames))
signature = tf.TensorSpec((None, None, 3))
called = tuple(model(np.ones((2, 5, 3), "float32")).shape)
exported = tuple(tf.function(model, input_signature=[signature])(np.ones((2, 5, 3), "float32")).shape)


def batches():
    for time in (5, 6, 7):
        yield np.ones((2, time, 3), "float32")


data = tf.data.Dataset.from_generator(batches, output_signature=signature)
predicted = model.predict(data, verbose=0)
print("called", called, "in a graph of open length", exported)
print("predicted frames for batches of 2 rows with 5, 6, 7 frames:", [int(row.shape[0]) for row in predicted])
raise SystemExit(called != (2, 5, 2) or exported != (2, 2, 2))
PY

#!/usr/bin/env bash
# Keras 3.15.1, TensorFlow 2.21.0: fit cuts later epochs to the length of the first ones.
# Behaviour: a dataset of unknown size yields 6, then 9, then 9 batches; fit trains on fewer in the later epochs, in silence.
# Expected: every epoch runs until its dataset ends.
# Seen:
#   offered [6, 9, 9] trained [6, 7, 7]
. "$(dirname "$0")/environment.bash"
environment keras==3.15.1 tensorflow-cpu==2.21.0
"$PYTHON" - <<'PY'
import keras
import numpy as np
import tensorflow as tf

lengths, started, trained = [6, 9, 9], [], []


def batches():
    count = lengths[min(len(started), 2)]
    started.append(count)
    for _ in range(count):
        yield np.ones((2, 1), "float32"), np.ones((2, 1), "float32")


class Count(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        trained.append(0)

    def on_train_batch_end(self, batch, logs=None):
        trained[-1] += 1


model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
signature = (tf.TensorSpec((2, 1)), tf.TensorSpec((2, 1)))
data = tf.data.Dataset.from_generator(batches, output_signature=signature)
model.fit(data, epochs=3, verbose=0, callbacks=[Count()])
print("offered", lengths, "trained", trained)
raise SystemExit(trained == lengths)
PY

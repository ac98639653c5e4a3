#!/usr/bin/env bash
# Keras 3.15.1, TensorFlow 2.21.0: recurrent layers output zeros before the first real step, whatever the initial state.
# Behaviour: with initial_state given, masked steps at the start of a row give 0 instead of the state held so far; after
# the first real step, masked steps repeat the last output.
# Expected: the initial state, which is the output held at that moment.
# Seen:
#   masked step at the start [0.0, 0.0] state of a row without real steps [0.5, 0.5]
#   later masked step repeats the last output: True
. "$(dirname "$0")/environment.bash"
environment keras==3.15.1 tensorflow-cpu==2.21.0
"$PYTHON" - <<'PY'
import keras
import numpy as np

layer = keras.layers.GRU(2, return_sequences=True, return_state=True)
mask = np.array([[False, True, False]])
outputs, final = layer(np.ones((1, 3, 3), "float32"), mask=mask, initial_state=[np.full((1, 2), 0.5, "float32")])
outputs = np.array(outputs)[0]
_, kept = layer(
    np.ones((1, 3, 3), "float32"), mask=np.zeros((1, 3), bool), initial_state=[np.full((1, 2), 0.5, "float32")]
)
held = bool(np.allclose(outputs[1], outputs[2]) and np.allclose(outputs[1], np.array(final)[0]))
print("masked step at the start", outputs[0].tolist(), "state of a row without real steps", np.array(kept)[0].tolist())
print("later masked step repeats the last output:", held)
raise SystemExit(bool(outputs[0].any()) or not np.allclose(kept, 0.5) or not held)
PY

#!/usr/bin/env bash
# Keras 3.15.1, TensorFlow 2.21.0: keras.losses.CTC scores padding frames as speech.
# Behaviour: the loss takes every frame of the padded batch; the same utterance costs more when a longer one shares its batch.
# Expected: a way to pass lengths or a mask, as keras.ops.ctc_loss has, so that padding does not count.
# Seen:
#   8 frames 12.568, 30 padding frames added 53.945, ops.ctc_loss with lengths 12.568
. "$(dirname "$0")/environment.bash"
environment keras==3.15.1 tensorflow-cpu==2.21.0
"$PYTHON" - <<'PY'
import keras
import numpy as np

logits = np.random.default_rng(0).normal(size=(1, 8, 5)).astype("float32") * 3
padded = np.pad(logits, ((0, 0), (0, 30), (0, 0)))
labels = np.array([[1, 2, 3]])
alone, longer = (float(keras.losses.CTC()(labels, x)) for x in (logits, padded))
by_length = float(keras.ops.ctc_loss(labels, padded, np.array([3]), np.array([8]))[0])
print(f"8 frames {alone:.3f}, 30 padding frames added {longer:.3f}, ops.ctc_loss with lengths {by_length:.3f}")
raise SystemExit(abs(alone - by_length) > 1e-3 or longer < alone + 1)
PY

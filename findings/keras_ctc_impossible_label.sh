#!/usr/bin/env bash
# Keras 3.15.1, TensorFlow 2.21.0: ops.ctc_loss gives a finite loss for labels that cannot be produced.
# Behaviour: a label id outside the classes gets a small loss, and a label longer than the input about 700.
# Expected: an error for the id, an error or inf for the impossible length.
# Seen:
#   valid 12.568, id 9 of 5 classes 2.663, 12 labels for 8 frames 715.560
. "$(dirname "$0")/environment.bash"
environment keras==3.15.1 tensorflow-cpu==2.21.0
"$PYTHON" - <<'PY'
import numpy as np
from keras import ops

logits = np.random.default_rng(0).normal(size=(1, 8, 5)).astype("float32") * 3


def loss(labels):
    return float(ops.ctc_loss(np.array([labels]), logits, np.array([len(labels)]), np.array([8]))[0])


right, outside, too_long = loss([1, 2, 3]), loss([1, 9, 3]), loss([1, 2, 3, 4] * 3)
print(f"valid {right:.3f}, id 9 of 5 classes {outside:.3f}, 12 labels for 8 frames {too_long:.3f}")
raise SystemExit(not np.isfinite([outside, too_long]).all())
PY

#!/usr/bin/env bash
# Keras 3.15.1, TensorFlow 2.21.0: keras.metrics.AUC is 0.5 for small scores.
# Behaviour: 200 thresholds are fixed in [0, 1], so scores within [0, 1e-4] all fall between the same two thresholds.
# Expected: the area depends on the order of the scores only, so that scaling them changes nothing.
# Seen:
#   scores in [0, 1] 0.780, the same scores times 1e-4 0.500
. "$(dirname "$0")/environment.bash"
environment keras==3.15.1 tensorflow-cpu==2.21.0
"$PYTHON" - <<'PY'
import keras
import numpy as np

rng = np.random.default_rng(0)
labels = rng.integers(0, 2, 400)
scores = (labels * 0.3 + rng.random(400)) / 1.3


def area(values):
    metric = keras.metrics.AUC()
    metric.update_state(labels, values)
    return float(metric.result())


print(f"scores in [0, 1] {area(scores):.3f}, the same scores times 1e-4 {area(scores * 1e-4):.3f}")
raise SystemExit(area(scores) < 0.6 or abs(area(scores * 1e-4) - 0.5) > 0.01)
PY

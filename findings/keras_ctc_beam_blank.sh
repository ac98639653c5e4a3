#!/usr/bin/env bash
# Keras 3.15.1, TensorFlow 2.21.0: ops.ctc_decode with beam search and mask_index=-1 returns ids outside the vocabulary.
# Behaviour: with 5 classes the beam search returns ids above 4; greedy decoding takes -1 as the last class.
# Expected: the result of mask_index=4, or an error.
# Seen:
#   beam_search {4: [2, 1, 1, 3, -1, -1, -1, -1], -1: [2, 1, 6, 8, -1, -1, -1, -1]}
. "$(dirname "$0")/environment.bash"
environment keras==3.15.1 tensorflow-cpu==2.21.0
"$PYTHON" - <<'PY'
import numpy as np
from keras import ops

logits = np.random.default_rng(0).normal(size=(1, 8, 5)).astype("float32") * 3


def decode(strategy, blank):
    labels, _ = ops.ctc_decode(logits, np.array([8]), strategy=strategy, beam_width=5, mask_index=blank)
    return np.array(labels)[0, 0].tolist()


for strategy in ("greedy", "beam_search"):
    print(strategy, {blank: decode(strategy, blank) for blank in (4, -1)})
raise SystemExit(max(decode("beam_search", -1)) < 5 or decode("greedy", -1) != decode("greedy", 4))
PY

"""Answer inputs with a SavedModel; run as a script in a process of its own, with tensorflow alone.

    python -I fresh_process.py SAVED_MODEL EXCHANGE

``EXCHANGE`` holds ``kinds.json`` (input name -> dtype) and one serialised tensor ``NAME.in`` for each; the outputs of
the default signature are written beside them as ``NAME.out`` with ``answers.json``.
"""

import json
import sys
from pathlib import Path

import tensorflow as tf


def main(folder: str, exchange: Path) -> None:
    """Load, answer, write; anything that goes wrong is for the caller to see."""
    module = tf.saved_model.load(folder)
    kinds = json.loads((exchange / "kinds.json").read_text())
    inputs = {name: tf.io.parse_tensor((exchange / f"{name}.in").read_bytes(), kind) for name, kind in kinds.items()}
    outputs = module.signatures["serving_default"](**inputs)
    for name, value in outputs.items():
        (exchange / f"{name}.out").write_bytes(tf.io.serialize_tensor(value).numpy())
    (exchange / "answers.json").write_text(json.dumps({name: value.dtype.name for name, value in outputs.items()}))
    loaded = {name.partition(".")[0] for name in sys.modules}
    if loaded & {"pipelines", "models"}:
        raise SystemExit("the fresh process imported this project, so it proves nothing")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

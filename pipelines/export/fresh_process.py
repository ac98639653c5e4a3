"""Run a SavedModel in a process that imports only TensorFlow.

    python -P fresh_process.py

Standard input is ``["SAVED_MODEL", "EXCHANGE"]``. The folder EXCHANGE holds ``kinds.json`` (input name -> dtype) and
one serialised tensor ``NAME.in`` per input. The outputs of the default signature are written there with
``answers.json`` (output name -> dtype): ``NAME.loaded`` by `tf.saved_model.load`, ``NAME.served`` by a session, as in
TensorFlow Serving.
"""

import json
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

SIGNATURE = "serving_default"


def main(folder: str, exchange: Path) -> None:
    """Load the SavedModel, run it and write the outputs; errors are left to the caller."""
    kinds = json.loads((exchange / "kinds.json").read_text())
    inputs = {name: tf.io.parse_tensor((exchange / f"{name}.in").read_bytes(), kind) for name, kind in kinds.items()}
    module = tf.saved_model.load(folder)
    outputs = module.signatures[SIGNATURE](**inputs)
    for way, found in (("loaded", outputs), ("served", served(folder, inputs))):
        for name, value in found.items():
            (exchange / f"{name}.{way}").write_bytes(tf.io.serialize_tensor(value).numpy())
    (exchange / "answers.json").write_text(json.dumps({name: value.dtype.name for name, value in outputs.items()}))
    loaded = {name.partition(".")[0] for name in sys.modules}
    if loaded & {"pipelines", "models"}:
        raise SystemExit("the fresh process imported this project, so it proves nothing")


def served(folder: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Run the inputs in a session, which restores variables and tables by graph operations."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], folder).signature_def[SIGNATURE]
        given = {signature.inputs[name].name: value.numpy() for name, value in inputs.items()}
        return dict(session.run({name: info.name for name, info in signature.outputs.items()}, given))


if __name__ == "__main__":
    saved_model, folder_of_exchange = json.load(sys.stdin)
    main(saved_model, Path(folder_of_exchange))

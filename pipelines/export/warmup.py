"""Warm-up requests and example requests for TensorFlow Serving, from the signatures and the verified examples."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from pipelines.tasks import load_task

EXTRA = Path("assets.extra")
WARMUP = EXTRA / "tf_serving_warmup_requests"
REQUEST, PAGE = EXTRA / "request.json", EXTRA / "REQUESTS.md"
INSTALL = "needs the messages of TensorFlow Serving: pip install -e '.[tf-serving]'"
ALONE, MOST = 8, 1000
"""Inputs sent one by one before the full batch; maximum number of requests that the server accepts."""
DEFAULT = "serving_default"

Inputs = dict[str, Any]


def add(folder: Path, examples: list[dict[str, Any]]) -> None:
    """Write ``WARMUP``, ``REQUEST`` and ``PAGE`` into the SavedModel ``folder``, from raw ``examples``, the usual ones
    last.

    Raises:
        RuntimeError: the requests cannot be read back.
    """
    card = json.loads((folder / EXTRA / "pipelines.json").read_text("utf-8"))
    task = load_task(card["task"])
    alone = [task.serving_inputs([example], card) for example in examples[-ALONE:]]
    write(folder / WARMUP, [*alone, task.serving_inputs(examples, card)])
    bodies = [json.dumps({"inputs": {name: rest(value) for name, value in inputs.items()}}) for inputs in alone]
    _replace(folder / REQUEST, min(bodies, key=len) + "\n")
    _replace(folder / PAGE, page(signatures(folder)))


def write(file: Path, requests: list[Inputs]) -> None:
    """Write the first ``MOST`` requests, arguments of the default signature, as ``tensorflow.serving.PredictionLog``
    records.

    Raises:
        RuntimeError: the requests cannot be read back.
    """
    import tensorflow as tf  # noqa: PLC0415
    from tensorflow_serving.apis import prediction_log_pb2  # noqa: PLC0415  # an extra

    file.parent.mkdir(exist_ok=True)
    staging = file.with_name(f".{file.name}-{os.getpid()}")
    with tf.io.TFRecordWriter(str(staging)) as writer:
        for inputs in requests[:MOST]:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.model_spec.signature_name = DEFAULT
            for name, value in inputs.items():
                log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())
    staging.rename(file)
    if len(read(file)) != min(len(requests), MOST):
        raise RuntimeError(f"{file}: its requests cannot be read back")


def read(file: Path) -> list[Inputs]:
    """Return the inputs of every request in a warm-up file, as arrays by name.

    Raises:
        RuntimeError: a record is not a prediction request.
    """
    import tensorflow as tf  # noqa: PLC0415
    from tensorflow_serving.apis import prediction_log_pb2  # noqa: PLC0415  # an extra

    found = []
    for record in tf.data.TFRecordDataset(str(file)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        if log.WhichOneof("log_type") != "predict_log":
            raise RuntimeError(f"{file}: expected prediction requests, came {log.WhichOneof('log_type')}")
        found.append({name: tf.make_ndarray(value) for name, value in log.predict_log.request.inputs.items()})
    return found


def signatures(folder: Path) -> dict[str, Any]:
    """Return the signatures of a SavedModel (``SignatureDef`` by name), read from its file."""
    from tensorflow.core.protobuf import saved_model_pb2  # noqa: PLC0415

    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    named = {name: one for graph in saved.meta_graphs for name, one in graph.signature_def.items()}
    return {name: named[name] for name in sorted(named) if not name.startswith("__")}


def rest(value: Any) -> Any:
    """Convert a tensor to the REST format: text unchanged, other bytes as ``{"b64": ...}``."""

    def one(item: Any) -> Any:
        if isinstance(item, list):
            return [one(part) for part in item]
        if not isinstance(item, bytes):
            return item
        try:
            return item.decode("utf-8")
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(item).decode()}

    return one(value.numpy().tolist())


def page(signature: dict[str, Any]) -> str:
    """Return example requests in Markdown: inputs and outputs, curl, and Python over gRPC."""
    tables = "\n".join(_table(name, one) for name, one in signature.items())
    kinds = {name: _kind(info)[0] for name, info in signature[DEFAULT].inputs.items()}
    named = ", ".join(f'"{name}": tf.{kind}' for name, kind in kinds.items())
    return TEMPLATE.replace("TABLES", tables).replace("KINDS", f"{{{named}}}")


def _table(name: str, signature: Any) -> str:
    rows = [f"## Signature `{name}`", "", "| | name | dtype | shape |", "|---|---|---|---|"]
    for way, infos in (("in", signature.inputs), ("out", signature.outputs)):
        for key in sorted(infos):
            kind, shape = _kind(infos[key])
            rows.append(f"| {way} | `{key}` | {kind} | {shape} |")
    return "\n".join(rows) + "\n"


def _kind(info: Any) -> tuple[str, str]:
    import tensorflow as tf  # noqa: PLC0415

    sizes = ["?" if dim.size < 0 else str(dim.size) for dim in info.tensor_shape.dim]
    shape = "unknown" if info.tensor_shape.unknown_rank else f"[{', '.join(sizes)}]"
    return str(tf.dtypes.as_dtype(info.dtype).name), shape


def _replace(file: Path, text: str) -> None:
    staging = file.with_name(f".{file.name}-{os.getpid()}")
    staging.write_text(text, "utf-8")
    staging.rename(file)


TEMPLATE = """# Requests

Examples for TensorFlow Serving, where this model is called `MODEL`. `request.json` beside this file is the body of one
request; a request may hold any number of inputs, the first axis.

TABLES
## REST

```
curl -s -d @request.json http://127.0.0.1:8501/v1/models/MODEL:predict
```

Bytes that are no text are `{"b64": "..."}` (base64). Another signature is named beside `inputs`:
`{"signature_name": "...", "inputs": {...}}`.

## gRPC, from Python

```python
import base64, json
import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

with open("request.json") as file:
    inputs = json.load(file)["inputs"]
request = predict_pb2.PredictRequest()
request.model_spec.name = "MODEL"
for name, kind in KINDS.items():
    values = [base64.b64decode(v["b64"]) if isinstance(v, dict) else v for v in inputs[name]]
    request.inputs[name].CopyFrom(tf.make_tensor_proto(values, kind))
with grpc.insecure_channel("127.0.0.1:8500") as channel:
    answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, 30.0)
print({name: tf.make_ndarray(value) for name, value in answer.outputs.items()})
```
"""

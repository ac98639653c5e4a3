"""What is written for TensorFlow Serving is read back, and answered by the export as by the run."""

import base64
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines import TASKS, load_task
from pipelines.__main__ import main
from pipelines.export import warmup
from pipelines.predictor import CARD


def test_a_request_of_rest_holds_text_as_it_is_and_other_bytes_in_base64() -> None:
    assert warmup.rest(tf.constant(["ü", ""])) == ["ü", ""]
    assert warmup.rest(tf.constant([b"\xff\x00"])) == [{"b64": base64.b64encode(b"\xff\x00").decode()}]
    assert warmup.rest(tf.constant([[1.5, 0.0], [2.0, 3.0]])) == [[1.5, 0.0], [2.0, 3.0]]
    assert warmup.rest(tf.constant([16000], tf.int32)) == [16000]


def test_the_messages_are_an_extra(monkeypatch: Any, capsys: Any, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["export", str(tmp_path), "--warmup"]) == 2
    assert "pip install -e '.[tf-serving]'" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "--warmup", "--format", "run"]) == 2
    assert "--warmup: is for --format saved_model" in capsys.readouterr().err


@pytest.fixture
def warm(request: Any, small_export: Any, tmp_path: Path) -> tuple[str, Path, list[dict[str, Any]]]:
    """The task, a copy of its export with warm-up requests, and the examples behind them."""
    pytest.importorskip("tensorflow_serving")
    task = load_task(request.param)
    source = task.builtin_source()
    examples = [*task.hard_cases(), *(e for e, _ in zip(source.read("test"), range(warmup.ALONE), strict=False))]
    folder = Path(shutil.copytree(small_export(request.param), tmp_path / "export"))
    warmup.add(folder, examples)
    return request.param, folder, examples


@pytest.mark.serve
@pytest.mark.parametrize("warm", list(TASKS), indirect=True)
def test_every_warm_up_request_is_answered_as_its_examples_are(warm: tuple[str, Path, list[dict[str, Any]]]) -> None:
    name, folder, examples = warm
    task, model = load_task(name), tf.saved_model.load(str(folder))
    serve = model.signatures["serving_default"]
    requests = warmup.read(folder / warmup.WARMUP)
    assert len(requests) == warmup.ALONE + 1
    card = json.loads((folder / CARD).read_text())
    expected = serve(**task.serving_inputs(examples, card))[task.answer_output].numpy().tolist()
    assert (
        serve(**{k: tf.constant(v) for k, v in requests[-1].items()})[task.answer_output].numpy().tolist() == expected
    )
    for request, own in zip(requests[:-1], expected[-warmup.ALONE :], strict=True):
        answer = serve(**{k: tf.constant(v) for k, v in request.items()})[task.answer_output].numpy().tolist()
        assert answer == [own]
    assert not [path.name for path in (folder / "assets.extra").iterdir() if path.name.startswith(".")]


def server(folder: Path) -> tuple[Any, int]:
    """A gRPC server with the interface of TensorFlow Serving, on an export called MODEL."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    model = tf.saved_model.load(str(folder))

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:
            assert request.model_spec.name == "MODEL"
            serve = model.signatures[request.model_spec.signature_name or "serving_default"]
            found = serve(**{name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()})
            response = predict_pb2.PredictResponse()
            for name, value in found.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
            return response

    running = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), running)
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    return running, port


@pytest.mark.serve
@pytest.mark.parametrize("warm", list(TASKS), indirect=True)
def test_the_python_client_of_the_page_gets_the_answer_over_grpc(
    warm: tuple[str, Path, list[dict[str, Any]]], monkeypatch: Any
) -> None:
    name, folder, examples = warm
    text = (folder / warmup.PAGE).read_text("utf-8")
    task, model = load_task(name), tf.saved_model.load(str(folder))
    for signature in (s for s in model.signatures if not s.startswith("__")):
        assert f"## Signature `{signature}`" in text
        for key in model.signatures[signature].structured_outputs:
            assert f"| out | `{key}` |" in text
    code = text.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(folder / "assets.extra")
    running, port = server(folder)
    try:
        with redirect_stdout(io.StringIO()) as out:
            exec(code.replace("127.0.0.1:8500", f"127.0.0.1:{port}"), {})
    finally:
        running.stop(None)
    body = json.loads(Path("request.json").read_text())["inputs"]
    card = json.loads((folder / CARD).read_text())
    alone = [task.serving_inputs([example], card) for example in examples[-warmup.ALONE :]]
    inputs = next(one for one in alone if {k: warmup.rest(v) for k, v in one.items()} == body)
    answer = model.signatures["serving_default"](**inputs)[task.answer_output].numpy()
    assert repr(np.array(answer, object)) in out.getvalue()

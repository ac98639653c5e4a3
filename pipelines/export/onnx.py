"""ONNX export of the network for any batch and length, verified in onnxruntime."""

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import tf2onnx

from pipelines.export.formats import OLDER
from pipelines.export.numeric import BOUND, attempt, batch, cases, deliver, largest_error, load
from pipelines.log import say
from pipelines.runs.files import replacing
from pipelines.task import Arrays, Numeric

MODEL = "model.onnx"
OPSET = 17


def export(run: str | Path, out: str | Path | None = None) -> Path:
    """Export the network of a run as ONNX and verify it against the run in onnxruntime.

    Args:
        run: the run folder.
        out: the folder to write, by default ``onnx`` in the run; an older export is replaced after verification.

    Returns:
        The folder: ``model.onnx``, ``model.json``, and the files named in it.

    Raises:
        ValueError: the run cannot be loaded, or ``out`` is not such an export.
        RuntimeError: the network cannot be converted, or the export differs from the run.
    """
    loaded, numeric = load(run)
    target = Path(out).expanduser() if out is not None else loaded.run.path / "onnx"
    with replacing(target, *OLDER["onnx"]) as staging:
        tried = cases(loaded, numeric)
        _convert(numeric, staging / MODEL)
        error = _prove(staging / MODEL, [*tried, batch(numeric, (x for x, _ in tried))])
        facts = {"opset": OPSET, "largest_error": error, "compared": len(tried) + 1}
        deliver(staging, loaded, numeric, "onnx", {MODEL: facts})
        size = (staging / MODEL).stat().st_size / 1e6
        say(f"{MODEL}: {size:.2f} MB, largest error {error:.1g} in {len(tried)} inputs alone and together")
    return target


def _convert(numeric: Numeric, file: Path) -> None:
    def work() -> Any:
        function, signature = numeric.traced(unmasked=True), numeric.signature()
        model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
        _name_axes(model, numeric)
        onnx.checker.check_model(model)
        return model

    file.write_bytes(attempt(work, "the network cannot be converted to ONNX").SerializeToString())


def _name_axes(model: Any, numeric: Numeric) -> None:
    """Name the open axes, which the converter numbers."""
    axes = {port.name: port.axes for port in (*numeric.inputs, *numeric.outputs)}
    for value in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, axes[value.name], strict=True):
            if not dimension.HasField("dim_value"):
                dimension.dim_param = name


def _prove(file: Path, tried: list[tuple[Arrays, Arrays]]) -> float:
    def work() -> list[Arrays]:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return [dict(zip(names, session.run(None, x), strict=True)) for x, _ in tried]

    answers = attempt(work, "the export fails in onnxruntime")
    error = max(largest_error(expected, got) for (_, expected), got in zip(tried, answers, strict=True))
    if not error <= BOUND:
        raise RuntimeError(f"the export differs from the run by {error:.2g}, allowed is {BOUND}")
    return error

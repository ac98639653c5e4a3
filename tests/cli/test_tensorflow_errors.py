"""What TensorFlow raises while a command works reaches the user as one sentence."""

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from pipelines.__main__ import main
from pipelines.cli import parser as command_line

FULL = (
    "Graph execution error:\n\nDetected at node speech_1/MatMul defined at (most recent call last):\n"
    "<stack traces unavailable>\n2 root error(s) found.\n"
    "  (0) RESOURCE_EXHAUSTED:  OOM when allocating tensor with shape[9,9] and type float by allocator gpu"
    "\n\t [[{{node speech_1/MatMul}}]]\nHint: If you want to see a list of allocated tensors when OOM happens, add "
    "report_tensor_allocations_upon_oom to RunOptions for current allocation info.\n\n\t [[cond/_10]]\n  (1) "
    "RESOURCE_EXHAUSTED:  OOM\n0 successful operations. [Op:__inference_decode_12]"
)
"""A real one takes 20 seconds, in which TensorFlow waits for memory."""


@tf.function(autograph=False)
def in_graph(text: Any) -> Any:
    return tf.strings.to_number(text)


def in_data() -> Any:
    return list(tf.data.Dataset.range(3).map(lambda n: tf.ensure_shape(tf.fill(n[None], 1.0), [2])))


def exhausted() -> Any:
    raise tf.errors.ResourceExhaustedError(None, None, FULL)


CASES: list[tuple[Callable[[], Any], str]] = [
    (exhausted, "OOM when allocating tensor with shape[9,9] and type float"),
    (lambda: in_graph("x"), "StringToNumberOp could not correctly convert string: x"),
    (in_data, "is not compatible with expected shape [2]"),
    (lambda: tf.reshape(tf.zeros([3]), [2]), "Input to reshape is a tensor with 3 values, but the requested shape"),
    (lambda: tf.io.read_file("/no/such/file"), "/no/such/file; No such file or directory"),
]


@pytest.mark.parametrize(("work", "reason"), CASES)
def test_it_is_one_sentence(
    work: Callable[[], Any], reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "run", lambda arguments: work())
    assert main([]) == 1
    err = capsys.readouterr().err
    assert err.startswith("pipelines: TensorFlow: ") and reason in err and err.count("\n") == 1 and len(err) < 350
    for of_the_graph in ("Traceback", "[[", "{{", "[Op:", "Graph execution", "Detected at"):
        assert of_the_graph not in err
    monkeypatch.setenv("PIPELINES_DEBUG", "1")
    assert main([]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_what_is_nobodys_mistake_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class OpError(Exception):
        """Of somebody else."""

    for error in (KeyError("x"), OpError("x")):

        def broken(arguments: list[str], error: Exception = error) -> int:
            raise error

        monkeypatch.setattr(command_line, "run", broken)
        with pytest.raises(type(error)):
            main([])

"""Frozen picture networks: any of keras.applications by name, as a function from pixels to a grid of features."""

import contextlib
import hashlib
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.config import nearest

PATIENCE = 10.0
"""Seconds without an answer after which a download of weights is given up."""


class PictureNetwork(tf.Module):
    """A frozen network without its classifier.

    Attributes:
        network: its name in keras.applications.
        size: height and width of the pictures it takes, in pixels.
        layer: the layer whose output is the grid; empty for the last.
        sha256: over the values of all its weights, so that it does not depend on the file they came in.
        cells: S, cells of the grid.
        features: D, numbers a cell.
    """

    def __init__(self, network: str, weights: str = "", size: int = 224, layer: str = "") -> None:
        """Build the network and load its weights.

        Args:
            network: a name in keras.applications, such as MobileNetV2.
            weights: a file (``.weights.h5`` without the classifier), ``none`` for untrained ones (always the same),
                or empty: the ImageNet weights from Keras's own cache, else downloaded.
            size: see above.
            layer: see above.

        Raises:
            ValueError: no such network or layer, a file that is not there or does not fit, or weights that are
                neither given nor in the cache and cannot be downloaded.
        """
        super().__init__()
        self.network, self.size, self.layer = network, size, layer
        make, self._prepare = _find(network)
        with _plain_float32():
            whole = _load(make, network, weights, size)
            self.model = keras.Model(whole.input, _grid(whole, network, layer))
        self.model.trainable = False
        _, height, width, self.features = self.model.output_shape
        self.cells = height * width
        total = hashlib.sha256()
        for variable in whole.weights:
            total.update(np.ascontiguousarray(variable.numpy()).tobytes())
        self.sha256 = total.hexdigest()

    def __call__(self, pixels: Any) -> Any:
        """Pixels uint8 [B, size, size, 3] -> features float32 [B, S, D], row by row."""
        grid = self.model(self._prepare(tf.cast(pixels, tf.float32)), training=False)
        return tf.reshape(grid, [-1, self.cells, self.features])

    def record(self) -> dict[str, Any]:
        """Return what identifies the features: network, size, layer and the weights' SHA-256."""
        return {"network": self.network, "size": self.size, "layer": self.layer, "weights_sha256": self.sha256}


def names() -> list[str]:
    """Return the names of all networks in keras.applications."""
    return sorted(name for name, value in vars(keras.applications).items() if name[0].isupper() and callable(value))


def _find(network: str) -> tuple[Any, Any]:
    """The constructor of a network, and the function that prepares its pixels (float32, 0 to 255)."""
    if network not in names():
        raise ValueError(f"--encoder {network}: keras.applications has no such network{nearest(network, names())}")
    for module in vars(keras.applications).values():
        if hasattr(module, network) and hasattr(module, "preprocess_input"):
            return getattr(module, network), module.preprocess_input
    raise ValueError(f"--encoder {network}: keras.applications does not say how its pixels are prepared")


@contextlib.contextmanager
def _plain_float32() -> Iterator[None]:
    """Build in float32 whatever the global policy is: the features must not depend on how a decoder trains."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _load(make: Any, network: str, weights: str, size: int) -> Any:
    path = Path(weights).expanduser() if weights not in ("", "none") else None
    if path is not None and not path.is_file():
        raise ValueError(f"--encoder-weights {weights}: there is no such file")
    options: dict[str, Any] = {"include_top": False, "input_shape": (size, size, 3)}
    if weights == "none":
        try:
            model = make(weights=None, **options)
        except ValueError as error:
            _refuse_size(error, network, size)
            raise
        _fill(model)
        return model
    if path is None:
        return _from_keras(make, network, options)
    try:
        # Keras only warns where it skips a part of a file, and keeps the untrained weights there.
        with warnings.catch_warnings(action="error", category=UserWarning):
            return make(weights=str(path), **options)
    except Exception as error:  # Keras raises whatever its readers raise
        _refuse_size(error, network, size)
        raise ValueError(f"--encoder-weights {weights}: are no weights of {network}: {_first_line(error)}") from None


def _from_keras(make: Any, network: str, options: dict[str, Any]) -> Any:
    """ImageNet weights from Keras's cache, else downloaded; never waits longer than ``PATIENCE`` for an answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        # Keras prints its download progress, and warns of every size but the one whose weights are those of all sizes.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(action="ignore", category=UserWarning):
            return make(weights="imagenet", **options)
    except Exception as error:
        _refuse_size(error, network, options["input_shape"][0])
        raise ValueError(
            f"the weights of {network} are not in Keras's cache and could not be downloaded ({_first_line(error)}); "
            "fetch them where there is a network and name the file with --encoder-weights FILE"
        ) from None
    finally:
        socket.setdefaulttimeout(before)


def _refuse_size(error: Exception, network: str, size: int) -> None:
    """Name the option where Keras refuses pictures so small; neither file nor download is to blame then."""
    least = re.match(r"Input size must be at least (\d+)x", str(error))
    if least:
        raise ValueError(f"--picture-size {size}: {network} needs at least {least[1]}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _fill(model: Any) -> None:
    """Give an untrained network the same weights every time (He et al. 2015, arXiv 1502.01852, equation 10)."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        if len(variable.shape) > 1:
            depthwise = len(variable.shape) == 4 and variable.shape[-1] == 1
            inputs = int(np.prod(variable.shape[: 2 if depthwise else -1]))
            variable.assign(random.normal(0, np.sqrt(2 / inputs), variable.shape))


def _grid(model: Any, network: str, layer: str) -> Any:
    if not layer:
        return model.output
    grids = [one.name for one in model.layers if len(getattr(one.output, "shape", ())) == 4]
    if layer not in grids:
        raise ValueError(
            f"--encoder-layer {layer}: {network} has no such layer with a grid as output{nearest(layer, grids)}"
        )
    return model.get_layer(layer).output

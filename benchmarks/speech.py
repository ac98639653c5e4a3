"""Speed of speech recognition: a training step beside stock Keras and PyTorch, and recognition in real time.

    python benchmarks/speech.py [--seconds 4] [--batch 16] [--run RUN]

The step is forward, backward and AdamW on the network of the ``base`` preset without augmentation, on features of
random recordings: ours; the same network out of stock Keras layers with ``keras.ops.ctc_loss`` (as ``fit`` runs it on a
CPU, and compiled by XLA); the same in PyTorch where it is installed. One table, medians of repeated steps.
With ``--run`` the time to recognise built-in recordings with a trained run, over their duration.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines import Predictor
from pipelines.config import from_dict
from pipelines.tasks.speech import model as speech_model
from pipelines.tasks.speech.config import Config, base
from pipelines.tasks.speech.synthetic import examples

SYMBOLS, LABELS = 28, 24


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--run", help="trained run whose real-time factor is measured")
    a = parser.parse_args()
    data = batch(a.batch, int(a.seconds * 100))
    print(f"batch {a.batch} x {a.seconds:g} s, milliseconds a training step (median of {a.repeat})")
    for name, make in (("ours", ours), ("stock Keras", stock), ("stock Keras, XLA", compiled), ("PyTorch", torch_step)):
        print(f"  {name:<18} {timed(make, data, a.repeat)}", flush=True)
    if a.run:
        print(f"  real-time factor   {real_time_factor(a.run):.4f}")


def batch(size: int, frames: int) -> dict[str, np.ndarray]:
    """Random features and labels; the recordings are between 60 % and 100 % of the longest."""
    random = np.random.default_rng(0)
    lengths = np.linspace(0.6, 1.0, size) * frames
    return {
        "features": random.normal(size=(size, frames, 80)).astype(np.float32),
        "frames": lengths.astype(np.int32),
        "tokens": random.integers(1, SYMBOLS, (size, LABELS)).astype(np.int32),
        "count": np.full(size, LABELS, np.int32),
    }


def timed(make: Callable[..., Callable[[], Any]], data: dict[str, np.ndarray], repeat: int) -> str:
    """Median time of a step in milliseconds, compilation left out."""
    try:
        step = make(data)
    except ImportError as error:
        return f"not measured: {error}"
    for _ in range(2):
        step()
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return f"{1000 * statistics.median(times):8.0f}"


def trained(loss: Callable[[dict[str, Any]], Any], weights: list[Any], data: dict[str, np.ndarray], jit: bool) -> Any:
    """One traced step of AdamW."""
    optimizer = keras.optimizers.AdamW(1e-3)
    optimizer.build(weights)
    tensors = {name: tf.constant(value) for name, value in data.items()}

    @tf.function(jit_compile=jit)
    def step(x: dict[str, Any]) -> Any:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(x))
        optimizer.apply(tape.gradient(value, weights), weights)
        return value

    return lambda: float(step(tensors))


def ours(data: dict[str, np.ndarray]) -> Any:
    """The recogniser of this project with its loss."""
    config = from_dict(Config, base(), "benchmark")
    model = speech_model.build(config, SYMBOLS, None).get_layer("recogniser")

    def loss(x: dict[str, Any]) -> Any:
        logits, steps = model([x["features"], x["frames"]], training=True)
        return speech_model.ctc(logits, steps, x["tokens"], x["count"])

    return trained(loss, model.trainable_variables, data, False)


def stock(data: dict[str, np.ndarray], jit: bool = False) -> Any:
    """The same network out of Keras's own layers."""
    layers = keras.layers
    features = keras.Input([None, 80])
    mask = keras.Input([None], dtype="bool")
    x = keras.ops.expand_dims(features, -1)
    for _ in range(2):
        x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Reshape((-1, 20 * 32))(x)
    x = layers.Dropout(0.3)(layers.LayerNormalization()(layers.Dense(256)(x)))
    for _ in range(3):
        x = layers.Bidirectional(layers.LSTM(256, return_sequences=True))(x, mask=mask)
        x = layers.Dropout(0.3)(layers.LayerNormalization()(x))
    model = keras.Model([features, mask], layers.Dense(SYMBOLS)(x))

    def loss(x: dict[str, Any]) -> Any:
        steps = (x["frames"] + 3) // 4
        total = (x["features"].shape[1] + 3) // 4
        logits = model([x["features"], tf.sequence_mask(steps, total)], training=True)
        return keras.ops.ctc_loss(x["tokens"], logits, x["count"], steps, mask_index=0)

    return trained(loss, model.trainable_variables, data, jit)


def compiled(data: dict[str, np.ndarray]) -> Any:
    """The stock network compiled by XLA as a whole."""
    return stock(data, jit=True)


def torch_step(data: dict[str, np.ndarray]) -> Any:
    """The same network in PyTorch."""
    import torch  # noqa: PLC0415  (optional)
    from torch import nn  # noqa: PLC0415

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            convolutions = [nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU()]
            self.convolutions = nn.Sequential(*convolutions)
            self.project = nn.Sequential(nn.Linear(640, 256), nn.LayerNorm(256), nn.Dropout(0.3))
            self.rnns = nn.ModuleList([nn.LSTM(256 if n == 0 else 512, 256, bidirectional=True) for n in range(3)])
            self.ends = nn.ModuleList([nn.Sequential(nn.LayerNorm(512), nn.Dropout(0.3)) for _ in range(3)])
            self.head = nn.Linear(512, SYMBOLS)

        def forward(self, x: Any, steps: Any) -> Any:
            x = self.convolutions(x[:, None]).permute(2, 0, 1, 3).flatten(2)
            x = self.project(x)
            for rnn, end in zip(self.rnns, self.ends, strict=True):
                packed = nn.utils.rnn.pack_padded_sequence(x, steps, enforce_sorted=False)
                x = end(nn.utils.rnn.pad_packed_sequence(rnn(packed)[0], total_length=x.shape[0])[0])
            return self.head(x).log_softmax(-1)

    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    tensors = {name: torch.tensor(value) for name, value in data.items()}
    steps = (tensors["frames"].long() + 3) // 4

    def step() -> float:
        optimizer.zero_grad()
        values = network(tensors["features"], steps)
        loss = nn.functional.ctc_loss(values, tensors["tokens"].long(), steps, tensors["count"].long())
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def real_time_factor(run: str) -> float:
    """Time to recognise 60 built-in recordings one after another, the first three left out, over their duration."""
    predictor = Predictor(run)
    sounds = [example["audio"] for example in examples("test", 63)]
    for sound in sounds[:3]:
        predictor([sound])
    begin = time.perf_counter()
    for sound in sounds[3:]:
        predictor([sound])
    return (time.perf_counter() - begin) / (sum(len(sound) for sound in sounds[3:]) / 16000)


if __name__ == "__main__":
    main()

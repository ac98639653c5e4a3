"""MinGRU, MinLSTM and RG-LRU by the equations of their papers, in NumPy and double precision."""

import numpy as np
import pytest
import tensorflow as tf

from models import recurrent

LAYERS = {"mingru": recurrent.MinGRU, "minlstm": recurrent.MinLSTM, "rglru": recurrent.RGLRU}
BATCH, TIME, WIDTH, UNITS = 4, 6, 3, 4
LENGTHS = np.array([6, 0, 2, 5])
every = pytest.mark.parametrize("kind", list(LAYERS))


def sigmoid(x):
    """exp(-log(1 + exp(-x))): exact on both sides, in double precision."""
    return np.exp(-np.logaddexp(0, -x))


def coefficients(kind, weights, x):
    """a and b of the papers' equations, x [..., D] in double precision."""
    kernel, bias, *more = (w.astype("float64") for w in weights)
    first, second, *third = np.split(x @ kernel + bias, 2 if kind == "mingru" else 3, axis=-1)
    if kind == "mingru":
        return sigmoid(-first), sigmoid(first) * second
    if kind == "minlstm":
        difference = np.logaddexp(0, -second) - np.logaddexp(0, -first)  # log f - log i
        return sigmoid(difference), sigmoid(-difference) * third[0]
    log_a = 8 * sigmoid(first) * -np.logaddexp(0, -more[0])
    return np.exp(log_a), np.sqrt(-np.expm1(2 * log_a)) * sigmoid(second) * third[0]


def reference(kind, weights, x, initial, mask=None, backwards=False):
    """Every state [B, T, H], one step after another, and the last; a masked step changes nothing."""
    a, b = coefficients(kind, weights, np.asarray(x, "float64"))
    h, states = np.asarray(initial, "float64"), np.zeros(b.shape)
    for t in reversed(range(b.shape[1])) if backwards else range(b.shape[1]):
        after = a[:, t] * h + b[:, t]
        h = after if mask is None else np.where(mask[:, t, None], after, h)
        states[:, t] = h
    return states, h


def made(kind, seed=0, scale=0.7, **options):
    """A layer whose weights are all drawn at random, and what it is given."""
    layer = LAYERS[kind](UNITS, return_sequences=True, return_state=True, **options)
    layer.build((BATCH, None, WIDTH))
    draw = np.random.default_rng(seed)
    layer.set_weights([draw.normal(size=w.shape) * scale for w in layer.get_weights()])
    x, initial = draw.normal(size=(BATCH, TIME, WIDTH)), draw.normal(size=(BATCH, UNITS))
    return layer, tf.constant(x, tf.float32), tf.constant(initial, tf.float32)


def results(layer, x, initial, mask=None, weigh=(1.0, 2.0)):
    """Outputs and state, and the gradients of a sum in which each number has its own weight."""
    draw = np.random.default_rng(9)
    with tf.GradientTape() as tape:
        tape.watch([x, initial])
        found = layer(x, mask=mask, initial_state=initial, training=True)
        loss = sum(tf.reduce_sum(f * (w * draw.normal(size=f.shape))) for f, w in zip(found, weigh, strict=True))
    return [*found, *tape.gradient(loss, [x, initial, *layer.trainable_weights])]


def close(ours, theirs, tolerance=1e-5):
    for one, other in zip(ours, theirs, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert one.shape == other.shape
        assert np.abs(one - other).max(initial=0) <= tolerance * max(np.abs(other).max(initial=0), 1e-2)

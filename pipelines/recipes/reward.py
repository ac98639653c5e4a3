"""Self-critical sequence training: sample answers, score them, and make the better ones likelier.

Cross-entropy teaches each token after a correct beginning, and is not the score that counts. In the last epochs of a
training, if ``scst_epochs`` asks for them, the model's own samples are scored instead (Ranzato et al. 2016,
arXiv 1511.06732; Rennie et al. 2017, arXiv 1612.00563).
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from models.decoders import AttentionDecoder, Memory
from pipelines.data.batching import Transform
from pipelines.data.text.vocabulary import PAD
from pipelines.recipes.teacher_forcing import projected_loss, shifted
from pipelines.search.search import Rules, sample, shrinking

Reward = Callable[[Any, Any], Any]
"""(answers int32 [B, K, U], references int32 [B, R, W]) -> float32 [B, K]."""

WIDTH = 8  # samples are cut to a multiple of it: few widths, each compiled once


def noise(samples: int, length: int) -> Transform:
    """Return the transform that adds the random numbers for K = ``samples`` answers of at most ``length`` tokens.

    ``noise`` is float32 [B, K, L] in [0, 1), a function of the batch's seed, so that a resumed training draws the same.
    """

    def transform(x: dict[str, Any], y: dict[str, Any], seed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        rows = tf.shape(next(iter(y.values())))[0]
        return x, y | {"noise": tf.random.stateless_uniform([rows, samples, length], seed)}

    return transform


def reward_loss(
    decoder: AttentionDecoder,
    memory: Callable[[bool], Memory],
    reward: Reward,
    references: Any,
    noise: Any,
    rules: Rules,
    limits: Any = None,
    temperature: float = 1.0,
    kept: int = 0,
) -> Any:
    """Return 1 - mean reward of K sampled answers of each example, float32 [B], whose gradient raises the reward.

    The gradient is that of sum over k of (r_k - mean of the other r) times the negative log-probability of answer k,
    over K and the mean length of an answer (REINFORCE, Williams 1992, with the leave-one-out baseline of Kool et al.
    2019). It is the gradient of the expected reward of answers sampled at temperature 1; below it raises that of the
    answers that a search finds. Label smoothing leaves probability on every token, so that samples at temperature 1
    hold tokens which no search would take.

    Sampling costs less than learning. With ``kept`` only the best and the worst samples of an example are learned
    from, which differ most (Xu et al. 2025, arXiv 2504.13818): the sum is over them, and K is their number.

    Args:
        decoder: samples without dropout, and is trained with it.
        memory: returns what the decoder attends to, with dropout (True) or without.
        reward: scores the answers r, see `models.losses`.
        references: int32 [B, R, W], right-padded with 0.
        noise: float32 [B, K, L], see `noise`.
        rules: what every answer must obey.
        limits: int32 [B], a longest answer for each example.
        temperature: logits are divided by it for sampling.
        kept: samples of an example that are learned from, half of them the best, 2 to K; 0 for all.
    """
    samples = noise.shape[1]
    tokens, lengths = drawn(decoder, memory(False), noise, rules, limits, temperature)
    answers = tf.reshape(tokens, [-1, samples, tf.shape(tokens)[1]])
    rewards = reward(answers, references)
    mean_reward = tf.reduce_mean(rewards, axis=1)
    if kept and kept < samples:
        rewards, tokens, lengths = _extremes(rewards, answers, tf.reshape(lengths, [-1, samples]), kept)
        samples = kept
    others = (tf.reduce_sum(rewards, axis=1, keepdims=True) - rewards) / (samples - 1)
    seen = shifted(tokens, rules.start)
    readout, _ = decoder.read(seen, tf.maximum(lengths, 1), memory(True), training=True)
    losses = tf.reshape(projected_loss(decoder, readout, tokens, 0.0), [-1, samples])
    mean_length = tf.maximum(tf.reduce_mean(tf.cast(lengths, tf.float32)), 1.0)
    surrogate = tf.reduce_mean((rewards - others) * losses, axis=1) / mean_length
    return 1.0 - mean_reward + surrogate - tf.stop_gradient(surrogate)


def _extremes(rewards: Any, answers: Any, lengths: Any, kept: int) -> tuple[Any, Any, Any]:
    """Keep the answers with the least and the greatest rewards: [B, M], tokens [B M, U], cut again, lengths [B M]."""
    samples = rewards.shape[1]
    order = tf.argsort(rewards, axis=1, stable=True)
    picked = tf.concat([order[:, : kept // 2], order[:, samples - (kept - kept // 2) :]], axis=1)
    lengths = tf.reshape(tf.gather(lengths, picked, batch_dims=1), [-1])
    tokens = tf.gather(answers, picked, batch_dims=1)[:, :, : _width(lengths)]
    return tf.gather(rewards, picked, batch_dims=1), tf.reshape(tokens, [tf.size(lengths), -1]), lengths


def _width(lengths: Any) -> Any:
    return -(-tf.reduce_max(lengths) // WIDTH) * WIDTH


def drawn(
    decoder: AttentionDecoder, memory: Memory, noise: Any, rules: Rules, limits: Any, temperature: float = 1.0
) -> tuple[Any, Any]:
    """Sample K answers of each of B examples: tokens int32 [B K, U], cut to the longest, and lengths int32 [B K]."""
    samples = noise.shape[1]
    state, keys = decoder.start(memory)
    # Sampling takes the K answers for examples of their own: the keys too have a row for each.
    state, keys = tf.nest.map_structure(lambda x: tf.repeat(x, samples, axis=0), (state, keys))
    limits = None if limits is None else tf.repeat(limits, samples)
    with shrinking():
        noise = tf.reshape(noise, [-1, rules.max_length])
        drawing = {"temperature": temperature, "noise": noise, "limits": limits, "memory": keys}
        found = sample(decoder.step, state, rules, **drawing)
    lengths = found.lengths[:, 0]
    tokens = tf.pad(found.tokens[:, 0], [[0, 0], [0, WIDTH]], constant_values=PAD)[:, : _width(lengths)]
    return tf.stop_gradient(tokens), tf.stop_gradient(lengths)

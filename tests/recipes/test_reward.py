"""Training on whole answers: the gradient by hand, and the reward that it raises."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.decoders import AttentionDecoder, Memory
from models.losses import sentence_bleu, sequence_loss
from pipelines import train
from pipelines.recipes.reward import drawn, noise, reward_loss
from pipelines.search.search import Rules, greedy

BOS, EOS, V, K, L = 1, 2, 9, 5, 6
RULES = Rules(BOS, EOS, L)
KEYS = tf.constant(np.random.default_rng(0).normal(size=(3, 4, 5)), tf.float32)
LENGTHS = tf.constant([4, 3, 1])
REFERENCES = tf.constant([[[4, 5, 6, EOS], [4, 5, EOS, 0]], [[7, 8, EOS, 0], [0, 0, 0, 0]], [[3, EOS, 0, 0]] * 2])


def made() -> AttentionDecoder:
    decoder = AttentionDecoder(V, 8, 12, seed=3)
    decoder.build((None, None), (None,), KEYS.shape, (None,))
    return decoder


def see(training: bool) -> Memory:
    return Memory(KEYS, LENGTHS)


def numbers(seed: int) -> Any:
    return noise(K, L)({}, {"target": tf.zeros([3, 2])}, tf.constant([seed, 0]))[1]["noise"]


def learnt_from(rewards: np.ndarray, kept: int) -> list[int]:
    ranked = sorted(range(K), key=lambda k: rewards[k])
    return ranked[: kept // 2] + ranked[K - (kept + 1) // 2 :] if kept else ranked


@pytest.mark.parametrize(("temperature", "kept"), [(1.0, 0), (0.5, 0), (1.0, 2), (1.0, 3), (1.0, K)])
def test_value_and_gradient_are_those_of_the_definition(temperature: float, kept: int) -> None:
    decoder, given = made(), numbers(1)
    with tf.GradientTape() as tape:
        losses = reward_loss(decoder, see, sentence_bleu, REFERENCES, given, RULES, temperature=temperature, kept=kept)
        total = tf.reduce_sum(losses)
    found = tape.gradient(total, decoder.trainable_variables, unconnected_gradients="zero")
    tokens, lengths = drawn(decoder, see(False), given, RULES, None, temperature)
    rewards = sentence_bleu(tf.reshape(tokens, [3, K, -1]), REFERENCES).numpy()
    np.testing.assert_allclose(losses, 1 - rewards.mean(axis=1), rtol=1e-5)
    assert rewards.std() > 0
    expected = [np.zeros(variable.shape) for variable in decoder.trainable_variables]
    chosen = [learnt_from(row, kept) for row in rewards]
    mean_length = np.mean([lengths[row * K + k] for row in range(3) for k in chosen[row]])
    for row in range(3):
        for k in chosen[row]:
            answer = tokens[row * K + k][None]
            before = tf.concat([[[BOS]], answer[:, :-1]], axis=1)
            with tf.GradientTape() as tape:
                logits, _ = decoder(before, lengths[row * K + k][None], KEYS[row : row + 1], LENGTHS[row : row + 1])
                loss = sequence_loss(answer, logits)
            others = np.mean([rewards[row, other] for other in chosen[row] if other != k])
            share = (rewards[row, k] - others) / len(chosen[row]) / mean_length
            for sum_, part in zip(
                expected, tape.gradient(loss, decoder.trainable_variables, unconnected_gradients="zero"), strict=True
            ):
                sum_ += share * tf.convert_to_tensor(part).numpy()
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(one), two, rtol=1e-3, atol=2e-6)


def test_every_answer_of_an_example_ends_at_the_limit_of_that_example() -> None:
    rules = Rules(BOS, EOS, L, min_length=L - 1)  # no answer ends by itself
    tokens, lengths = drawn(made(), see(False), numbers(3), rules, tf.constant([2, 4, 6]))
    assert lengths.numpy().tolist() == [2] * K + [4] * K + [6] * K
    np.testing.assert_array_equal(tokens.numpy() != 0, np.arange(tokens.shape[1]) < lengths.numpy()[:, None])


def test_the_colder_the_draw_the_likelier_the_answers() -> None:
    decoder, given = made(), numbers(2)
    state, keys = decoder.start(see(False))
    best = greedy(decoder.step, state, RULES, memory=keys).tokens[:, 0].numpy()
    cold, warm = (drawn(decoder, see(False), given, RULES, None, heat)[0].numpy() for heat in (1e-4, 1.0))
    np.testing.assert_array_equal(cold[:, :L], np.repeat(best, K, axis=0)[:, :L])
    assert (warm[:, :L] != cold[:, :L]).any()


@pytest.mark.slow
def test_the_reward_rises() -> None:
    decoder, optimizer = made(), keras.optimizers.Adam(0.02)

    @tf.function
    def step(given: Any) -> Any:
        with tf.GradientTape() as tape:
            lacking = tf.reduce_mean(reward_loss(decoder, see, sentence_bleu, REFERENCES, given, RULES))
        optimizer.apply(tape.gradient(lacking, decoder.trainable_variables), decoder.trainable_variables)
        return lacking

    lacking = [float(step(numbers(i))) for i in range(80)]
    assert lacking[0] > 0.6
    assert np.mean(lacking[-5:]) < 0.3, lacking


@pytest.mark.slow
def test_the_last_epochs_of_a_training_draw_answers(tmp_path: Path) -> None:
    settings = {"epochs": 2, "batch_size": 8, "scst_epochs": 1, "units": 8, "decoder_units": 8, "embedding_size": 8}
    run = train("translation", run=tmp_path / "run", preset="small", limit=32, **settings, vocabulary_size=400)
    losses = [float(line.split(",")[1]) for line in (run / "history.csv").read_text().splitlines()[1:]]
    assert losses[0] > 1.5
    assert 0.5 < losses[1] <= 1.0


@pytest.mark.parametrize("kept", [1, 5])
def test_so_many_answers_cannot_be_kept(tmp_path: Path, kept: int) -> None:
    with pytest.raises(ValueError, match=f"--scst-kept {kept}: expected 0, or 2 to --scst-samples, which is 4"):
        train("translation", run=tmp_path / "run", preset="small", scst_kept=kept)
    assert not (tmp_path / "run").exists()


def test_more_rewarded_epochs_than_there_are_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--scst-epochs 3: there are 2 epochs in all"):
        train("captioning", run=tmp_path / "run", preset="small", epochs=2, scst_epochs=3)
    assert not (tmp_path / "run").exists()

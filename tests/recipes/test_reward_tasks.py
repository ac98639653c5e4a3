"""What translation and captioning hand to the training on whole answers, against the same made by hand."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.decoders import Memory
from models.losses import cider_d, document_frequencies, sentence_bleu
from models.recurrent.kernels import portable
from pipelines.data.batching import Encoded, Rows
from pipelines.data.text.vocabulary import BOS, EOS, RESERVED, SubwordVocabulary
from pipelines.recipes import reward as rewarding
from pipelines.recipes.seq2seq import Seq2Seq
from pipelines.search.search import Rules
from pipelines.task import Phase
from pipelines.tasks.captioning import task as captioning
from pipelines.tasks.captioning.task import Captioning
from pipelines.tasks.translation import task as translation
from pipelines.tasks.translation.task import Translation

VOCABULARY = SubwordVocabulary([*RESERVED, "a", "red", "dog", "cat", "sees"])
A, RED, DOG, CAT, SEES = range(len(RESERVED), VOCABULARY.size)
SETTINGS = {"embedding_size": 8, "units": 6, "max_tokens": 8, "dropout": 0.4, "cell": "simple"}
REWARDED = {"scst_epochs": 1, "scst_samples": 3, "scst_kept": 2, "scst_temperature": 0.7}
RULES = Rules(BOS, EOS, 8)
NOISE = tf.random.stateless_uniform([2, 3, 8], [1, 2])
NOTHING = Encoded({}, {}, np.ones(1), [], [])


@pytest.fixture
def eager() -> Iterator[None]:
    """Compile nothing: what is run once is not worth it."""
    tf.config.run_functions_eagerly(True)
    with portable():
        yield
    tf.config.run_functions_eagerly(False)


def score(answers: Any, references: Any) -> Any:
    """A reward [B, K] in which every token counts, and its place in the references [B, R, W]."""
    places = np.arange(np.prod(references.shape[1:])).reshape(references.shape[1:])
    seen = tf.reduce_sum(tf.sin(tf.cast(references, tf.float32) * (1.0 + places)), [1, 2])
    return tf.reduce_sum(tf.cos(tf.cast(answers, tf.float32) + seen[:, None, None]), -1)


def gradients(model: Any, loss: Callable[[], Any]) -> list[np.ndarray]:
    """The losses and their gradients; each call draws the same dropout."""
    for variable in model.non_trainable_variables:
        if "seed" in variable.path:
            variable.assign(tf.zeros_like(variable))
    with tf.GradientTape() as tape:
        losses = loss()
    found = tape.gradient(losses, model.trainable_variables, unconnected_gradients="zero")
    return [np.array(tf.convert_to_tensor(value)) for value in (losses, *found)]


def rewarded(task: Seq2Seq, model: Any, x: Any, y: Any) -> Callable[[], Any]:
    """The loss of the last phase, in which every example counts once, with ``score`` for a reward."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(task), "reward", lambda self, training: score)
        phase = task.last_phase(model, NOTHING)
    assert isinstance(phase, Phase) and phase.epochs == 1
    assert phase.loss(x, y)[1].numpy().tolist() == [1, 1]
    return lambda: phase.loss(x, y)[0]


def compare(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert np.ptp(found[0]) > 0 and sum(np.any(value != 0) for value in found[1:]) > len(found) / 2
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_a_translation_is_rewarded_by_its_target_and_little_longer_than_it(eager: None) -> None:
    keras.utils.set_random_seed(1)
    config = translation.Config(decoder_units=10, **SETTINGS, **REWARDED)
    task = Translation(config, translation.Preprocessor(VOCABULARY, VOCABULARY, config))
    model = task.network()
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    decoder.bias.assign(tf.one_hot(EOS, VOCABULARY.size) * -9.0)  # answers are as long as they may be
    source, lengths = tf.constant([[A, DOG, SEES], [CAT, 0, 0]]), tf.constant([3, 1])
    target = tf.constant([[DOG, EOS], [EOS, 0]])
    x = {"source": source, "source_lengths": lengths}
    y = {"target": target, "target_lengths": tf.constant([2, 1]), "noise": NOISE}

    def see(training: bool) -> Memory:
        states, summary, _ = encoder(source, lengths, training=training)
        return Memory(states, lengths, summary)

    given = decoder, see, score, target[:, None], NOISE, RULES, tf.constant([7, 6])
    found = gradients(model, rewarded(task, model, x, y))
    compare(found, gradients(model, lambda: rewarding.reward_loss(*given, temperature=0.7, kept=2)))
    assert task.reward(NOTHING) is sentence_bleu


def test_a_caption_is_rewarded_by_all_captions_of_its_picture(eager: None) -> None:
    keras.utils.set_random_seed(1)
    config = captioning.Config(picture_size=16, grid_units=6, **SETTINGS, **REWARDED)
    task = Captioning(config, captioning.Preprocessor(VOCABULARY, config, {}))
    model = task.network()
    captions = [[[A, DOG, EOS], [RED, DOG, EOS]], [[CAT, EOS, 0], [0, 0, 0]]]
    pictures = tf.constant(np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)), tf.uint8)
    side_by_side = tf.constant([list(zip(*both, strict=True)) for both in captions])
    x, y = {"picture": pictures}, {"captions": side_by_side, "noise": NOISE}

    def see(training: bool) -> Memory:
        return Memory(*model.get_layer("encoder")(model.get_layer("conv")(pictures), training=training))

    given = model.get_layer("decoder"), see, score, tf.constant(captions), NOISE, RULES
    found = gradients(model, rewarded(task, model, x, y))
    compare(found, gradients(model, lambda: rewarding.reward_loss(*given, temperature=0.7, kept=2)))


@pytest.mark.parametrize("in_files", [False, True])
def test_captions_are_worth_the_mean_of_bleu_and_of_what_is_rare_in_training(in_files: bool) -> None:
    """Three pictures: every caption has ``a dog``, one alone ``red``."""
    values = np.array([[A, A], [DOG, DOG], [EOS, EOS], [A, 0], [DOG, 0], [A, RED], [RED, DOG], [DOG, 0]], np.int32)
    splits = np.array([0, 3, 5, 8])
    rows = Rows(values, splits) if in_files else tf.RaggedTensor.from_row_splits(values, splits)
    by_picture = [[[A, DOG, EOS], [A, DOG, EOS]], [[A, DOG, 0], [0, 0, 0]], [[A, RED, DOG], [RED, DOG, 0]]]
    frequencies = document_frequencies(np.array(by_picture, np.int32))
    answers, references = np.array([[[A, DOG], [DOG, RED]]]), np.array([[[A, DOG, RED]]])
    bleu, cider = sentence_bleu(answers, references), cider_d(answers, references, frequencies)
    config = captioning.Config(**SETTINGS)
    task = Captioning(config, captioning.Preprocessor(VOCABULARY, config, {}))
    found = task.reward(Encoded({}, {"captions": rows}, np.ones(3), [], []))(answers, references)
    np.testing.assert_allclose(found, np.array(bleu) / 2 + 5 * np.array(cider), rtol=1e-6)
    assert float(found[0, 1]) > float(found[0, 0]) + 0.5, "what is rare is worth no more"

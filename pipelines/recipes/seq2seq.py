"""Recipe of sequence generation: encoder, attention decoder, search, text.

A task on it implements how examples are read and encoded, and builds a network whose layer ``decoder`` is an
`AttentionDecoder`; ``memory`` says what that attends to. Loss, search, answers, export and self-critical training
are here.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import keras
import tensorflow as tf

from models.decoders import AttentionDecoder, Memory
from pipelines.data.batching import Encoded
from pipelines.data.source import Example
from pipelines.data.text.vocabulary import BOS, EOS, PAD, SubwordVocabulary
from pipelines.recipes.reward import Reward, noise, reward_loss
from pipelines.recipes.settings import Seq2SeqSettings
from pipelines.recipes.teacher_forcing import projected_loss, shifted
from pipelines.search.search import Rules, search
from pipelines.task import Card, Phase, Prediction, Preprocessor, Row, Task


class Found(NamedTuple):
    """The K best answers of each example and how the best one came about.

    Attributes:
        tokens: int32 [B, K, L], padded with 0.
        lengths: int32 [B, K], their tokens, the end included.
        scores: float32 [B, K], normalised log-probabilities.
        attention: float32 [B, L, S] of the best answer, zero from its end on.
    """

    tokens: Any
    lengths: Any
    scores: Any
    attention: Any


class Seq2SeqPreprocessor(Preprocessor, Protocol):
    """A preprocessor with the pieces of the answers."""

    @property
    def answers(self) -> SubwordVocabulary:
        """The vocabulary of the answers."""


class Seq2Seq(Task):
    """A task whose answers are texts that an attention decoder writes."""

    config: Seq2SeqSettings
    preprocessor: Seq2SeqPreprocessor

    # ---------------------------------------------------------------------------------------------- what a task states

    @abstractmethod
    def memory(self, model: keras.Model, x: Mapping[str, Any], training: bool) -> Memory:
        """Return what the decoder attends to; ``training`` applies dropout."""

    @abstractmethod
    def target_texts(self, y: Mapping[str, Any]) -> Any:
        """Return the references of a training batch, int32 [B, R, U] right-padded with 0."""

    def limits(self, x: Mapping[str, Any]) -> Any:
        """Return the longest answer of each example, int32 [B]; None allows ``max_tokens`` for all."""
        return None

    def sample_limits(self, y: Mapping[str, Any]) -> Any:
        """Return the longest sample of each example in self-critical training, int32 [B] or None."""
        return None

    def empty(self, x: Mapping[str, Any]) -> Any:
        """Return which examples are answered by the empty text, bool [B]; None: none is."""
        return None

    def reward(self, training: Encoded) -> Reward:
        """Return what sampled answers are rewarded for in self-critical training."""
        raise ValueError(f"{self.name}: has no reward for --scst-epochs")

    def written(self, tokens: Any) -> Any:
        """Turn answers int32 [N, L] into texts, string [N]."""
        return self.preprocessor.answers.decode(tokens)

    # ------------------------------------------------------------------------------------------------------- learning

    def token_loss(self, decoder: AttentionDecoder, memory: Memory, target: Any, lengths: Any, seen: Any) -> Any:
        """Teacher forcing: the summed cross-entropy of each target and the attention.

        Args:
            decoder: of the network.
            memory: of B examples.
            target: int32 [N, U], N = B or B R, ending with EOS.
            lengths: int32 [N], real tokens, each >= 1.
            seen: int32 [N, U], the target as the decoder reads it; usually ``target`` itself.

        Returns:
            float32 [N]; float32 [N, U, S].
        """
        readout, attention = decoder.read(shifted(seen, BOS), lengths, memory, training=True)
        return projected_loss(decoder, readout, target, self.config.label_smoothing), attention

    def last_phase(self, model: keras.Model, training: Encoded) -> Phase | None:
        """Return the epochs of self-critical training, where the settings ask for some."""
        config = self.config
        if not config.scst_epochs:
            return None
        reward, rules = self.reward(training), Rules(BOS, EOS, config.max_tokens)

        def loss(x: Mapping[str, Any], y: Mapping[str, Any]) -> tuple[Any, Any]:
            value = reward_loss(
                decoder(model),
                lambda training: self.memory(model, x, training),
                reward,
                self.target_texts(y),
                y["noise"],
                rules,
                self.sample_limits(y),
                config.scst_temperature,
                config.scst_kept,
            )
            return value, tf.ones_like(value)

        draws, extra = noise(config.scst_samples, config.max_tokens), self._optional_fields()

        def transform(x: dict[str, Any], y: dict[str, Any], seed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            return draws({name: value for name, value in x.items() if name not in extra}, y, seed)

        return Phase(config.scst_epochs, loss, transform, config.scst_rate, config.scst_share)

    def _optional_fields(self) -> set[str]:
        """Name the inputs that only augmentation reads: they need not be gathered without it."""
        return {name for name, field in self.x_fields.items() if field.optional}

    # ------------------------------------------------------------------------------------------------------ answering

    def search(self, model: keras.Model, x: Mapping[str, Any]) -> Found:
        """Search for answers, or sample them; what is ``empty`` gets the empty text with score 0."""
        config, layer = self.config, decoder(model)
        memory = self.memory(model, x, training=False)
        state, keys = layer.start(memory)
        rules = Rules(BOS, EOS, config.max_tokens, config.min_tokens, config.no_repeat_ngram)
        found = search(layer.step, state, rules, config, self.limits(x), keys)
        tokens, lengths, scores = found.tokens, found.lengths, found.scores
        blank = self.empty(x)
        if blank is not None:
            blank = blank[:, None]
            tokens, lengths = tf.where(blank[:, :, None], PAD, tokens), tf.where(blank, 0, lengths)
            scores = tf.where(blank, 0.0, scores)
        return Found(tokens, lengths, scores, attention(layer, tokens[:, 0], lengths[:, 0], memory))

    def outputs(self, model: keras.Model, x: Mapping[str, Any]) -> dict[str, Any]:
        """Answer with text: see ``worded``."""
        return self.worded(self.search(model, x))

    def worded(self, found: Found) -> dict[str, Any]:
        """Write the answers: the best one, string [B], and its ``score`` float32 [B]; ``alternatives`` string [B, K]
        with ``alternative_scores`` [B, K], best first; ``attention`` float32 [B, L, S] and ``tokens`` int32 [B, L] of
        the best one.
        """
        shape = tf.shape(found.tokens)
        texts = tf.reshape(self.written(tf.reshape(found.tokens, [-1, shape[2]])), shape[:2])
        return {
            self.answer_output: texts[:, 0],
            "score": found.scores[:, 0],
            "alternatives": texts,
            "alternative_scores": found.scores,
            "attention": found.attention,
        }

    @classmethod
    def more(cls, card: Card, example: Example, row: Row) -> Prediction:
        """Word the K best answers with their scores, best first, without empty ones."""
        pairs = zip(row["alternatives"], row["alternative_scores"], strict=True)
        return {"alternatives": [[text.decode("utf-8"), round(float(score), 6)] for text, score in pairs if text]}

    def decode_name(self) -> str:
        """Say how answers are found."""
        return self.config.search_name()


def decoder(model: keras.Model) -> AttentionDecoder:
    """Return the decoder of a network."""
    return model.get_layer("decoder")


def attention(layer: AttentionDecoder, tokens: Any, lengths: Any, memory: Memory) -> Any:
    """Return the attention behind finished answers, float32 [B, L, S], zero from an answer's end on.

    Only as many steps are computed as the longest answer has.

    Args:
        layer: the decoder.
        tokens: int32 [B, L], the answers.
        lengths: int32 [B], their tokens.
        memory: what the decoder attended to.
    """
    size = tokens.shape[1]
    longest = tf.maximum(tf.reduce_max(lengths), 1)
    weights = layer.attend(shifted(tokens, BOS)[:, :longest], lengths, memory)
    weights *= tf.sequence_mask(lengths, longest, tf.float32)[:, :, None]
    return tf.ensure_shape(tf.pad(weights, [[0, 0], [0, size - longest], [0, 0]]), [None, size, None])

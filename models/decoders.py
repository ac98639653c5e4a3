"""The attention decoder of translation and captioning: full targets in one pass, or single steps of a search.

Attention follows the recurrent layer (Luong, Pham, Manning 2015, D15-1166, section 3) without feedback into it, so
teacher forcing runs the recurrent layer over the full target in one pass and attends in one batched product.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import keras
from keras import ops

from models.attention import AdditiveAttention, MultiplicativeAttention, Pooling
from models.encoders import token_embedding
from models.ops import no_mask
from models.recurrent import RecurrentStack, kernels

AttentionKind = Literal["additive", "general", "scaled_dot"]
ATTENTION_KINDS = ("additive", "general", "scaled_dot")


class Memory(NamedTuple):
    """Encoder outputs.

    Attributes:
        states: [B, S, D], states of an encoder or cells of an image grid.
        lengths: int32 [B], real steps of the states.
        summary: [B, G], such as final states; None uses the mean of the real states (Xu et al. 2015, section 3.1.2).
        words: [B, S, E], embedded source words, for a ``lexical`` decoder.
    """

    states: Any
    lengths: Any
    summary: Any = None
    words: Any = None


class Keys(NamedTuple):
    """Precomputed attention inputs, constant over the steps.

    Attributes:
        keys: [B, S, D], with ``lexical`` [B, S, D + E].
        lengths: int32 [B], real steps of the keys.
        projected: [B, S, A], the query-independent part of the score.
    """

    keys: Any
    lengths: Any
    projected: Any


@keras.saving.register_keras_serializable("recurrent_pipelines")
class AttentionDecoder(keras.layers.Layer):
    """Previous tokens and a memory -> logits of the next token and attention weights.

    For every step: e = embedding(token), h = recurrent(e), (c, a) = attention(h, keys),
    r = tanh(W [h; c]) (Luong, equation 5), logits = r E^T + b (tied) or r O + b.

    Args:
        vocabulary_size: V.
        embedding_size: E, also the width of the readout r.
        units: H of every recurrent layer, and the width A of additive attention.
        cell: "lstm", "gru", "simple", "mingru", "minlstm" or "rglru".
        layers: number of recurrent layers below the attention.
        attention: "additive", "general" or "scaled_dot".
        tied: share the embedding with the output matrix (Press and Wolf 2017, E17-2025).
        context_gate: multiply c by sigmoid(w . h + b), one scalar per step (beta in section 4.2.1 of Xu et al. 2015,
            arXiv 1502.03044), so that words unrelated to the image can ignore it.
        context_recurrence: add a recurrent layer over [h; c] before the readout, so that a step depends on previous
            contexts (Wu et al. 2016, arXiv 1609.08144, section 3.2).
        lexical: lexical model of Nguyen and Chiang (2018, N18-1031, equations 6 and 7): l = tanh(sum of a f) over the
            embedded source words f; l + tanh(W l) is added to r, with the output matrix of r.
        dropout: dropout rate of e, of the inputs of upper layers, and of r.
        seed, embedding: as in `TextEncoder`.

    Raises:
        ValueError: an unknown attention or cell, a number out of range, or words that do not match ``lexical``.
    """

    compute_mask = no_mask

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        units: int,
        *,
        cell: str = "gru",
        layers: int = 1,
        attention: AttentionKind = "additive",
        tied: bool = True,
        context_gate: bool = False,
        context_recurrence: bool = False,
        lexical: bool = False,
        dropout: float = 0.0,
        seed: int | None = None,
        embedding: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if attention not in ATTENTION_KINDS:
            raise ValueError(f"attention must be one of {', '.join(ATTENTION_KINDS)}, not {attention!r}")
        policy = self.dtype_policy
        self.vocabulary_size, self.embedding_size, self.units = vocabulary_size, embedding_size, units
        self.cell, self.depth, self.kind, self.tied = cell, layers, attention, tied
        self.dropout, self.seed = dropout, seed
        self.embedding = embedding or token_embedding(vocabulary_size, embedding_size, seed, dtype=policy)
        self.stack = RecurrentStack(cell, units, layers, dropout=dropout, seed=seed, dtype=policy)
        upper_seed = None if seed is None else seed + 100
        self.upper = RecurrentStack(cell, units, 1, seed=upper_seed, dtype=policy) if context_recurrence else None
        if attention == "additive":
            self.attention: Any = AdditiveAttention(units, dtype=policy)
        else:
            self.attention = MultiplicativeAttention(attention, dtype=policy)
        self.gate = keras.layers.Dense(1, "sigmoid", dtype=policy) if context_gate else None
        self.readout = keras.layers.Dense(embedding_size, "tanh", dtype=policy)
        self.lexicon = keras.layers.Dense(embedding_size, "tanh", use_bias=False, dtype=policy) if lexical else None
        self.output_kernel = None if tied else keras.layers.Dense(vocabulary_size, use_bias=False, dtype=policy)
        self.drop = keras.layers.Dropout(dropout, seed=seed, dtype=policy)
        self.mean = Pooling("mean", dtype=policy)
        states = (2 if cell == "lstm" else 1) * (layers + context_recurrence)
        self.bridge = keras.layers.Dense(states * units, "tanh", dtype=policy)

    def build(
        self,
        tokens_shape: Any,
        lengths_shape: Any,
        states_shape: Any,
        state_lengths_shape: Any,
        summary_shape: Any = None,
        words_shape: Any = None,
    ) -> None:
        """Create the weights for states [B, S, D] and, if given, a summary [B, G] and words [B, S, E]."""
        self._need_words(None if words_shape is None else words_shape[-1])
        steps, width = tuple(tokens_shape), states_shape[-1]
        if not self.embedding.built:
            self.embedding.build(steps)
        self.stack.build((*steps, self.embedding_size))
        hidden, both = (*steps, self.units), (*steps, self.units + width)
        keys = width + (self.embedding_size if self.lexicon else 0)
        self.attention.build(hidden, (*states_shape[:-1], keys))
        shapes = ((self.gate, hidden), (self.upper, both), (self.readout, both))
        embedded = (*steps, self.embedding_size)
        for layer, shape in (*shapes, (self.lexicon, embedded), (self.output_kernel, embedded)):
            if layer:
                layer.build(shape)
        self.bias = self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", name="bias")
        self.bridge.build((steps[0], keys if summary_shape is None else summary_shape[-1]))

    def _need_words(self, width: int | None) -> None:
        """Reject words [B, S, width] (None: no words) that do not match ``lexical``."""
        expected = self.embedding_size if self.lexicon else None
        if width != expected:
            pairs = ((expected, "no words"), (width, "none"))
            wanted, came = (f"words [B, S, {n}]" if n is not None else none for n, none in pairs)
            raise ValueError(f"lexical {self.lexicon is not None}: expected {wanted} in the memory, came {came}")

    def start(self, memory: Memory) -> tuple[dict[str, Any], Keys]:
        """Return the initial state, a structure of tensors [B, H], and the keys. Needs a built decoder.

        Raises:
            ValueError: the words of the memory do not match ``lexical``.
        """
        states, lengths, summary, words = memory
        self._need_words(None if words is None else words.shape[-1])
        keys = states if words is None else ops.concatenate([states, ops.cast(words, states.dtype)], axis=-1)
        ready = Keys(keys, lengths, self.attention.project(keys))
        summary = self.mean(keys, lengths)[0] if summary is None else summary
        first = ops.cast(self.bridge(summary), self.stack.state_dtype)
        parts = iter(ops.split(first, self.bridge.units // self.units, axis=-1))
        each = 2 if self.cell == "lstm" else 1
        state = {"stack": [tuple(next(parts) for _ in range(each)) for _ in range(self.depth)]}
        return (state | {"upper": [tuple(parts)]} if self.upper else state), ready

    def call(
        self,
        tokens: Any,
        lengths: Any,
        states: Any,
        state_lengths: Any,
        summary: Any = None,
        words: Any = None,
        training: bool | None = None,
    ) -> tuple[Any, Any]:
        """Teacher forcing: the full target in one pass.

        R targets of an example, adjacent in the batch, may share a memory; tokens then have B R rows.

        Args:
            tokens: int32 [N, U], N = B or B R, the start token followed by the target without its end token.
            lengths: int32 [N], real steps of the tokens.
            states: [B, S, D], see `Memory`.
            state_lengths: int32 [B].
            summary: [B, G] or None.
            words: [B, S, E] or None.
            training: apply dropout.

        Returns:
            logits [N, U, V] of each next token, in the compute dtype; attention weights float32 [N, U, S].
        """
        readout, weights = self.read(tokens, lengths, Memory(states, state_lengths, summary, words), training)
        return self.project(readout), weights

    def read(self, tokens: Any, lengths: Any, memory: Memory, training: bool | None = None) -> tuple[Any, Any]:
        """`call` of a built decoder up to the readout [N, U, E]; `project` and a loss can then be compiled together."""
        state, keys = self.start(memory)
        targets = ops.shape(tokens)[0] // ops.shape(keys.keys)[0]
        state = keras.tree.map_structure(lambda x: ops.repeat(x, targets, axis=0), state)
        hidden, context, words, weights = self._sequence(tokens, lengths, state, keys, training)
        return self._readout(hidden, context, words, training), weights

    def project(self, readout: Any) -> Any:
        """Readout [..., E] -> logits [..., V], in its dtype."""
        if self.output_kernel:
            return self.output_kernel(readout) + ops.cast(self.bias, readout.dtype)
        table = ops.cast(self.embedding.embeddings, readout.dtype)
        return ops.matmul(readout, ops.transpose(table)) + ops.cast(self.bias, readout.dtype)

    def attend(self, tokens: Any, lengths: Any, memory: Memory) -> Any:
        """The attention weights of `call`, float32 [B, U, S], without its logits."""
        state, keys = self.start(memory)
        with kernels.portable(kernels.is_unmasked()):  # compiling for every shape would take longer than one pass
            return self._sequence(tokens, lengths, state, keys, training=False)[3]

    def step(self, tokens: Any, state: dict[str, Any], keys: Keys) -> tuple[Any, dict[str, Any]]:
        """One decoding step, without dropout.

        Args:
            tokens: int32 [N], previous tokens; N = B, or B K with adjacent beams that share their example's keys.
            state: from `start` or the previous step, tensors [N, H].
            keys: of B examples.

        Returns:
            logits [N, V] and the next state.
        """
        hidden, stack = self.stack.step(self.embedding(tokens), state["stack"])
        queries = ops.reshape(hidden, (ops.shape(keys.keys)[0], -1, self.units))
        context, _ = self.attention(queries, keys.keys, keys.lengths, keys.projected)
        context = self._gated(hidden, ops.reshape(context, (-1, keys.keys.shape[-1])))
        after = {"stack": stack}
        context, words = self._parted(context)
        if self.upper:
            hidden, after["upper"] = self.upper.step(ops.concatenate([hidden, context], -1), state["upper"])
        return self.project(self._readout(hidden, context, words, training=False)), after

    def _sequence(
        self, tokens: Any, lengths: Any, state: dict[str, Any], keys: Keys, training: bool | None
    ) -> tuple[Any, Any, Any, Any]:
        """Tokens [N, U] -> hidden [N, U, H], context [N, U, D], words [N, U, E], weights [N, U, S] of keys of B."""
        embedded = self.drop(self.embedding(tokens), training=training)
        hidden, _ = self.stack(embedded, lengths, initial_state=state["stack"], training=training)
        queries = ops.reshape(hidden, (ops.shape(keys.keys)[0], -1, self.units))
        context, weights = self.attention(queries, keys.keys, keys.lengths, keys.projected)
        each = ops.shape(tokens)
        context = self._gated(hidden, ops.reshape(context, (*each, keys.keys.shape[-1])))
        weights = ops.reshape(weights, (*each, ops.shape(keys.keys)[1]))
        context, words = self._parted(context)
        if self.upper:
            both = self.drop(ops.concatenate([hidden, context], -1), training=training)
            hidden, _ = self.upper(both, lengths, initial_state=state["upper"], training=training)
        return hidden, context, words, weights

    def _parted(self, context: Any) -> tuple[Any, Any]:
        """Split context [..., D + E] into [..., D] and attended words [..., E], if ``lexical``."""
        if not self.lexicon:
            return context, None
        width = context.shape[-1] - self.embedding_size
        return context[..., :width], context[..., width:]

    def _gated(self, hidden: Any, context: Any) -> Any:
        """Apply the context gate, if any."""
        return self.gate(hidden) * context if self.gate else context

    def _readout(self, hidden: Any, context: Any, words: Any, training: bool | None) -> Any:
        """Hidden [..., H], context [..., D] and words [..., E] or None -> readout [..., E]."""
        readout = self.readout(ops.concatenate([hidden, context], -1))
        if self.lexicon:
            words = ops.tanh(words)
            readout = readout + words + self.lexicon(words)
        return self.drop(readout, training=training)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, without a shared embedding."""
        names = ("vocabulary_size", "embedding_size", "units", "cell", "tied", "dropout", "seed")
        parts = {"context_gate": self.gate, "context_recurrence": self.upper, "lexical": self.lexicon}
        own = {name: getattr(self, name) for name in names} | {name: part is not None for name, part in parts.items()}
        return {**super().get_config(), **own, "layers": self.depth, "attention": self.kind}

"""The attention decoder of translation and captioning: a whole target in one pass, or one step for a search.

Attention comes after the recurrent layer (Luong, Pham, Manning 2015, D15-1166, section 3) and is not fed back
into it. The recurrent layer therefore does not wait for the attention of the step before: teacher forcing runs
it over the whole target in one fast pass, and attends with all steps in one batched product.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import keras
from keras import ops

from models.attention import AdditiveAttention, MultiplicativeAttention, Pooling
from models.encoders import token_embedding
from models.recurrent import RecurrentStack, kernels

AttentionKind = Literal["additive", "general", "scaled_dot"]
ATTENTION_KINDS = ("additive", "general", "scaled_dot")


class Memory(NamedTuple):
    """What a decoder attends to; it does not change from step to step.

    Attributes:
        keys: [B, S, D].
        lengths: int32 [B], real steps of the keys.
        projected: [B, S, A], the part of the score that no query changes.
    """

    keys: Any
    lengths: Any
    projected: Any


@keras.saving.register_keras_serializable("recurrent_pipelines")
class AttentionDecoder(keras.layers.Layer):
    """Tokens so far and a memory -> logits of the next token and the attention that led to them.

    For every step: e = embedding(token), h = recurrent(e), (c, a) = attention(h, keys),
    r = tanh(W [h; c]) (Luong, equation 5), logits = r E^T + b (tied) or r O + b.

    Args:
        vocabulary_size: V.
        embedding_size: E, also the width of the readout r.
        units: H of every recurrent layer, and the width A of additive attention.
        cell: "lstm", "gru", "simple", "mingru", "minlstm" or "rglru".
        layers: recurrent layers below the attention.
        attention: "additive", "general" or "scaled_dot".
        tied: the embedding is also the output matrix (Press and Wolf 2017, E17-2025).
        context_gate: c is multiplied by sigmoid(w . h + b), one number a step (Xu et al. 2015,
            arXiv 1502.03044, section 4.2.1, beta), so that words that need no picture can ignore it.
        context_recurrence: another recurrent layer reads [h; c] before the readout, so that a step knows what
            the steps before attended to, while both layers still run over the whole target at once (Wu et al.
            2016, arXiv 1609.08144, section 3.2, feed the bottom layer's context to the layers above it).
        lexical: the last E numbers of a key are the embedding of its word (`TextEncoder`, ``words``), and what of
            them was attended to, l = tanh(sum of a f), adds l + tanh(W l) to r: a rare word asks less of the
            states around it, and one that stays the same can be copied (Nguyen and Chiang 2018, N18-1031,
            equations 6 and 7; here with r's output matrix instead of another one).
        dropout: probability of dropping a unit of e, of what enters upper layers, and of r.
        seed: of initial weights of the recurrent layers and of dropout; None draws one from Keras.
        embedding: an Embedding layer [V, E] to share; an own one when None. Not part of the configuration.

    Raises:
        ValueError: an unknown kind of attention or cell, a number out of range, or keys too narrow for ``lexical``.
    """

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
        self.attention = (
            AdditiveAttention(units, dtype=policy)
            if attention == "additive"
            else MultiplicativeAttention(attention, dtype=policy)
        )
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
        keys_shape: Any,
        key_lengths_shape: Any,
        summary_shape: Any = None,
    ) -> None:
        """Create the weights for keys [B, S, D] and, if one is given, a summary [B, G]."""
        steps, width = tuple(tokens_shape), keys_shape[-1]
        if not self.embedding.built:
            self.embedding.build(steps)
        self.stack.build((*steps, self.embedding_size))
        hidden = (*steps, self.units)
        self.attention.build(hidden, keys_shape)
        if self.gate:
            self.gate.build(hidden)
        words = self.embedding_size if self.lexicon else 0
        if width <= words:
            raise ValueError(f"lexical: keys of {width} numbers cannot end with embeddings of {words}")
        both = (*steps, self.units + width - words)
        if self.upper:
            self.upper.build(both)
        self.readout.build(both)
        if self.lexicon:
            self.lexicon.build((*steps, self.embedding_size))
        if self.output_kernel:
            self.output_kernel.build((*steps, self.embedding_size))
        self.bias = self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", name="bias")
        self.bridge.build((steps[0], width if summary_shape is None else summary_shape[-1]))

    def start(self, keys: Any, key_lengths: Any, summary: Any = None) -> tuple[dict[str, Any], Memory]:
        """Make the state before the first step, and the memory. Needs a built decoder.

        Args:
            keys: [B, S, D], states of an encoder or cells of a picture grid.
            key_lengths: int32 [B].
            summary: [B, G], e.g. an encoder's last states; the mean of the real keys when left out (Xu et al.
                2015, section 3.1.2).

        Returns:
            The state, a structure of tensors [B, H], and the memory.
        """
        memory = Memory(keys, key_lengths, self.attention.project(keys))
        summary = self.mean(keys, key_lengths)[0] if summary is None else summary
        first = ops.cast(self.bridge(summary), self.stack.state_dtype)
        parts = iter(ops.split(first, self.bridge.units // self.units, axis=-1))
        each = 2 if self.cell == "lstm" else 1
        state = {"stack": [tuple(next(parts) for _ in range(each)) for _ in range(self.depth)]}
        return (state | {"upper": [tuple(parts)]} if self.upper else state), memory

    def call(
        self,
        tokens: Any,
        lengths: Any,
        keys: Any,
        key_lengths: Any,
        summary: Any = None,
        training: bool | None = None,
    ) -> tuple[Any, Any]:
        """Teacher forcing: the whole target in one pass.

        An example may have R targets, next to each other: then tokens have B R rows, and the memory is shared.

        Args:
            tokens: int32 [N, U], N = B or B R, the start token followed by the target without its end token.
            lengths: int32 [N], real steps of the tokens.
            keys: [B, S, D].
            key_lengths: int32 [B].
            summary: [B, G] or None, as in `start`.
            training: apply dropout.

        Returns:
            logits [N, U, V] of each next token, in the compute dtype; attention weights float32 [N, U, S].
        """
        readout, weights = self.read(tokens, lengths, keys, key_lengths, summary, training)
        return self.project(readout), weights

    def read(
        self,
        tokens: Any,
        lengths: Any,
        keys: Any,
        key_lengths: Any,
        summary: Any = None,
        training: bool | None = None,
    ) -> tuple[Any, Any]:
        """What `call` does up to the readout [N, U, E], so that `project` and a loss can be compiled as one.

        Needs a built decoder; arguments and attention weights are those of `call`.
        """
        state, memory = self.start(keys, key_lengths, summary)
        targets = ops.shape(tokens)[0] // ops.shape(keys)[0]
        state = keras.tree.map_structure(lambda x: ops.repeat(x, targets, axis=0), state)
        hidden, context, words, weights = self._sequence(tokens, lengths, state, memory, training)
        return self._readout(hidden, context, words, training), weights

    def project(self, readout: Any) -> Any:
        """Readout [..., E] -> logits [..., V], in its dtype."""
        if self.output_kernel:
            return self.output_kernel(readout) + ops.cast(self.bias, readout.dtype)
        table = ops.cast(self.embedding.embeddings, readout.dtype)
        return ops.matmul(readout, ops.transpose(table)) + ops.cast(self.bias, readout.dtype)

    def attend(self, tokens: Any, lengths: Any, keys: Any, key_lengths: Any, summary: Any = None) -> Any:
        """The attention of `call` without its logits, float32 [B, U, S]: how a finished answer came about."""
        state, memory = self.start(keys, key_lengths, summary)
        with kernels.portable(kernels.is_unmasked()):  # compiling it for every shape would take longer than it does
            return self._sequence(tokens, lengths, state, memory, training=False)[3]

    def step(self, tokens: Any, state: dict[str, Any], memory: Memory) -> tuple[Any, dict[str, Any]]:
        """One step of a search, without dropout.

        Args:
            tokens: int32 [N], the tokens of the step before. N is B, or B K with the K beams of an example
                next to each other: the memory is shared by the beams of its example.
            state: as `start` makes it and this method returns it, each tensor [N, H].
            memory: of B examples.

        Returns:
            logits [N, V] and the next state.
        """
        hidden, stack = self.stack.step(self.embedding(tokens), state["stack"])
        queries = ops.reshape(hidden, (ops.shape(memory.keys)[0], -1, self.units))
        context, _ = self.attention(queries, memory.keys, memory.lengths, memory.projected)
        context = self._gated(hidden, ops.reshape(context, (-1, memory.keys.shape[-1])))
        after = {"stack": stack}
        context, words = self._parted(context)
        if self.upper:
            hidden, after["upper"] = self.upper.step(ops.concatenate([hidden, context], -1), state["upper"])
        return self.project(self._readout(hidden, context, words, training=False)), after

    def _sequence(
        self, tokens: Any, lengths: Any, state: dict[str, Any], memory: Memory, training: bool | None
    ) -> tuple[Any, Any, Any, Any]:
        """Tokens [N, U] -> hidden [N, U, H], context [N, U, D], words [N, U, E], weights [N, U, S] of a memory of B."""
        embedded = self.drop(self.embedding(tokens), training=training)
        hidden, _ = self.stack(embedded, lengths, initial_state=state["stack"], training=training)
        queries = ops.reshape(hidden, (ops.shape(memory.keys)[0], -1, self.units))
        context, weights = self.attention(queries, memory.keys, memory.lengths, memory.projected)
        each = ops.shape(tokens)
        context = self._gated(hidden, ops.reshape(context, (*each, memory.keys.shape[-1])))
        weights = ops.reshape(weights, (*each, ops.shape(memory.keys)[1]))
        context, words = self._parted(context)
        if self.upper:
            both = self.drop(ops.concatenate([hidden, context], -1), training=training)
            hidden, _ = self.upper(both, lengths, initial_state=state["upper"], training=training)
        return hidden, context, words, weights

    def _parted(self, context: Any) -> tuple[Any, Any]:
        """Context [..., D + E] -> [..., D] and the words attended to [..., E], where keys end with words."""
        if not self.lexicon:
            return context, None
        width = context.shape[-1] - self.embedding_size
        return context[..., :width], context[..., width:]

    def _gated(self, hidden: Any, context: Any) -> Any:
        """Weigh the context by the gate, where there is one."""
        return self.gate(hidden) * context if self.gate else context

    def _readout(self, hidden: Any, context: Any, words: Any, training: bool | None) -> Any:
        """Hidden [..., H], context [..., D] and words [..., E] or None -> readout [..., E]."""
        readout = self.readout(ops.concatenate([hidden, context], -1))
        if self.lexicon:
            words = ops.tanh(words)
            readout = readout + words + self.lexicon(words)
        return self.drop(readout, training=training)

    def compute_mask(self, *args: Any, **kwargs: Any) -> None:
        """No Keras mask leaves this layer: lengths do that work."""

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, without a shared embedding."""
        own = {
            "vocabulary_size": self.vocabulary_size,
            "embedding_size": self.embedding_size,
            "units": self.units,
            "cell": self.cell,
            "layers": self.depth,
            "attention": self.kind,
            "tied": self.tied,
            "context_gate": self.gate is not None,
            "context_recurrence": self.upper is not None,
            "lexical": self.lexicon is not None,
            "dropout": self.dropout,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}

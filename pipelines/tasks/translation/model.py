"""The network of translation: a bidirectional encoder and an attention decoder."""

from typing import Any, NamedTuple

import keras

from models.decoders import AttentionDecoder
from models.encoders import TextEncoder, token_embedding
from pipelines.tasks.translation.config import Config


class Parts(NamedTuple):
    """Layers of the network that training and search call."""

    encoder: TextEncoder
    decoder: AttentionDecoder


def parts(model: keras.Model) -> Parts:
    """Return the layers of a network that ``build`` made."""
    return Parts(model.get_layer("encoder"), model.get_layer("decoder"))


def build(config: Config, sizes: tuple[int, int]) -> keras.Model:
    """Build the network: source and target so far -> logits of every next piece [B, U, V].

    ``source`` int32 [B, S] and ``target`` int32 [B, U] (from BOS on) are padded with 0, and their real lengths come
    beside them, int32 [B].

    Args:
        config: the settings.
        sizes: pieces in the vocabularies of source and target.
    """
    embedding = None
    if config.share_embeddings and config.vocabulary == "joint":
        embedding = token_embedding(sizes[0], config.embedding_size, config.seed, name="embedding")
    encoder = _encoder(config, sizes[0], embedding)
    decoder = _decoder(config, sizes[1], embedding)
    x = {name: keras.Input([None], dtype="int32", name=name) for name in ("source", "target")}
    x |= {f"{name}_lengths": keras.Input([], dtype="int32", name=f"{name}_lengths") for name in tuple(x)}
    states, summary, words = encoder(x["source"], x["source_lengths"])
    words = words if config.lexical else None
    logits, _ = decoder(x["target"], x["target_lengths"], states, x["source_lengths"], summary, words)
    return keras.Model(x, logits, name="translation")


def _encoder(config: Config, size: int, embedding: Any) -> TextEncoder:
    return TextEncoder(
        size,
        config.embedding_size,
        config.units,
        cell=config.cell,
        layers=config.layers,
        dropout=config.dropout,
        seed=config.seed + 1,
        embedding=embedding,
        name="encoder",
    )


def _decoder(config: Config, size: int, embedding: Any) -> AttentionDecoder:
    return AttentionDecoder(
        size,
        config.embedding_size,
        config.decoder_units,
        cell=config.cell,
        layers=config.decoder_layers,
        attention=config.attention,
        tied=config.tied,
        context_recurrence=config.context_recurrence,
        lexical=config.lexical,
        dropout=config.dropout,
        seed=config.seed + 2,
        embedding=embedding,
        name="decoder",
    )

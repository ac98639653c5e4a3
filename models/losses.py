"""Losses over padded token sequences, and rewards of sampled answers. PAD is 0; computed in float32."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

PAD = 0
ORDERS = 4
CODES = 1_048_573  # a prime number of hash codes of n-grams, large enough to make collisions rare
SIGMA = 6.0


def token_cross_entropy(targets: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of every token, zero where the target is PAD.

    Label smoothing e (Szegedy et al. 2016, arXiv 1512.00567, section 7) is computed as the plain cross-entropy plus
    e (logit of the target - mean logit), without a matrix of log-probabilities.

    Args:
        targets: int32 [B, U].
        logits: [B, U, V], any float dtype.
        label_smoothing: e, in [0, 1).

    Returns:
        float32 [B, U], in nats.

    Raises:
        ValueError: label_smoothing is outside [0, 1).
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing must be in [0, 1), not {label_smoothing}")
    logits = ops.cast(logits, "float32")
    targets = ops.cast(targets, "int32")
    losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    if label_smoothing:
        chosen = ops.take_along_axis(logits, targets[:, :, None], axis=-1)[:, :, 0]
        losses = losses + label_smoothing * (chosen - ops.mean(logits, axis=-1))
    return ops.where(targets != PAD, losses, 0.0)


def sequence_loss(targets: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of each example, summed over its tokens: [B, U] and [B, U, V] -> float32 [B], in nats."""
    return ops.sum(token_cross_entropy(targets, logits, label_smoothing), axis=1)


def unattended_penalty(attention: Any, targets: Any) -> Any:
    """Doubly stochastic attention penalty: mean over cells of (1 - sum over tokens of attention)^2, float32 [B].

    Xu et al. 2015 (arXiv 1502.03044), equation 14, with a mean over cells, so its weight does not depend on the grid.
    ``attention`` float32 [B, U, S] are weights over S cells, ``targets`` int32 [B, U]; PAD is ignored.
    """
    real = ops.cast(ops.cast(targets, "int32") != PAD, attention.dtype)[:, :, None]
    return ops.mean((1.0 - ops.sum(attention * real, axis=1)) ** 2, axis=1)


def word_detection_loss(cells: Any, captions: Any) -> Any:
    """Multi-label cross-entropy of caption words predicted from the grid cells of an image, float32 [B], in nats.

    Multiple instance learning as in Fang et al. 2015 (arXiv 1411.4952, section 3), with the maximum over cells instead
    of their noisy-or. ``cells`` are logits [B, S, V], ``captions`` int32 [B, ...] all tokens of an image; PAD is
    ignored.
    """
    found = ops.cast(ops.max(cells, axis=1), "float32")  # [B, V]
    tokens = ops.reshape(captions, (ops.shape(found)[0], -1))
    words = ops.max(ops.one_hot(tokens, found.shape[-1], dtype="float32"), axis=1)
    words = words * ops.cast(ops.arange(found.shape[-1]) != PAD, "float32")
    return ops.sum(ops.softplus(found) - words * found, axis=-1)


def sentence_bleu(answers: Any, references: Any) -> Any:
    """BLEU-4 of every answer against all references of its example, on tokens (Papineni et al. 2002, P02-1040).

    Precisions of n-grams with n > 1 use add-one smoothing (Lin and Och 2004, C04-1072, section 4). The brevity penalty
    uses the mean reference length instead of the nearest, because among several references one is nearly always short
    and answers would learn to be short too. An empty answer scores 0.

    Args:
        answers: int32 [B, K, U], right-padded with 0.
        references: int32 [B, R, W], right-padded with 0; empty references are ignored.

    Returns:
        float32 [B, K], in [0, 1].
    """
    answers, references = (_padded(x) for x in (answers, references))
    length = ops.sum(ops.cast(answers != PAD, "float32"), axis=-1)  # [B, K]
    total = ops.zeros_like(length)
    crossed = _runs(_equal(answers[:, :, None], references[:, None]))
    own = _runs(_equal(answers, answers))
    for order, (runs, selves) in enumerate(zip(crossed, own, strict=True), start=1):
        matches, grams = _matches(runs, selves, answers[..., order - 1 :] != PAD)
        smoothing = float(order > 1)
        share = (matches + smoothing) / ops.maximum(grams + smoothing, 1.0)
        total = total + ops.log(ops.maximum(share, 1e-9)) / ORDERS
    return ops.where(length > 0, ops.exp(total + _brevity(length, references)), 0.0)


class Frequencies(NamedTuple):
    """Document frequencies of n-grams.

    Attributes:
        counts: float32 [4, CODES], by n and `codes`.
        documents: number of documents.
    """

    counts: Any
    documents: int


def codes(tokens: Any, order: int) -> Any:
    """Hash the n-grams of tokens int [..., W], n = order: int64 [..., W - n + 1], below CODES."""
    tokens = ops.cast(tokens, "int64")
    count = tokens.shape[-1] - order + 1 if tokens.shape[-1] is not None else ops.shape(tokens)[-1] - order + 1
    code = tokens[..., :count] * 0
    for i in range(order):
        code = (code * 10_007 + tokens[..., i : i + count] + 1) % CODES
    return code


def document_frequencies(references: np.ndarray) -> Frequencies:
    """Count the examples in which each n-gram occurs in any reference, int32 [N, R, W], padded with 0."""
    counts = np.zeros((ORDERS, CODES), np.float32)
    rows = np.arange(len(references), dtype=np.int64)[:, None, None] * CODES
    for order in range(1, ORDERS + 1):
        if references.shape[-1] < order:
            break
        found = rows + np.asarray(ops.convert_to_numpy(codes(references, order)))
        distinct = np.unique(found[references[..., order - 1 :] != PAD])
        counts[order - 1] = np.bincount(distinct % CODES, minlength=CODES)
    return Frequencies(ops.convert_to_tensor(counts), len(references))


def cider_d(answers: Any, references: Any, frequencies: Frequencies) -> Any:
    """CIDEr-D of every answer, a tenth of the published scale (Vedantam et al. 2015, arXiv 1411.5726, section 6).

    The clipped cosine of tf-idf weighted n-gram vectors, with a length penalty, averaged over n = 1 to 4 and
    references. Answers int32 [B, K, U] and references int32 [B, R, W] as in `sentence_bleu`; ``frequencies`` are those
    of the corpus. Returns float32 [B, K], in [0, 1].
    """
    answers, references = (_padded(x) for x in (answers, references))
    lengths = [ops.sum(ops.cast(x != PAD, "float32"), axis=-1) for x in (answers, references)]
    apart = lengths[0][:, :, None] - lengths[1][:, None, :]
    tables = _equal(answers[:, :, None], references[:, None]), _equal(answers, answers), _equal(references, references)
    total = ops.zeros_like(apart)  # [B, K, R]
    for order, (runs, own, theirs) in enumerate(zip(*map(_runs, tables), strict=True), start=1):
        weights = [_rarity(x, order, frequencies) for x in (answers, references)]
        hits = ops.minimum(_count(runs, -2), _count(theirs, -1)[:, None])  # of each n-gram of a reference
        products = ops.sum(hits * weights[1][:, None], axis=-1)
        norms = [ops.sum(_count(x, -1) * w, axis=-1) for x, w in zip((own, theirs), weights, strict=True)]
        square = norms[0][:, :, None] * norms[1][:, None, :]
        total = total + ops.where(square > 0, products / ops.sqrt(ops.maximum(square, 1e-12)), 0.0)
    there = ops.cast(lengths[1] > 0, "float32")[:, None, :]
    damped = total * ops.exp(-(apart**2) / (2 * SIGMA**2)) * there / ORDERS
    return ops.sum(damped, axis=-1) / ops.maximum(ops.sum(there, axis=-1), 1.0)


def _padded(tokens: Any) -> Any:
    """Pad tokens [B, K, U] by 3, so that the shortest rows have n-grams of every order."""
    return ops.pad(ops.cast(tokens, "int32"), [[0, 0], [0, 0], [0, ORDERS - 1]])


def _rarity(tokens: Any, order: int, frequencies: Frequencies) -> Any:
    """Squared log(documents / document frequency) of every n-gram of tokens [..., W], 0 on padding."""
    found = ops.take(frequencies.counts[order - 1], codes(tokens, order))
    weight = np.log(max(frequencies.documents, 1)) - ops.log(ops.maximum(found, 1.0))
    return ops.where(tokens[..., order - 1 :] != PAD, weight**2, 0.0)


def _count(table: Any, axis: int) -> Any:
    """Number of equal n-grams along an axis, float32."""
    return ops.sum(ops.cast(table, "float32"), axis=axis)


def _equal(one: Any, other: Any) -> Any:
    """Equality of tokens [..., U] and [..., W]: bool [..., U, W]; padding equals nothing."""
    return ops.logical_and(one[..., :, None] == other[..., None, :], other[..., None, :] != PAD)


def _runs(equal: Any) -> list[Any]:
    """Equality of n-grams, for n from 1 to 4: bool [..., U - n + 1, W - n + 1] each."""
    found = [equal]
    for order in range(1, ORDERS):
        found.append(ops.logical_and(found[-1][..., :-1, :-1], equal[..., order:, order:]))
    return found


def _matches(runs: Any, selves: Any, real: Any) -> tuple[Any, Any]:
    """Clipped matches and number of n-grams, float32 [B, K] each.

    An n-gram matches if fewer equal ones precede it than its maximum count in a reference. ``runs`` bool [B, K, R, U',
    W'] and ``selves`` bool [B, K, U', U'] are equalities with reference and own n-grams; ``real`` bool [B, K, U']
    excludes padding.
    """
    steps = ops.arange(ops.shape(selves)[-1])
    earlier = ops.logical_and(selves, steps[None, :] < steps[:, None])
    before = ops.sum(ops.cast(earlier, "int32"), axis=-1)
    most = ops.max(ops.sum(ops.cast(runs, "int32"), axis=-1), axis=2)
    matched = ops.logical_and(real, before < most)
    return tuple(ops.sum(ops.cast(x, "float32"), axis=-1) for x in (matched, real))


def _brevity(length: Any, references: Any) -> Any:
    """Logarithm of the brevity penalty, float32 [B, K], for answer lengths float32 [B, K]."""
    lengths = ops.sum(ops.cast(references != PAD, "float32"), axis=-1)  # [B, R]
    mean = ops.sum(lengths, axis=-1, keepdims=True) / ops.maximum(
        ops.sum(ops.cast(lengths > 0, "float32"), axis=-1, keepdims=True), 1.0
    )
    return ops.minimum(0.0, 1.0 - mean / ops.maximum(length, 1.0))

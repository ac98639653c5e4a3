"""Losses over padded token sequences, and rewards of sampled answers. PAD is 0; computed in float32."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

PAD = 0


def token_cross_entropy(targets: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of every token, zero where the target is PAD.

    With label smoothing e the target distribution is (1 - e) on the true token and e / V on each of all V
    tokens (Szegedy et al. 2016, arXiv 1512.00567, section 7). Written as the plain cross-entropy plus
    e (logit of the target - mean logit), it needs no matrix of log-probabilities.

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
    """Mean over the cells of (1 - sum over an answer's tokens of their attention)^2, float32 [B].

    Doubly stochastic attention: Xu et al. 2015 (arXiv 1502.03044), equation 14, with a mean for the sum over cells, so
    that its weight means the same on every grid.

    Args:
        attention: float32 [B, U, S], each token's weights over S cells.
        targets: int32 [B, U]; PAD attends to nothing.
    """
    real = ops.cast(ops.cast(targets, "int32") != PAD, attention.dtype)[:, :, None]
    return ops.mean((1.0 - ops.sum(attention * real, axis=1)) ** 2, axis=1)


def word_detection_loss(cells: Any, captions: Any) -> Any:
    """Cross-entropy of which words the captions of a picture have, told from single cells of its grid, float32 [B].

    Every word is looked for in every cell, and is as likely in the picture as in the cell where it is likeliest:
    learning from bags of instances, as Fang et al. 2015 (arXiv 1411.4952, section 3) detect words, with the maximum for
    their noisy-or. In nats a picture.

    Args:
        cells: logits [B, S, V] of each word in each cell.
        captions: int32 [B, ...], the tokens of all captions of a picture; PAD is no word.
    """
    found = ops.cast(ops.max(cells, axis=1), "float32")  # [B, V]
    tokens = ops.reshape(captions, (ops.shape(found)[0], -1))
    words = ops.max(ops.one_hot(tokens, found.shape[-1], dtype="float32"), axis=1)
    words = words * ops.cast(ops.arange(found.shape[-1]) != PAD, "float32")
    return ops.sum(ops.softplus(found) - words * found, axis=-1)


PAD = 0
ORDERS = 4
CODES = 1_048_573  # a prime: n-grams are told apart by so many numbers, few of which fall together
SIGMA = 6.0


def sentence_bleu(answers: Any, references: Any) -> Any:
    """BLEU-4 of every answer against all references of its example, on tokens.

    Precisions of more than one token are smoothed by one, (matches + 1) / (n-grams + 1) (Lin and Och 2004,
    C04-1072, section 4), since a short answer without a common run of four would otherwise be worth nothing. An
    n-gram counts at most as often as in the reference that holds it most often, and an answer shorter than the
    references in the mean is punished (Papineni et al. 2002, P02-1040, take the nearest one: among several there is
    nearly always a short one, and answers would learn to be as short). An answer without a token is worth 0.

    Args:
        answers: int32 [B, K, U], right-padded with 0.
        references: int32 [B, R, W], right-padded with 0; a reference without a token is none.

    Returns:
        float32 [B, K], in [0, 1].
    """
    room = [[0, 0], [0, 0], [0, ORDERS - 1]]  # so that the shortest rows have places for runs of every order
    answers, references = (ops.pad(ops.cast(x, "int32"), room) for x in (answers, references))
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
    """In how many documents of a corpus an n-gram occurs.

    Attributes:
        counts: float32 [4, CODES], by n and `codes`.
        documents: number of documents.
    """

    counts: Any
    documents: int


def codes(tokens: Any, order: int) -> Any:
    """Number the n-grams of tokens int [..., W], n = order: int64 [..., W - n + 1], below CODES."""
    tokens = ops.cast(tokens, "int64")
    count = tokens.shape[-1] - order + 1 if tokens.shape[-1] is not None else ops.shape(tokens)[-1] - order + 1
    code = tokens[..., :count] * 0
    for i in range(order):
        code = (code * 10_007 + tokens[..., i : i + count] + 1) % CODES
    return code


def document_frequencies(references: np.ndarray) -> Frequencies:
    """Count in how many examples each n-gram occurs in any of the references, int32 [N, R, W], padded with 0."""
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

    For each n from 1 to 4, answer and reference are vectors of n-gram counts weighted by the logarithm of their rarity;
    the score is their cosine with counts clipped to the reference's, damped by the difference of the lengths, and
    averaged over n and over the references.

    Args:
        answers: int32 [B, K, U], right-padded with 0.
        references: int32 [B, R, W], right-padded with 0; a reference without a token is none.
        frequencies: of the corpus that says what is rare.

    Returns:
        float32 [B, K], in [0, 1].
    """
    room = [[0, 0], [0, 0], [0, ORDERS - 1]]
    answers, references = (ops.pad(ops.cast(x, "int32"), room) for x in (answers, references))
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


def _rarity(tokens: Any, order: int, frequencies: Frequencies) -> Any:
    """Square of log(documents / document frequency) of every n-gram of tokens [..., W], 0 on padding."""
    found = ops.take(frequencies.counts[order - 1], codes(tokens, order))
    weight = np.log(max(frequencies.documents, 1)) - ops.log(ops.maximum(found, 1.0))
    return ops.where(tokens[..., order - 1 :] != PAD, weight**2, 0.0)


def _count(table: Any, axis: int) -> Any:
    """How many equal n-grams there are along an axis, float32."""
    return ops.sum(ops.cast(table, "float32"), axis=axis)


def _equal(one: Any, other: Any) -> Any:
    """Which tokens of [..., U] equal which of [..., W]: bool [..., U, W]; padding equals nothing."""
    return ops.logical_and(one[..., :, None] == other[..., None, :], other[..., None, :] != PAD)


def _runs(equal: Any) -> list[Any]:
    """Which n-grams are equal, for n from 1 to 4: bool [..., U - n + 1, W - n + 1] each."""
    found = [equal]
    for order in range(1, ORDERS):
        found.append(ops.logical_and(found[-1][..., :-1, :-1], equal[..., order:, order:]))
    return found


def _matches(runs: Any, selves: Any, real: Any) -> tuple[Any, Any]:
    """Clipped matches and number of n-grams, float32 [B, K] each.

    An n-gram matches unless so many equal ones come before it that the references have no more.

    Args:
        runs: bool [B, K, R, U', W'], n-grams of the answer that equal n-grams of a reference.
        selves: bool [B, K, U', U'], n-grams of the answer that equal each other.
        real: bool [B, K, U'], n-grams that end before the padding.
    """
    steps = ops.arange(ops.shape(selves)[-1])
    earlier = ops.logical_and(selves, steps[None, :] < steps[:, None])
    before = ops.sum(ops.cast(earlier, "int32"), axis=-1)
    most = ops.max(ops.sum(ops.cast(runs, "int32"), axis=-1), axis=2)
    matched = ops.logical_and(real, before < most)
    return tuple(ops.sum(ops.cast(x, "float32"), axis=-1) for x in (matched, real))


def _brevity(length: Any, references: Any) -> Any:
    """Logarithm of the brevity penalty, float32 [B, K], for answers of length float32 [B, K]."""
    lengths = ops.sum(ops.cast(references != PAD, "float32"), axis=-1)  # [B, R]
    mean = ops.sum(lengths, axis=-1, keepdims=True) / ops.maximum(
        ops.sum(ops.cast(lengths > 0, "float32"), axis=-1, keepdims=True), 1.0
    )
    return ops.minimum(0.0, 1.0 - mean / ops.maximum(length, 1.0))

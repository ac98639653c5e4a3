"""Where a caption looked: the attention of each word over the picture."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from models.kernels import portable
from pipelines.captioning_data import Preprocessor
from pipelines.data.images import OK, decoder
from pipelines.data.images_files import inspect, read
from pipelines.data.text import CONTINUES
from pipelines.training import plots
from pipelines.training.explanation import Explanation

SHOWN = 336  # pixels a side


class Look(NamedTuple):
    """A picture with its caption: uint8 [Y, X, 3], the prediction, its W words, and their maps float32 [W, GY, GX]."""

    shown: np.ndarray
    prediction: dict[str, Any]
    words: list[str]
    maps: np.ndarray


def look(
    preprocessor: Preprocessor,
    image: bytes | str | Path,
    decode_one: Callable[[Mapping[str, Any]], dict[str, Any]],
    answer: Callable[[Mapping[str, np.ndarray]], dict[str, Any]],
) -> Look:
    """Caption one picture and keep where each word looked.

    Args:
        preprocessor: of the run.
        image: a path or the bytes of the file.
        decode_one: the task's decoding, from ``picture`` and ``status`` of a batch of one.
        answer: from that batch's only row to a prediction.

    Raises:
        ValueError: the picture cannot be used; names it and says why.
    """
    content = read(image)
    picture, status = preprocessor.seen(tf.constant([content]))
    if int(status[0]) != OK:
        name = "the picture" if isinstance(image, bytes) else image
        raise ValueError(f"{name}: {inspect(content).problem or 'cannot be decoded'}")
    with portable():
        found = decode_one({"picture": picture, "status": status})
    outputs = {name: value.numpy()[0] for name, value in found.items()}
    words, maps = by_word(preprocessor, outputs["tokens"][0][: outputs["lengths"][0]], outputs["attention"])
    return Look(decoder(SHOWN)(tf.constant([content]))[0][0].numpy(), answer(outputs), words, maps)


def explain(
    preprocessor: Preprocessor,
    image: bytes | str | Path,
    decode_one: Callable[[Mapping[str, Any]], dict[str, Any]],
    answer: Callable[[Mapping[str, np.ndarray]], dict[str, Any]],
) -> Explanation:
    """Caption one picture and say where each word looked; the arguments are those of ``look``.

    The attention of a word is the mean over its pieces; each row of the table holds the word, the row and column
    (from 0, top left) of the cell that it attended to most, and that cell's share.

    Raises:
        ValueError: the picture cannot be used; names it and says why.
    """
    seen = look(preprocessor, image, decode_one, answer)
    prediction, maps = seen.prediction, seen.maps
    numbers = {
        "answer": prediction["answer"],
        "score": prediction["score"],
        "alternatives": prediction["alternatives"],
        "grid": list(maps.shape[1:]),
        "rows": [_row(word, share) for word, share in zip(seen.words, maps, strict=True)],
    }
    drawn = plots.picture_attention(seen.shown, seen.words, maps)
    drawn.suptitle(f"{prediction['answer']} ({prediction['score']:.3f})", fontsize=10, parse_math=False)
    return Explanation(prediction["answer"], prediction["score"], numbers, {"attention": maps}, drawn)


def by_word(preprocessor: Preprocessor, tokens: np.ndarray, attention: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Join the pieces of a caption int32 [U] and their attention [L, S] into W words and maps float32 [W, GY, GX].

    The end token is no word. The grid is square.
    """
    pieces = [piece.decode("utf-8") for piece in preprocessor.vocabulary.pieces(tf.constant(tokens)).numpy()]
    words: list[str] = []
    shares: list[list[np.ndarray]] = []
    for piece, weights in zip(pieces, attention, strict=False):
        if piece == "<eos>":
            break
        if piece.startswith(CONTINUES) and words:
            words[-1] += piece.removeprefix(CONTINUES)
            shares[-1].append(weights)
        else:
            words.append(piece)
            shares.append([weights])
    side = round(attention.shape[-1] ** 0.5)
    maps = np.array([np.mean(group, axis=0) for group in shares], np.float32)
    return words, maps.reshape(len(words), side, side)


def _row(word: str, share: np.ndarray) -> dict[str, Any]:
    row, column = np.unravel_index(int(share.argmax()), share.shape)
    return {"word": word, "row": int(row), "column": int(column), "share": float(share.max())}

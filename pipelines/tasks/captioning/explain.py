"""Explanation of a caption: the attention of each word over the picture."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines.data.images.files import inspect, read
from pipelines.data.images.pixels import OK, decoder
from pipelines.data.source import Example
from pipelines.data.text.vocabulary import CONTINUES, PAD
from pipelines.explain import plots
from pipelines.explain.explanation import Explanation, Sheet
from pipelines.tasks.captioning.data import Preprocessor

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
    words, maps = by_word(preprocessor, outputs["tokens"][outputs["tokens"] != PAD], outputs["attention"])
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


MOST = 14
"""Words of a caption with a picture each; the full caption stands above them."""


class Line(NamedTuple):
    """One picture of the contact sheet: the example, its caption and attention, or the problem with it."""

    example: Example
    look: Look | None
    problem: str = ""


def sheet(
    preprocessor: Preprocessor,
    examples: Iterable[Example],
    decode_one: Callable[[Mapping[str, Any]], dict[str, Any]],
    answer: Callable[[Example, Mapping[str, np.ndarray]], dict[str, Any]],
) -> Sheet:
    """Caption pictures one by one; one that cannot be used has its reason in place of a caption.

    Args:
        preprocessor: of the run.
        examples: with ``id``, ``image`` and perhaps ``captions``.
        decode_one: as for `captioning_explain.look`.
        answer: from an example and the only row of its batch to a prediction.
    """
    lines = []
    for example in examples:
        image = example["image"]
        named = example | {"image": "" if isinstance(image, bytes) else str(image)}
        try:
            lines.append(Line(example, look(preprocessor, image, decode_one, partial(answer, named))))
        except ValueError as error:
            lines.append(Line(example, None, str(error)))
    return Sheet(draw(lines), [row(line) for line in lines])


def draw(lines: Sequence[Line]) -> plots.Picture:
    """Draw every picture in a row of its own, its words with their attention beside it."""
    columns = 1 + max((min(len(line.look.words), MOST) for line in lines if line.look), default=1)
    figure = plots.canvas(1.25 * columns, 1.55 * len(lines))
    grids: Any = figure.subfigures(len(lines), 1)
    for grid, line in zip(np.atleast_1d(grids), lines, strict=True):
        panels: Any = np.atleast_1d(grid.subplots(1, columns))
        for panel in panels:
            panel.axis("off")
        title = f"{line.example['id']}: {line.problem or (line.look.prediction['answer'] if line.look else '')}"
        grid.suptitle(title[:150], x=0.01, ha="left", fontsize=8, parse_math=False)
        if line.look:
            plots.draw_attention(panels, line.look.shown, line.look.words[:MOST], line.look.maps[:MOST])
    return figure


def row(line: Line) -> dict[str, Any]:
    """Return the numbers of one picture: its name, answer, score, first reference, and why there is no answer."""
    references = line.example.get("captions", [])
    found = line.look.prediction if line.look else {"answer": "", "score": 0.0}
    return {
        "picture": line.example["id"],
        "answer": found["answer"],
        "score": found["score"],
        "reference": references[0] if references else "",
        "problem": line.problem,
    }

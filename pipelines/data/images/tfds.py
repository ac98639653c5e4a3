"""Captioned pictures from tensorflow-datasets, such as ``tfds:coco_captions``."""

import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from pipelines.data import tables as files
from pipelines.data.images.find import Lost
from pipelines.data.images.layouts import usable
from pipelines.data.source import Example, OnProblem, Reader, Source
from pipelines.data.tfds import open_named

COLUMNS = {"image": ("image", "picture"), "caption": ("captions", "caption", "text")}


def open_named_pictures(spec: str, columns: files.Columns = COLUMNS) -> Source:
    """Open a prepared set whose examples hold one picture and one or more captions.

    Captions may be one text, a sequence of texts, or a sequence of records with a field ``text``. Pictures come
    decoded and are packed again as PNG, which loses nothing.

    Raises:
        ValueError: the set is not prepared, unknown, or lacks a feature.
    """
    source = open_named(spec, columns)
    return dataclasses.replace(source, readers={name: _packed(reader) for name, reader in source.readers.items()})


def _packed(reader: Reader) -> Reader:
    def examples(on_problem: OnProblem) -> Iterator[Example]:
        lost, pictures, captions = Lost(), 0, 0
        for row in reader(on_problem):
            where = row["where"]
            good = [" ".join(c.split()) for c in _texts(row["caption"]) if usable(c, where, lost.caption)]
            if good:
                pictures, captions = pictures + 1, captions + len(good)
                yield {"id": row["id"], "where": where, "image": _png(row["image"]), "captions": good}
        for problem in lost.told(pictures, pictures, captions)[0]:
            on_problem(problem)

    return examples


def _texts(value: Any) -> list[str]:
    value = value["text"] if isinstance(value, dict) else value
    values = [value] if isinstance(value, str | bytes) else list(value)
    return [one.decode("utf-8", "surrogateescape") if isinstance(one, bytes) else str(one) for one in values]


def _png(pixels: Any) -> bytes:
    array = np.asarray(pixels)
    buffer = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()

"""Make docs/pictures: run the notebooks and keep the pictures of their marked cells.

    python notebooks/pictures.py [NOTEBOOK ...] [--work DIR] [--out DIR]

A cell whose metadata hold the tag ``picture-NAME`` gives ``NAME.png``. Notebooks that have no such cell are left out.
Needs ``pip install -e '.[slow]'``; takes its time, because the notebooks train what they show. Colours are reduced to
a palette, so that a picture stays small.
"""

import argparse
import base64
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TAG, MOST_BYTES, MOST_WIDTH = "picture-", 60_000, 1100


def main() -> None:
    """Run the notebooks that are asked for, and write what they show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", nargs="*", help="beginnings of names; all when left out")
    parser.add_argument("--work", help="where the notebooks run and leave their runs; a temporary folder when left out")
    parser.add_argument("--out", default=str(ROOT / "docs" / "pictures"))
    given = parser.parse_args()
    paths = sorted(Path(__file__).parent.glob("*.ipynb"))
    chosen = [path for path in paths if not given.notebook or path.name.startswith(tuple(given.notebook))]
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(given.work or temporary) / "notebooks"
        work.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / "pretrained", work.parent / "pretrained", dirs_exist_ok=True)
        for path in chosen:
            book = nbformat.read(path, as_version=4)
            if any(_name(cell) for cell in book.cells):
                for name, picture in shown(book, work).items():
                    size = write(picture, out / f"{name}.png")
                    print(f"{out / name}.png: {size:,} bytes, from {path.name}", flush=True)


def _name(cell: Any) -> str:
    tags = [tag for tag in cell.metadata.get("tags", ()) if tag.startswith(TAG)]
    return tags[0].removeprefix(TAG) if tags else ""


def shown(book: Any, folder: Path) -> dict[str, bytes]:
    """Execute a notebook in ``folder``; return the PNG of every marked cell by its name."""
    client = nbclient.NotebookClient(
        book, timeout=None, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    pictures = {}
    for cell in book.cells:
        if _name(cell):
            (data,) = (o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {}))
            pictures[_name(cell)] = base64.b64decode(data)
    return pictures


def write(picture: bytes, path: Path) -> int:
    """Write a PNG of few colours and at most ``MOST_WIDTH`` pixels wide; return its size in bytes.

    Raises:
        RuntimeError: it stays above ``MOST_BYTES``.
    """
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    if image.width > MOST_WIDTH:
        image = image.resize((MOST_WIDTH, round(image.height * MOST_WIDTH / image.width)), Image.Resampling.LANCZOS)
    for colours in (256, 128, 64, 32):
        buffer = io.BytesIO()
        image.quantize(colours, kmeans=colours, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MOST_BYTES:
            path.write_bytes(buffer.getvalue())
            return buffer.tell()
    raise RuntimeError(f"{path}: {buffer.tell():,} bytes with {colours} colours, expected at most {MOST_BYTES:,}")


if __name__ == "__main__":
    main()

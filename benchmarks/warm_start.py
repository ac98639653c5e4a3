"""What a warm start gives when few reviews are labelled: 500 labels, and 24,000 texts without a sentiment label.

    python benchmarks/warm_start.py --data FOLDER --work runs/warm-start

``--data`` is a folder with ``train.jsonl`` and ``test.jsonl`` of the Large Movie Review Dataset (``id``, ``text``,
``label``, ``rating``: the files of its tree ``SPLIT/CLASS/ID_RATING.txt``, a line each). Of its training texts 500 are
the labelled ones and 500 others choose the best epoch. The
remaining 24,000 are used without their sentiment: as text, or with another label that says nothing about it, whether
the opinion is strong (1, 2, 9 or 10 stars) or mild (3, 4, 7 or 8). Four ways to begin are compared on the official
test split, each with several seeds; a line of JSON for each training goes to standard output, a table of means to
standard error.

- ``scratch``: nothing but the 500;
- ``neighbours``: ``--embedding-init neighbours``, first vectors out of the 500 texts themselves;
- ``embeddings``: ``--embeddings FILE``, vectors of the same kind out of the 24,000 texts;
- ``init``: ``--init RUN``, vocabulary, embedding and recurrent layer of a run that told strong from mild opinions.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import evaluate, train
from pipelines.data.source import fraction
from pipelines.data.text.cooccurrence import cooccurrence_vectors
from pipelines.data.text.vocabulary import CONTINUES, RESERVED
from pipelines.runs.load import load_run
from pipelines.training.encode import encode_split

LABELLED, CHOSEN_BY = 500, 500
SIZES: dict[str, Any] = {
    "max_tokens": 200,
    "embedding_size": 64,
    "units": 64,
    "batch_size": 32,
    "dropout": 0.4,
    "word_dropout": 0.1,
    "warmup": 0.05,
}
SMALL: dict[str, Any] = SIZES | {"vocabulary_size": 10000, "epochs": 12, "learning_rate": 1.5e-3, "ema": 0.99}
LARGE: dict[str, Any] = SIZES | {"vocabulary_size": 10000, "epochs": 2, "learning_rate": 1.5e-3, "batch_size": 64}
STARTS = ("scratch", "neighbours", "embeddings", "init")


def main() -> None:
    """Prepare, train, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.jsonl and test.jsonl")
    parser.add_argument("--work", type=Path, required=True, help="folder for data, runs and vectors")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind (default: 3)")
    options = parser.parse_args()
    few, other = prepare(options.data, options.work)
    large = train("sentiment", str(other), options.work / "strong-or-mild", **LARGE)
    print(json.dumps({"start": "strong or mild", **scores(evaluate(large, split="validation"))}), flush=True)
    vectors = write_vectors(large, options.work / "vectors.txt")
    begin: dict[str, dict[str, Any]] = {
        "scratch": SMALL,
        "neighbours": SMALL | {"embedding_init": "neighbours"},
        "embeddings": SMALL | {"embeddings": str(vectors)},
        "init": {name: SMALL[name] for name in ("epochs", "learning_rate", "ema", "batch_size")} | {"init": large},
    }
    found: dict[str, list[float]] = {start: [] for start in STARTS}
    for seed in range(options.seeds):
        for start in STARTS:
            run = train("sentiment", str(few), options.work / f"{start}-{seed}", seed=seed, **begin[start])
            record = scores(evaluate(run))
            found[start].append(record["accuracy"])
            print(json.dumps({"start": start, "seed": seed, **record}), flush=True)
    for start, values in found.items():
        print(f"{start:<12} {np.mean(values):.4f}   {min(values):.4f} to {max(values):.4f}", file=sys.stderr)


def prepare(data: Path, work: Path) -> tuple[Path, Path]:
    """Write two data folders: few labelled reviews with the official test split, the others with other labels."""
    rows = read(data / "train.jsonl")
    rows.sort(key=lambda row: fraction(f"warm start {row['id']}"))
    few, other = work / "few", work / "other"
    write(few / "train.jsonl", rows[:LABELLED])
    write(few / "validation.jsonl", rows[LABELLED : LABELLED + CHOSEN_BY])
    write(few / "test.jsonl", read(data / "test.jsonl"))
    rest = [row | {"label": strength(row["rating"])} for row in rows[LABELLED + CHOSEN_BY :]]
    write(other / "validation.jsonl", rest[:1000])
    write(other / "train.jsonl", rest[1000:])
    return few, other


def read(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines."""
    with open(path, encoding="utf-8") as file:  # str.splitlines would also cut at separators inside a text
        return [json.loads(line) for line in file]


def strength(stars: int) -> str:
    """Name how strong an opinion of 1 to 10 stars is; 5 and 6 do not occur."""
    return "strong" if stars in (1, 2, 9, 10) else "mild"


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write text and label as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({name: row[name] for name in ("id", "text", "label")}, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def write_vectors(run: Path, path: Path) -> Path:
    """Write vectors for the pieces of ``run`` out of its training texts, as word2vec writes text."""
    loaded = load_run(run)
    tokens = encode_split(loaded.task, loaded.open_source(), "train", "train").x["tokens"]
    pieces = loaded.preprocessor.vocabulary.vocabulary
    words = {i: piece for i, piece in enumerate(pieces) if i >= len(RESERVED) and not piece.startswith(CONTINUES)}
    width = loaded.config.embedding_size
    vectors = cooccurrence_vectors(tokens.values.numpy(), tokens.row_splits.numpy(), len(pieces), width)
    with open(path, "w", encoding="utf-8") as file:
        for i, word in words.items():
            print(word, *(f"{value:.4f}" for value in vectors[i]), file=file)
    return path


def scores(record: dict[str, Any]) -> dict[str, float]:
    """Return the plain values of ``metrics.json``."""
    return {name: round(score["value"], 4) for name, score in record["metrics"].items()}


if __name__ == "__main__":
    main()

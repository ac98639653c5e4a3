"""Are sentences what they were after segmentation? Every one of a data set, in pieces of a translation run and back.

    python benchmarks/round_trip.py pretrained/translation --data multi30k

Prints for each side how many sentences there are in all splits, and how many differ from the text that `clean` makes of
them (single spaces, valid UTF-8) once they were encoded and decoded.
"""

import argparse
import sys
from itertools import islice
from pathlib import Path

import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.data.text.vocabulary import clean
from pipelines.runs.load import load_run

TOGETHER = 2000


def main() -> None:
    """Count the sentences that change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--data", help="a data specification; the run's own when left out")
    arguments = parser.parse_args()
    loaded = load_run(arguments.run)
    source, preprocessor = loaded.open_source(arguments.data), loaded.preprocessor
    for side, vocabulary in (("source", preprocessor.source), ("target", preprocessor.target)):
        total = changed = 0
        for split in source.readers:
            sentences = (example[side] for example in source.read(split, lambda problem: None))
            while part := list(islice(sentences, TOGETHER)):
                texts = clean(tf.constant(part))
                changed += int(tf.reduce_sum(tf.cast(vocabulary.decode(vocabulary.encode(texts)) != texts, tf.int32)))
                total += len(part)
        print(f"{side}: {total} sentences, {changed} changed")


if __name__ == "__main__":
    main()

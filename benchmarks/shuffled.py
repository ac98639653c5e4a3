"""What the order of words is worth to a sentiment run: its scores on a split as written, and with shuffled words.

python benchmarks/shuffled.py RUN [--data SPEC] [--split test]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gates.lessons import shuffled_words

from pipelines.runs.load import load_run
from pipelines.training.evaluate import evaluate, table


def main() -> None:
    """Evaluate twice and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--data", help="a data specification; the run's own when left out")
    parser.add_argument("--split", default="test")
    given = parser.parse_args()
    source = load_run(given.run).open_source(given.data)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "shuffled")
        folder.mkdir()
        with open(folder / f"{source.find(given.split)}.jsonl", "w", encoding="utf-8") as file:
            for example in source.read(given.split, lambda problem: None):
                line = {"text": shuffled_words(example["text"]), "label": example["label"]}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        for name, data in {"as written": given.data, "words shuffled": str(folder)}.items():
            print(f"{name}: {table(evaluate(given.run, data, given.split, out=temporary))}")


if __name__ == "__main__":
    main()

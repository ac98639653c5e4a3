"""Speed of translation beside Joey NMT 2.3, an attentive GRU in PyTorch, at equal sizes on the same sentences.

    python benchmarks/translation_joey.py --data DIR --joey-python PYTHON --work WORK [--updates 200] [--rounds 2]

DIR holds train, val and test files of English and German. PYTHON is an interpreter with ``joeynmt torch==2.13.0
importlib_metadata sentencepiece==0.2.0``. Both have embeddings of 256, a bidirectional GRU of 256, a decoder GRU of
512, additive attention, 8,000 joint pieces, and batches of 64. Joey NMT feeds the attention back into the recurrent
layer, as it always does, and has an output matrix of its own on the 512 units; ours is the embedding. Each round
trains Joey NMT and then ours for so many updates; target tokens a second are those of each log. With ``--run`` beam-5
decoding of the test split is timed as well: ours with that trained run, Joey NMT's with what it has learnt, counting
the tokens of the answers.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

OURS = Path(__file__).with_name("translation.py")
LEARN = """
import sentencepiece, sys
texts, model, vocabulary, size = sys.argv[1].split(","), sys.argv[2], sys.argv[3], int(sys.argv[4])
sentencepiece.SentencePieceTrainer.train(input=texts, model_prefix=model, vocab_size=size, model_type="bpe",
    unk_id=0, pad_id=1, bos_id=2, eos_id=3, character_coverage=1.0, minloglevel=2)
pieces = sentencepiece.SentencePieceProcessor(model_file=model + ".model")
open(vocabulary, "w").write("\\n".join(pieces.id_to_piece(i) for i in range(size)) + "\\n")
"""
COUNT = """
import sentencepiece, sys
pieces = sentencepiece.SentencePieceProcessor(model_file=sys.argv[1])
print(sum(len(pieces.encode(line)) + 1 for line in open(sys.argv[2], encoding="utf-8")))
"""
SIDE = """
    lang: {lang}
    max_length: 80
    level: bpe
    voc_file: {work}/vocab.txt
    tokenizer_type: sentencepiece
    tokenizer_cfg: {{model_file: {work}/sp.model}}
"""
CONFIGURATION = """
name: peer
joeynmt_version: "2.3.0"
model_dir: {work}/model
use_cuda: false
random_seed: 0
data:
  train: {data}/train
  dev: {work}/few
  test: {data}/{test}
  dataset_type: plain
  src: {source}
  trg: {target}
testing:
  batch_size: 64
  beam_size: 5
  beam_alpha: 1.0
  max_output_length: 80
  eval_metrics: []
training:
  optimizer: adamw
  learning_rate: 0.001
  label_smoothing: 0.1
  clip_grad_norm: 1.0
  normalization: tokens
  scheduling: exponential
  decrease_factor: 0.999
  batch_size: 64
  epochs: 9
  updates: {updates}
  logging_freq: {logged}
  validation_freq: {updates}
  early_stopping_metric: loss
  overwrite: true
model:
  tied_embeddings: true
  tied_softmax: false
  encoder:
    type: recurrent
    rnn_type: gru
    embeddings: {{embedding_dim: 256, dropout: 0.3}}
    hidden_size: 256
    bidirectional: true
    num_layers: 1
    dropout: 0.3
  decoder:
    type: recurrent
    rnn_type: gru
    embeddings: {{embedding_dim: 256, dropout: 0.3}}
    hidden_size: 512
    num_layers: 1
    dropout: 0.3
    hidden_dropout: 0.3
    attention: bahdanau
    input_feeding: true
    init_hidden: bridge
"""


def main() -> None:
    """Prepare, alternate, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--joey-python", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--test", default="test_2016_flickr")
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--run", help="a trained run of ours, whose decoding is timed")
    given = parser.parse_args()
    configuration = prepare(given)
    found: dict[str, list[float]] = {"Joey NMT": [], "ours": []}
    for _ in range(given.rounds):
        found["Joey NMT"].append(peer_training(given, configuration))
        found["ours"].append(our_training(given))
        print(json.dumps(found), file=sys.stderr, flush=True)
    record = {"target tokens a second in training": found, "times faster": ratio(found)}
    if given.run:
        decoded: dict[str, list[float]] = {"Joey NMT": [], "ours": []}
        for _ in range(given.rounds):
            decoded["Joey NMT"].append(peer_decoding(given, configuration))
            decoded["ours"].append(our_decoding(given))
        record |= {"target tokens a second of beam 5": decoded, "times faster decoding": ratio(decoded)}
    print(json.dumps(record, indent=1))


def ratio(found: dict[str, list[float]]) -> float:
    """Ours over the peer's, of medians."""
    return round(statistics.median(found["ours"]) / statistics.median(found["Joey NMT"]), 2)


def prepare(given: argparse.Namespace) -> Path:
    """Learn the peer's pieces and write its configuration."""
    work, data = given.work.resolve(), given.data.resolve()
    work.mkdir(parents=True, exist_ok=True)
    texts = ",".join(str(data / f"train.{side}") for side in ("en", "de"))
    if not (work / "vocab.txt").exists():
        run(given.joey_python, "-c", LEARN, texts, str(work / "sp"), str(work / "vocab.txt"), "8000")
    for side in ("en", "de"):  # what it validates on costs time that is not counted
        lines = (data / f"train.{side}").read_text("utf-8").splitlines(keepends=True)[:64]
        (work / f"few.{side}").write_text("".join(lines), "utf-8")
    sides = {name: SIDE.format(lang=lang, work=work) for name, lang in (("source", "en"), ("target", "de"))}
    text = CONFIGURATION.format(
        work=work, data=data, test=given.test, updates=given.updates, logged=given.updates // 4, **sides
    )
    path = work / "peer.yaml"
    path.write_text(text, "utf-8")
    return path


def run(*command: str) -> str:
    """Run, and return standard output and error together; show them when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)[:200]} failed:\n{done.stdout[-3000:]}")
    return done.stdout


def peer_training(given: argparse.Namespace, configuration: Path) -> float:
    """Target tokens a second: the median of its log lines, of which the first is left out."""
    log = run(given.joey_python, "-m", "joeynmt", "train", str(configuration))
    speeds = [float(value) for value in re.findall(r"Tokens per Sec:\s*(\d+)", log)]
    return statistics.median(speeds[1:])


def our_training(given: argparse.Namespace) -> float:
    """Target pieces a second, see `benchmarks/translation.py`."""
    options = ["--data", str(given.data), "--source", "en", "--target", "de", "--updates", str(given.updates)]
    log = run(sys.executable, str(OURS), *options, "--set", 'attention="additive"')
    return float(json.loads(log[log.index("{") :])["target_pieces_a_second"])


def peer_decoding(given: argparse.Namespace, configuration: Path) -> float:
    """Tokens a second of the test split's answers."""
    answers = given.work.resolve() / "answers"
    log = run(given.joey_python, "-m", "joeynmt", "test", str(configuration), "--output-path", str(answers))
    seconds = float(re.findall(r"Generation took ([\d.]+)\[sec\]", log)[-1])
    counted = run(given.joey_python, "-c", COUNT, str(given.work.resolve() / "sp.model"), f"{answers}.test")
    return round(int(counted.split()[-1]) / seconds, 1)


def our_decoding(given: argparse.Namespace) -> float:
    """Pieces a second of the test split's answers."""
    log = run(sys.executable, str(OURS), "--run", given.run, "--data", str(given.data))
    return float(json.loads(log[log.index("{") :])["beam 5"]["target_pieces_a_second"])


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# NLTK 3.10.4: probabilities of an interpolated Kneser-Ney trigram add up to more than 1 after a sentence start.
# Behaviour: after the two start symbols the probabilities over the vocabulary add up to more than 1.
# Expected: a sum of 1 after every context, without which perplexities are not comparable.
# Seen:
#   {'<s> <s>': 1.002, '<s> a': 1.0, 'a cat': 1.0}
. "$(dirname "$0")/environment.bash"
environment nltk==3.10.4
"$PYTHON" - <<'PY'
from nltk.lm import KneserNeyInterpolated
from nltk.lm.preprocessing import padded_everygram_pipeline

sentences = [line.split() for line in ("a cat sat", "a dog sat down", "the cat ran", "the dog ran home", "a cat ran home")]
grams, words = padded_everygram_pipeline(3, sentences)
model = KneserNeyInterpolated(3)
model.fit(grams, words)
sums = {c: sum(model.score(w, c) for w in model.vocab) for c in (("<s>", "<s>"), ("<s>", "a"), ("a", "cat"))}
print({" ".join(context): round(total, 4) for context, total in sums.items()})
raise SystemExit(sums["<s>", "<s>"] < 1.001)
PY

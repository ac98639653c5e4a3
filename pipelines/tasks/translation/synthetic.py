"""Built-in sentence pairs with reordering and agreement, and word-for-word translation as the baseline."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np


def baseline(train: list[dict[str, Any]], test: list[dict[str, Any]]) -> tuple[str, float]:
    """Score, in BLEU, a dictionary learned from the training pairs and applied word by word.

    The word for e is the f with the highest Dice coefficient 2 n(e, f) / (n(e) + n(f)) over sentence pairs; a word
    that never occurred is copied.
    """
    from pipelines.metrics.translation import scorer  # noqa: PLC0415  # sacrebleu: an answer needs no score

    lexicon = _lexicon([(example["source"], example["target"]) for example in train])
    answers = [" ".join(lexicon.get(word, word) for word in example["source"].split()) for example in test]
    scores = scorer(answers, [example["target"] for example in test])(np.arange(len(test)))
    return "word for word", scores["bleu"]


def _lexicon(pairs: list[tuple[str, str]]) -> dict[str, str]:
    here: Counter[str] = Counter()
    there: Counter[str] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for source, target in pairs:
        words, others = sorted(set(source.split())), sorted(set(target.split()))
        here.update(words)
        there.update(others)
        both.update((word, other) for word in words for other in others)
    best: dict[str, tuple[float, str]] = {}
    for (word, other), count in both.items():
        dice = 2 * count / (here[word] + there[other])
        best[word] = max(best.get(word, (0.0, "")), (dice, other))
    return {word: other for word, (_, other) in best.items()}


# Which (verb, noun) combinations and which names each split may use: a sum of indices modulo five.
_RESIDUES = {"train": (0, 1, 2), "validation": (3,), "test": (4,)}

# English singular and plural, German singular, plural, gender
_NOUNS = [tuple(line.split()) for line in """
dog dogs Hund Hunde m|cat cats Katze Katzen f|horse horses Pferd Pferde n|teacher teachers Lehrer Lehrer m
woman women Frau Frauen f|child children Kind Kinder n|king kings König Könige m|queen queens Königin Königinnen f
girl girls Mädchen Mädchen n|man men Mann Männer m|mouse mice Maus Mäuse f|frog frogs Frosch Frösche m
bird birds Vogel Vögel m|duck ducks Ente Enten f|calf calves Kalb Kälber n|baker bakers Bäcker Bäcker m
singer singers Sängerin Sängerinnen f|team teams Team Teams n|wolf wolves Wolf Wölfe m
nurse nurses Schwester Schwestern f|robot robots Roboter Roboter m|snake snakes Schlange Schlangen f
monster monsters Monster Monster n
pirate pirates Seeräuber Seeräuber m|witch witches Hexe Hexen f|ghost ghosts Gespenst Gespenster n
""".replace("|", "\n").strip().splitlines()]  # fmt: skip
_ADJECTIVES = [tuple(line.split()) for line in """
old alt|young jung|small klein|big groß|tired müd|hungry hungrig|brave mutig|shy schüchtern|clever klug|sad traurig
happy glücklich|slow langsam|quick schnell|strong stark|weak schwach|quiet still|angry zornig|rich reich|poor arm
strange seltsam
""".replace("|", "\n").strip().splitlines()]  # fmt: skip
# English plural, singular, participle; German singular, plural, separated particle, participle
_VERBS = [tuple(part.strip() for part in line.split(",")) for line in """
see, sees, seen, sieht, sehen, , gesehen|love, loves, loved, liebt, lieben, , geliebt
find, finds, found, findet, finden, , gefunden|draw, draws, drawn, malt, malen, , gemalt
call, calls, called, ruft, rufen, an, angerufen|look for, looks for, looked for, sucht, suchen, , gesucht
invite, invites, invited, lädt, laden, ein, eingeladen|hear, hears, heard, hört, hören, , gehört
lift, lifts, lifted, hebt, heben, auf, aufgehoben|ask, asks, asked, fragt, fragen, , gefragt
laugh at, laughs at, laughed at, lacht, lachen, aus, ausgelacht|carry, carries, carried, trägt, tragen, , getragen
watch, watches, watched, schaut, schauen, an, angeschaut|forget, forgets, forgotten, vergisst, vergessen, , vergessen
wake, wakes, woken, weckt, wecken, auf, aufgeweckt|praise, praises, praised, lobt, loben, , gelobt
visit, visits, visited, besucht, besuchen, , besucht
introduce, introduces, introduced, stellt, stellen, vor, vorgestellt
""".replace("|", "\n").strip().splitlines()]  # fmt: skip
_TIMES = [("today", "heute"), ("every day", "jeden Tag"), ("in summer", "im Sommer"), ("at night", "in der Nacht"),
          ("again and again", "immer wieder"), ("on Sundays", "sonntags")]  # fmt: skip
_JOINS = [("because", "weil"), ("although", "obwohl"), ("when", "wenn"), ("before", "bevor")]
_ONSETS, _MIDDLES, _ENDS = (
    "B D F G K L M N R T V Z".split(),
    "a e i o u".split(),
    "lda rno mik sta vor ben tul gri".split(),
)
_SYLLABLES = [onset + middle for onset in _ONSETS for middle in _MIDDLES]

# definite and indefinite article with the ending of the adjective behind it, by gender (p: plural) and case
_DEFINITE = {"mn": "der e", "fn": "die e", "nn": "das e", "pn": "die en",
             "ma": "den en", "fa": "die e", "na": "das e", "pa": "die en"}  # fmt: skip
_INDEFINITE = {"mn": "ein er", "fn": "eine e", "nn": "ein es", "ma": "einen en", "fa": "eine e", "na": "ein es"}


def examples(split: str, count: int, seed: int) -> Iterator[dict[str, str]]:
    """Yields `count` pairs `{"id", "source", "target"}`; equal arguments give equal pairs on every machine.

    Raises:
        ValueError: `split` is not train, validation or test, or `count` is negative.
    """
    if split not in _RESIDUES:
        raise ValueError(f"synthetic translation has the splits {', '.join(_RESIDUES)}; got {split!r}")
    if count < 0:
        raise ValueError(f"synthetic translation: count must not be negative, got {count}")
    grammar = _Grammar(random.Random(f"translation {split} {seed}"), _RESIDUES[split])
    for index in range(count):
        source, target = grammar.sentence()
        yield {"id": f"{split}-{index}", "source": source, "target": target}


class _Grammar:
    """Draws sentences; every method returns the English words and the German words of one part."""

    def __init__(self, chooser: random.Random, residues: tuple[int, ...]) -> None:
        self.chooser, self.residues = chooser, residues

    def sentence(self) -> tuple[str, str]:
        """One sentence of six kinds, with capital and full stop."""
        kind = self.chooser.randrange(6)
        if kind == 0:
            source, target = self.clause("second")
        elif kind == 1:
            time, german_time = self.chooser.choice(_TIMES)
            source, target = self.clause("inverted")
            source, target = f"{time} {source}", f"{german_time} {target}"
        elif kind == 2:
            source, target = self.clause("perfect")
        elif kind == 3:
            join, german_join = self.chooser.choice(_JOINS)
            first, second = self.clause("second"), self.clause("last")
            source, target = f"{first[0]} {join} {second[0]}", f"{first[1]}, {german_join} {second[1]}"
        elif kind == 4:
            name = self.name()
            source, target = self.clause("last")
            source, target = f"{name} says that {source}", f"{name} sagt, dass {target}"
        else:
            time, german_time = self.chooser.choice(_TIMES)
            source, target = self.clause("perfect inverted")
            source, target = f"{time} {source}", f"{german_time} {target}"
        return source[0].upper() + source[1:] + ".", target[0].upper() + target[1:] + "."

    def clause(self, order: str) -> tuple[str, str]:
        """Subject, verb and object; `order` says where the German verb stands."""
        number = self.chooser.randrange(len(_VERBS))
        many, one, participle, german_one, german_many, particle, german_participle = _VERBS[number]
        subject, german_subject, plural = self.noun_phrase(number, "n")
        object_, german_object, _ = self.noun_phrase(number + 1, "a")
        finite = german_many if plural else german_one
        if order.startswith("perfect"):
            english = f"{subject} {'have' if plural else 'has'} {participle} {object_}"
            finite, particle = "haben" if plural else "hat", german_participle
        else:
            english = f"{subject} {many if plural else one} {object_}"
        if order == "last":
            return english, f"{german_subject} {german_object} {particle}{finite}"
        inverted = order.endswith("inverted")
        start = f"{finite} {german_subject}" if inverted else f"{german_subject} {finite}"
        return english, f"{start} {german_object} {particle}".strip()

    def noun_phrase(self, shift: int, case: str) -> tuple[str, str, bool]:
        """A name or a noun with article or number and adjectives, in case `n` or `a`; tells whether it is plural."""
        if self.chooser.random() < 0.15:
            name = self.name()
            return name, name, False
        residue = (self.chooser.choice(self.residues) - shift) % 5
        singular, plural, german_singular, german_plural, gender = self.chooser.choice(_NOUNS[residue::5])
        kind = self.chooser.choice(["the", "the", "a", "plural", "number"])
        adjectives = self.chooser.sample(_ADJECTIVES, self.chooser.choice([0, 1, 1, 2]))
        if kind in ("the", "a"):
            table = _DEFINITE if kind == "the" else _INDEFINITE
            article, ending = table[gender + case].split()
            start, noun, german_noun = kind, singular, german_singular
            if kind == "a" and (adjectives[0][0] if adjectives else noun)[0] in "aeiou":
                start = "an"
        elif kind == "plural":
            article, ending = _DEFINITE["p" + case].split()
            start, noun, german_noun = "the", plural, german_plural
        else:
            start = article = str(self.chooser.randrange(2, 100))
            ending, noun, german_noun = "e", plural, german_plural
        english = " ".join([start, *(word for word, _ in adjectives), noun])
        german = " ".join([article, *(stem + ending for _, stem in adjectives), german_noun])
        return english, german, kind in ("plural", "number")

    def name(self) -> str:
        """A made-up name; which syllables meet tells the splits apart."""
        first = self.chooser.randrange(len(_SYLLABLES))
        residue = (self.chooser.choice(self.residues) - first) % 5
        return _SYLLABLES[first] + self.chooser.choice(_ENDS[residue::5])

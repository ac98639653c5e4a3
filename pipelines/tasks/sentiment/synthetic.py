"""Built-in reviews whose opinion lies in the order of the words.

Every review holds one praising and one damning adjective, and a frame (contrast, concession, someone else's opinion,
negation over a distance, double negation) that says which of the two counts. Reviews come in pairs that differ only in
the two adjectives having changed places: both have the same words and opposite labels, so counting words cannot tell
them apart, and because both adjectives stand between words of the same distribution, counting neighbours hardly can.
"""

import random
from collections.abc import Iterator

LABELS = ("negative", "positive")

# Which (topic, adjective) combinations each split may use: the sum of their indices modulo five.
_RESIDUES = {"train": (0, 1, 2), "validation": (3,), "test": (4,)}

_GOOD = """
wonderful brilliant gripping moving superb charming delightful clever fresh warm elegant honest vivid touching tender
subtle graceful inventive convincing captivating stunning magical memorable lively witty poignant engaging thrilling
refreshing radiant splendid marvellous enchanting absorbing compelling dazzling excellent fantastic terrific lovely
impressive inspired rewarding sincere sparkling thoughtful uplifting exquisite masterful great
""".split()
_BAD = """
dull tedious clumsy lifeless shallow boring dreadful awful messy stale hollow wooden bland tiresome predictable lazy
sloppy pointless incoherent annoying grating ridiculous forgettable muddled ugly feeble dreary insipid laboured cheap
contrived lame miserable painful pathetic pretentious silly stupid terrible trite unbearable uninspired unconvincing
vapid weak wretched embarrassing exhausting flat horrible
""".split()
_TOPICS = """
plot ending acting script dialogue pacing soundtrack camerawork lighting editing casting humour romance villain hero
opening finale middle premise setting mood atmosphere direction narration choreography costume scenery suspense twist
rhythm story climax prologue epilogue chemistry tension photography score singing dubbing makeup animation banter
conversation flashback subplot
""".split()
_VERBS = ["was", "felt", "seemed", "looked", "remained", "turned out", "proved"]
_DEGREES = ["really", "very", "quite", "rather", "truly", "utterly", "simply", "thoroughly", "so", "pretty"]
_TAILS = [
    "to me", "to my mind", "in my eyes", "for once", "from start to finish", "at all times", "at every turn",
    "in every scene", "throughout", "on the whole", "as far as I can tell", "all along", "by any standard",
    "in places", "beyond words", "from the first minute", "as a whole", "more than once", "again and again",
]  # fmt: skip
_PEOPLE = """
brother sister mother father cousin neighbour teacher colleague friend uncle aunt daughter son boss flatmate
grandmother grandfather roommate wife husband
""".split()
_ASIDES = [
    "for all the noise around it", "with or without the posters", "after two hours in my seat", "to be frank",
    "as some newspapers do", "like half of the audience", "having read the book", "on a second viewing",
    "even after a long day", "in spite of the late hour",
]  # fmt: skip
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_PLACES = "London Paris Berlin Madrid Oslo Vienna Lisbon Dublin Prague Warsaw Rome Athens Helsinki Zurich".split()
_GENRES = "western thriller comedy drama musical documentary cartoon sequel remake mystery romance".split()
_REMARKS = [
    "I saw it with my {person} on a {day} in {place}.", "It is a {genre} of {number} minutes, shot in {place}.",
    "My {person} bought the tickets on {day}.", "The cinema in {place} was half full that {day}.",
    "It is the {genre} that everybody talks about in {place}.", "We watched it at home with my {person}.",
    "I know the book, and my {person} knows the old {genre}.", "The {genre} is set in {place} before the war.",
    "They showed it after another {genre}.", "I had never seen a {genre} from {place} before.",
]  # fmt: skip

# {0} and {1} are clauses; the number says which of them carries the verdict. Where one of them is denied, the other
# one is affirmed, so the verdict is the affirmed one.
_FRAMES = [
    ("{0}, but {1}.", 1),
    ("{0}, yet in the end {1}.", 1),
    ("it is true that {0}; still, {1}.", 1),
    ("granted, {0}, and even so {1}.", 1),
    ("although {0}, {1}.", 1),
    ("even though {0}, what stays with me is that {1}.", 1),
    ("despite the fact that {0}, {1}.", 1),
    ("I had expected that {0}, but no: {1}.", 1),
    ("at first {0}; later {1}, and that is what counts.", 1),
    ("people had told me that {0}, but I saw it myself, and {1}.", 1),
    ("my {person} said that {0}, while I found that {1}.", 1),
    ("{0}, although {1}.", 0),
    ("{0}, even if {1}.", 0),
    ("{0}, even though {1}.", 0),
    ("{0}, despite the fact that {1}.", 0),
    ("{0}, and it hardly matters that {1}.", 0),
    ("what stays with me is that {0}; never mind that {1}.", 0),
    ("{0}, and that is what counts, not that at first {1}.", 0),
    ("I saw myself that {0}; people had told me that {1}.", 0),
    ("I found that {0}, while my {person} said that {1}.", 0),
    ("I did not, {aside}, think that {0}, and I did think that {1}.", 1),
    ("I did think that {0}, and I did not, {aside}, think that {1}.", 0),
    ("it is not true, {aside}, that {0}; it is true that {1}.", 1),
    ("it is true that {0}; it is not true, {aside}, that {1}.", 0),
    ("I would not say, {aside}, that {0}, and I would say that {1}.", 1),
    ("I would say that {0}, and I would not say, {aside}, that {1}.", 0),
    ("nobody could claim that {0}, and nobody, {aside}, could deny that {1}.", 1),
    ("nobody could deny that {0}, and nobody, {aside}, could claim that {1}.", 0),
    ("I never believed that {0} and never doubted that {1}.", 1),
    ("I never doubted that {0} and never believed that {1}.", 0),
    ("it would be wrong to claim that {0}, and just as wrong to deny that {1}.", 1),
    ("it would be wrong to deny that {0}, and just as wrong to claim that {1}.", 0),
]


def examples(split: str, count: int, seed: int) -> Iterator[dict[str, str]]:
    """Yields `count` reviews `{"id", "text", "label"}`, a mirrored pair after the other, balanced when count is even.

    The splits share their words and frames, but no combination of a topic and an adjective. Equal arguments give
    equal reviews on every machine.

    Raises:
        ValueError: `split` is not train, validation or test, or `count` is negative.
    """
    if split not in _RESIDUES:
        raise ValueError(f"synthetic sentiment has the splits {', '.join(_RESIDUES)}; got {split!r}")
    if count < 0:
        raise ValueError(f"synthetic sentiment: count must not be negative, got {count}")
    chooser = random.Random(f"sentiment {split} {seed}")
    for index in range(0, count, 2):
        pair = _pair(chooser, _RESIDUES[split])
        for offset, (text, label) in enumerate(pair[: count - index]):
            yield {"id": f"{split}-{index + offset}", "text": text, "label": label}


def _pair(chooser: random.Random, residues: tuple[int, ...]) -> list[tuple[str, str]]:
    """One review and its mirror, in random order."""
    residue, topic_residue = chooser.choice(residues), chooser.randrange(5)
    topics = chooser.sample(_TOPICS[topic_residue::5], 2)
    adjective_residue = (residue - topic_residue) % 5
    good, bad = chooser.choice(_GOOD[adjective_residue::5]), chooser.choice(_BAD[adjective_residue::5])
    frame, verdict = chooser.choice(_FRAMES)
    words = {
        "person": chooser.choice(_PEOPLE),
        "aside": chooser.choice(_ASIDES),
        "day": chooser.choice(_DAYS),
        "place": chooser.choice(_PLACES),
        "genre": chooser.choice(_GENRES),
        "number": str(chooser.randrange(75, 190)),
    }
    clauses = [_clause(chooser, topic) for topic in topics]
    before, after = (chooser.choice(_REMARKS) if chooser.random() < 0.3 else "" for _ in range(2))
    pair = []
    for first, second, label in ((good, bad, 1 - verdict), (bad, good, verdict)):
        sentence = frame.format(clauses[0].format(first), clauses[1].format(second), **words)
        sentence = sentence[0].upper() + sentence[1:]
        pair.append((" ".join(f"{before} {sentence} {after}".format(**words).split()), LABELS[label]))
    chooser.shuffle(pair)
    return pair


def _clause(chooser: random.Random, topic: str) -> str:
    """A clause with a slot for the adjective, whose neighbours do not depend on where the clause stands."""
    degree = chooser.choice(_DEGREES) + " " if chooser.random() < 0.4 else ""
    tail = " " + chooser.choice(_TAILS) if chooser.random() < 0.8 else ""
    return f"the {topic} {chooser.choice(_VERBS)} {degree}{{}}{tail}"

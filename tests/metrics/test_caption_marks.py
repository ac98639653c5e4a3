"""Words whose letters carry marks stay whole, scripts without spaces are cut into characters; nothing else changes."""

import random
import re
import unicodedata

import pytest

from pipelines.metrics.captions import _CLITICS, _QUOTES, _SPLIT_WORDS, scorer, tokenise

WITHOUT_MARKS = re.compile(
    r"(?:mr|mrs|ms|dr|st|jr|sr|prof|vs|inc|co|no)\.(?!\w)"
    r"|(?:[^\W\d_]\.){2,}"
    r"|\d+(?:[.,:/]\d+)*(?!-?\w)"
    rf"|\w+?(?={_CLITICS}(?!\w))"
    rf"|{_CLITICS}(?!\w)"
    r"|\w+(?:[-'.]\w+)*"
    r"|[#$%&@+*=/<>^~|\\]"
)
"""The words as they were cut when the shipped run was trained and scored."""


def before(text: str) -> list[str]:
    words = WITHOUT_MARKS.findall(text.lower().translate(_QUOTES))
    return [part for word in words for part in _SPLIT_WORDS.get(word, (word,))]


@pytest.mark.parametrize(
    "text",
    [
        "एक कुत्ता घास पर दौड़ रहा है",  # Hindi
        "একটি কুকুর ঘাসের উপর দৌড়াচ্ছে",  # Bengali
        "ஒரு நாய் புல்லில் ஓடுகிறது",  # Tamil
        "كَلْبٌ يَجْرِي",  # Arabic with its vowels
        "một con chó đang chạy trên cỏ",  # Vietnamese
        "çok güzel bir köpek",
    ],
)
def test_words_are_what_stands_between_the_spaces(text: str) -> None:
    words = unicodedata.normalize("NFC", text).split()
    for form in ("NFC", "NFD"):
        assert tokenise(unicodedata.normalize(form, text) + " .") == words
    assert tokenise(" ".join(tokenise(text))) == words


@pytest.mark.parametrize("text", ["É. T. isn't café's no. 1-é!", "naïve co-opération", "U.Ś. ligne"])
def test_a_decomposed_letter_is_the_composed_one(text: str) -> None:
    assert tokenise(unicodedata.normalize("NFD", text)) == tokenise(unicodedata.normalize("NFC", text)) == before(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("一只狗在草地上 run 奔跑。", [*"一只狗在草地上", "run", *"奔跑"]),
        ("犬が走る、NBA 3.5", [*"犬が走る", "nba", "3.5"]),
        ("สุนัขวิ่ง", ["สุ", "นั", "ข", "วิ่", "ง"]),  # marks stay with their letter
        ("កុមារ", ["កុ", "មា", "រ"]),
    ],
)
def test_where_no_spaces_are_written_every_character_is_a_word(text: str, words: list[str]) -> None:
    assert tokenise(text) == tokenise(" ".join(words)) == words
    assert scorer([" ".join(words)], [[text]])([0])["bleu1"] == 100


def test_a_mark_without_a_letter_is_no_word() -> None:
    assert tokenise("a dog \u2764\ufe0f runs \u0301 1\ufe0f\u20e3") == ["a", "dog", "runs", "1"]


def test_the_vowel_signs_are_scored() -> None:
    wrong = scorer(["कीता"], [["कुता"]])([0])["bleu1"]  # another vowel is another word
    assert wrong == 0 and scorer(["कुता"], [["कुता"]])([0])["bleu1"] == 100


def test_text_without_marks_is_cut_as_before() -> None:
    rng = random.Random(0)
    pieces = ["a", "Dog", "'s", "n't", "isn't", ".", ",", "-", "U.S.", "mr.", "no.", "12", "3.5", "4-wheel", "cannot"]
    pieces += ["été", "собака", "ß", "“x”", "#", "&", "_", "'", "...", "Å", "K", "٣", "²", "\u200c", "🐕"]
    for _ in range(3000):
        text = "".join(rng.choice(pieces) + rng.choice(["", " ", " "]) for _ in range(rng.randint(1, 9)))
        assert tokenise(text) == before(text), text

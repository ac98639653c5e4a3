"""Scripts of many characters."""

import pytest

from pipelines.config import from_dict
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.data import Preprocessor
from pipelines.tasks.speech.text import Alphabet

HAN = [chr(0x4E00 + number) for number in range(10_001)]


def test_mandarin_is_spelled_in_its_characters():
    """The list of generally used characters (2013) has 8105."""
    texts = ["".join(HAN[start : start + 15]) for start in range(0, 8105, 15)]
    alphabet = Alphabet.learn(texts)
    assert alphabet.size > 8105 and alphabet.decode(alphabet.encode(texts[0])) == texts[0]


def test_what_has_too_many_characters_is_told_the_way_out():
    texts = ["".join(HAN[start : start + 15]) for start in range(0, len(HAN), 15)]
    examples = [{"id": str(n), "where": f"x:{n}", "text": text} for n, text in enumerate(texts)]
    with pytest.raises(ValueError, match=r"10001 different characters, at most 10000") as refused:
        Preprocessor.fit(Config(), examples)
    settings = str(refused.value).split("--")[1:]
    named = dict(part.split()[:2] for part in settings)
    chosen = {name.replace("-", "_"): int(value) if value.isdigit() else value for name, value in named.items()}
    assert set(chosen) == {"vocabulary", "vocabulary_size"}
    symbols = Preprocessor.fit(from_dict(Config, chosen, "test"), examples).alphabet.symbols
    assert set(HAN) <= {symbol.strip() for symbol in symbols}

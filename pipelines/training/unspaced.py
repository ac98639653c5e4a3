"""Scripts that write no spaces between words: there a score counts characters."""

import re

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Ranges of Chinese characters, which Japanese has too, for a class of a regular expression."""
OTHERS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
"""Ranges of Thai, Lao, Burmese, Khmer, and of the Japanese syllables."""
_HAN, _OTHERS = re.compile(f"[{HAN}]"), re.compile(f"[{OTHERS}]")


def counted(text: str) -> tuple[int, int, int]:
    """Return how many characters of ``text`` are Chinese, of the other scripts here, and letters of any script."""
    return len(_HAN.findall(text)), len(_OTHERS.findall(text)), sum(map(str.isalpha, text))

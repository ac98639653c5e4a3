"""Explanations as HTML: coloured pieces, an alignment, words over a spectrogram, a picture as each word saw it.

Everything that comes from a user or a model passes ``html.escape``. Colours have an alpha, so that they suit a light
and a dark page.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageOps

SPEAKS_FOR, SPEAKS_AGAINST, SHARE = "178, 24, 43", "33, 102, 172", "117, 112, 179"
SECOND = 180  # pixels
SHOWN = 640  # pixels of a picture's longer side
DARKEST = 0.8
SMOOTH = 16  # pixels that a cell of an attention grid is drawn with

Array = np.ndarray[Any, Any]


def problem(sentence: str) -> str:
    """Say what went wrong, as a paragraph."""
    return f'<p class="problem" role="alert">{escape(sentence)}</p>'


def headline(answer: str, note: str) -> str:
    """Write an answer large and what belongs to it small beneath."""
    shown = escape(answer) if answer.strip() else "<em>no words</em>"
    return f'<p class="answer">{shown}</p><p class="note">{escape(note)}</p>'


def bars(shares: dict[str, float]) -> str:
    """Draw named probabilities as bars, largest first."""
    rows = "".join(
        f'<div class="bar"><span>{escape(name)}</span><i style="width:{100 * share:.1f}%"></i>'
        f"<b>{100 * share:.1f} %</b></div>"
        for name, share in sorted(shares.items(), key=lambda item: -item[1])
    )
    return f'<div class="bars">{rows}</div>'


def pieces(names: Sequence[str], values: Sequence[float], continues: str, signed: bool) -> str:
    """Write the pieces of a text, coloured by a value each; the largest is the darkest.

    Args:
        names: of the T pieces.
        values: [T].
        continues: what a piece that goes on within a word begins with.
        signed: red above and blue below zero; otherwise one colour.
    """
    largest = max((abs(value) for value in values), default=0.0) or 1.0
    parts: list[str] = []
    for name, value in zip(names, values, strict=True):
        inside = name.startswith(continues)
        colour = SHARE if not signed else SPEAKS_FOR if value >= 0 else SPEAKS_AGAINST
        alpha = DARKEST * abs(value) / largest
        parts.append(
            ("" if inside or not parts else " ")
            + f'<span style="background:rgba({colour},{alpha:.3f})" title="{value:{"+" if signed else ""}.4f}">'
            + f"{escape(name.removeprefix(continues) if inside else name)}</span>"
        )
    return f'<p class="pieces">{"".join(parts)}</p>'


def alignment(columns: Sequence[str], rows: Sequence[str], weights: Any) -> str:
    """Draw the attention [rows, columns] between the pieces of an answer and those of its source as a table."""
    head = "".join(f"<th><span>{escape(name)}</span></th>" for name in columns)
    body = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(
            f'<td style="background:rgba({SHARE},{share:.3f})" title="{escape(name)} looks at {escape(column)}: '
            f'{share:.3f}"></td>'
            for column, share in zip(columns, shares, strict=True)
        )
        + "</tr>"
        for name, shares in zip(rows, weights, strict=True)
    )
    return f'<div class="wide"><table class="alignment"><tr><td></td>{head}</tr>{body}</table></div>'


def ranking(alternatives: Sequence[tuple[str, float]]) -> str:
    """List the best answers with their scores, best first."""
    rows = "".join(f"<li>{escape(text)} <small>{score:.3f}</small></li>" for text, score in alternatives)
    return f'<ol class="ranking">{rows}</ol>'


def timeline(frames: Array, seconds: float, words: Sequence[dict[str, Any]]) -> str:
    """Write words where they were heard, over the spectrogram.

    Args:
        frames: log-mel energies float [frames, bands].
        seconds: what the frames last.
        words: ``word``, ``start`` and ``end`` in seconds, and ``confidence``.
    """
    spans = "".join(
        f'<span style="left:{100 * word["start"] / seconds:.2f}%;width:{100 * _lasting(word) / seconds:.2f}%;'
        f'background:rgba({SHARE},{0.25 + 0.6 * word["confidence"]:.2f})" title="{escape(_times(word))}">'
        f"{escape(word['word'])}</span>"
        for word in words
    )
    marks = "".join(f'<i style="left:{100 * at / seconds:.2f}%">{at:g} s</i>' for at in np.arange(0, seconds, 0.5))
    shown = (
        f'<div class="timeline" style="width:{seconds * SECOND:.0f}px"><div class="words">{spans}</div>'
        f'<img alt="spectrogram of the recording" src="{_spectrogram(frames)}"><div class="marks">{marks}</div></div>'
    )
    rows = "".join(
        f"<tr><td>{escape(word['word'])}</td><td>{word['start']:.2f}</td><td>{word['end']:.2f}</td>"
        f"<td>{100 * word['confidence']:.0f} %</td></tr>"
        for word in words
    )
    head = "<tr><th>word</th><th>from (s)</th><th>to (s)</th><th>confidence</th></tr>"
    return f'<div class="wide">{shown}</div><table class="times">{head}{rows}</table>'


def _lasting(word: dict[str, Any]) -> float:
    return max(float(word["end"]) - float(word["start"]), 0.02)


def _times(word: dict[str, Any]) -> str:
    return f"{word['word']}: {word['start']:.2f} to {word['end']:.2f} s, confidence {word['confidence']:.2f}"


def _spectrogram(frames: Array) -> str:
    low, high = np.percentile(frames, [2, 99.5])
    level = np.clip((frames - low) / max(high - low, 1e-6), 0, 1)
    colours = matplotlib.colormaps["magma"](level.T[::-1], bytes=True)[..., :3]
    return _uri(Image.fromarray(np.ascontiguousarray(colours)), "PNG")


def shown_picture(content: bytes) -> str:
    """Return a picture upright and at most ``SHOWN`` pixels a side, over white, as the value of ``src``."""
    with Image.open(io.BytesIO(content)) as picture:
        picture.draft("RGB", (2 * SHOWN, 2 * SHOWN))  # a JPEG need not be decoded at its full size
        upright = ImageOps.exif_transpose(picture).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    flat = Image.alpha_composite(white, upright).convert("RGB")
    scale = SHOWN / max(flat.size)
    if scale < 1:
        flat = flat.resize((max(1, round(flat.width * scale)), max(1, round(flat.height * scale))))
    return _uri(flat, "JPEG")


def shade(share: Array) -> str:
    """Return attention float [GY, GX] as a dark pane, transparent where the word looked, as the value of ``src``."""
    dark = Image.fromarray((1 - share / max(float(share.max()), 1e-9)).astype(np.float32))
    grown = dark.resize((SMOOTH * dark.width, SMOOTH * dark.height), Image.Resampling.BICUBIC)
    smooth = np.clip(np.asarray(grown), 0, 1)
    pane = np.zeros((*smooth.shape, 4), np.uint8)
    pane[..., 3] = np.round(255 * DARKEST * smooth)
    return _uri(Image.fromarray(pane), "PNG")


def look(picture: str, words: Sequence[str], shades: Sequence[str], number: int) -> str:
    """Show a picture as word ``number`` (from 1; 0 is none) saw it, and the caption with that word marked."""
    marked = " ".join(
        f"<mark>{escape(word)}</mark>" if place == number else f"<span>{escape(word)}</span>"
        for place, word in enumerate(words, start=1)
    )
    pane = f'<img class="shade" alt="" src="{shades[number - 1]}">' if number else ""
    seen = f"where “{words[number - 1]}” looked" if number else "the picture"
    return (
        f'<p class="caption">{marked}</p>'
        f'<div class="look"><img alt="{escape(seen)}" src="{picture}">{pane}</div><p class="note">{escape(seen)}</p>'
    )


def _uri(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


CSS = """
.title .html-container, .summary .html-container { padding: 0; }
.title h1 { font-size: 1.3rem !important; font-weight: 600; margin: 0 !important; }
.tabitem { padding-top: 0.5rem !important; }
.note { opacity: 0.75; font-size: 0.85rem; margin: 0.4rem 0; }
.problem { border-left: 4px solid #b2182b; padding: 0.5rem 0.8rem; margin: 0.4rem 0;
  background: rgba(178, 24, 43, 0.08); overflow-wrap: anywhere; }
.answer { font-size: 1.3rem; font-weight: 600; line-height: 1.35; margin: 0.2rem 0; overflow-wrap: anywhere; }
.bars { margin: 0.6rem 0; }
.bar { display: grid; grid-template-columns: minmax(5rem, max-content) 1fr 4rem; gap: 0.6rem; align-items: center;
  margin: 0.2rem 0; }
.bar i { display: block; height: 0.8rem; min-width: 2px; border-radius: 2px; background: rgb(117, 112, 179); }
.bar b { font-weight: 400; text-align: right; font-variant-numeric: tabular-nums; }
.pieces { line-height: 1.9; overflow-wrap: anywhere; }
.pieces span { padding: 0.12rem 0; border-radius: 2px; }
.ranking { margin: 0.4rem 0 0.8rem 1.4rem; list-style: decimal; }
.ranking small { opacity: 0.75; margin-left: 0.4rem; }
.wide { overflow-x: auto; max-width: 100%; padding-bottom: 0.4rem; }
.shown table, .shown tr, .shown td, .shown th { border: 0; }
.alignment { border-collapse: collapse; width: auto; margin: 0; }
.alignment td, .alignment th { padding: 0; font-weight: 400; font-size: 0.85rem; }
.shown .alignment td { min-width: 1.5rem; height: 1.5rem; border: 1px solid var(--border-color-primary); }
.shown .alignment tr:first-child td { border: 0; }
.alignment tr:first-child th { vertical-align: bottom; }
.alignment tr:first-child th span { writing-mode: vertical-rl; transform: rotate(180deg); padding: 0.2rem 0;
  line-height: 1.5rem; }
.alignment tr th:first-child { position: sticky; left: 0; text-align: right; padding-right: 0.5rem;
  white-space: nowrap; background: var(--body-background-fill); }
.timeline { position: relative; min-width: 100%; }
.timeline img { display: block; width: 100%; height: 180px; margin: 0; }
.timeline .words { position: relative; height: 1.9rem; }
.timeline .words span { position: absolute; top: 0; height: 1.7rem; line-height: 1.7rem; min-width: max-content;
  padding: 0 0.15rem; text-align: center; white-space: nowrap; border-radius: 2px; }
.timeline .marks { position: relative; height: 1.2rem; overflow: hidden; }
.timeline .marks i { position: absolute; white-space: nowrap; font-style: normal; font-size: 0.75rem;
  padding-left: 0.2rem; border-left: 1px solid var(--border-color-primary); opacity: 0.75; }
.times { border-collapse: collapse; margin: 0.6rem 0; font-variant-numeric: tabular-nums; }
.times td, .times th { padding: 0.15rem 0.9rem 0.15rem 0; text-align: left; font-weight: 400; }
.times th { opacity: 0.75; font-size: 0.85rem; }
.caption { font-size: 1.05rem; line-height: 1.9; }
.caption span, .caption mark { padding: 0.1rem 0.25rem; border-radius: 3px; }
.caption mark { background: rgb(117, 112, 179); color: white; }
.look { position: relative; max-width: 30rem; }
.look img { display: block; width: 100%; margin: 0; }
.look .shade { position: absolute; inset: 0; height: 100%; }
@media (max-width: 480px) {
  .gradio-container > .main, .gradio-container .fillable { padding: 0.8rem !important; }
  .tab-container button { padding: 0 0.45rem !important; font-size: 0.8rem !important; }
}
"""

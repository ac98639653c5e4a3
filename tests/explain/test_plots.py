"""Pictures: written as PNG, with the names and numbers they were given, for any text."""

import io

import numpy as np
import pytest
from PIL import Image

from pipelines.explain import plots

RNG = np.random.default_rng(0)
PIECES = ["film", "##.", "$x_2^$", "电影", "👍", "\\frac{", "<0x20>"]


def size(data: bytes) -> tuple[int, int]:
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "PNG"
    return picture.size


def maps(steps: int) -> dict[str, np.ndarray]:
    return {"forward states": RNG.uniform(-1, 1, (steps, 5)), "forward input": RNG.uniform(0, 1, (steps, 5))}


def test_token_panels_show_every_piece_as_it_is(recwarn):
    attributions = np.array([1.0, -2, 0.5, 0, 0, 1, 0])
    figure = plots.token_panels(PIECES, attributions, np.full(7, 1 / 7), maps(7), "100 $ of $")
    names = [label.get_text() for label in figure.axes[3].get_xticklabels()]
    assert names == PIECES
    np.testing.assert_allclose([bar.get_height() for bar in figure.axes[0].patches], attributions)
    assert [key.get_ylabel() for key in figure.axes[4:]] == ["state", "gate: 0 closed, 1 open"]
    assert size(figure._repr_png_())[0] > 300
    assert not recwarn.list


def test_long_texts_are_shown_where_the_weight_lies():
    attributions = np.zeros(500)
    attributions[300:320] = -1
    part = plots.window(attributions)
    assert part.stop - part.start == plots.SHOWN and part.start <= 300 and part.stop >= 320
    assert plots.window(np.zeros(5)) == slice(0, 5)
    figure = plots.token_panels([f"p{i}" for i in range(500)], attributions, np.ones(500), maps(500))
    assert len(figure.axes[0].patches) == plots.SHOWN
    assert f"pieces {part.start + 1} to {part.stop} of 500" in figure.get_suptitle()


def test_alignment_has_rows_for_what_was_produced():
    weights = RNG.dirichlet(np.ones(7), 3)
    figure = plots.alignment(PIECES, ["ein", "$", "Film"], weights)
    panel, key = figure.axes
    assert (panel.get_xlabel(), panel.get_ylabel(), key.get_ylabel()) == ("source", "answer", "attention")
    np.testing.assert_array_equal(panel.images[0].get_array(), weights)
    assert [label.get_text() for label in panel.get_yticklabels()] == ["ein", "$", "Film"]
    assert size(plots.png(figure))


def test_picture_attention_draws_each_word_over_the_picture():
    words = ["a", "red", "ball", "on", "a", "$"]
    figure = plots.picture_attention(RNG.random((32, 48, 3)), words, RNG.random((6, 7, 7)))
    titles = [panel.get_title() for panel in figure.axes]
    assert titles[1:7] == words and len(figure.axes) == 10
    assert [len(panel.images) for panel in figure.axes[:8]] == [1, 2, 2, 2, 2, 2, 2, 0]
    assert size(plots.png(figure))


def test_saving_replaces_whole_files_or_nothing(tmp_path):
    figure = plots.alignment(["a"], ["b"], np.ones([1, 1]))
    (tmp_path / "x.jpg").write_text("before")
    plots.save(figure, tmp_path / "x.jpg")
    size((tmp_path / "x.jpg").read_bytes())
    with pytest.raises(RuntimeError, match=r"missing/x\.png: cannot be written"):
        plots.save(figure, tmp_path / "missing" / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["x.jpg"]


@pytest.mark.parametrize(("rewarded", "lines"), [([], []), ([0.0, 0.0, 1.0, 1.0], [2.5])])
def test_learning_curves_are_those_of_the_history(tmp_path, monkeypatch, rewarded, lines):
    figures, honest = [], plots.canvas
    monkeypatch.setattr(plots, "canvas", lambda *inches: figures.append(honest(*inches)) or figures[-1])
    history = [{"epoch": n + 1.0, "loss": 2.0 - n, "validation_bleu": n**2} for n in range(4)]
    for row, value in zip(history, rewarded, strict=False):
        row["rewarded"] = value
    plots.learning_curves(history, "bleu", tmp_path / "curves.png")
    size((tmp_path / "curves.png").read_bytes())
    for panel, name in zip(figures[0].axes, ("loss", "validation_bleu"), strict=True):
        curve, *between = panel.lines
        np.testing.assert_array_equal(curve.get_xydata(), [[row["epoch"], row[name]] for row in history])
        assert panel.get_title() == name.replace("_", " ") and panel.get_xlabel() == "epoch"
        assert [line.get_xdata()[0] for line in between] == lines
        assert (panel.get_legend() is not None) == bool(lines), "a line is told what it means"

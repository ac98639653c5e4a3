"""Explanations of a sentiment run: complete, in step with predict, and possible for every text."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.cli import explain as delivery
from pipelines.data.text.vocabulary import RESERVED, SubwordVocabulary
from pipelines.explain.attribution import Attribution
from pipelines.tasks.sentiment.explain import explain, gate_map
from pipelines.tasks.sentiment.task import Config, Preprocessor, Sentiment

TEXTS = [
    "Although the plot was dull, the ending was wonderful.",
    "",
    "电影很好看 $x$ <br /> 👍",
    "the acting was wonderful " * 200,
]


@pytest.fixture
def predictor(small_predictor):
    return small_predictor("sentiment")


@pytest.mark.parametrize("text", TEXTS)
def test_attributions_add_up_and_the_answer_is_the_prediction(predictor, text):
    loaded = predictor.loaded
    explanation = loaded.task.explain(loaded.model, text)
    (prediction,) = predictor(text)
    assert explanation.answer == prediction["answer"]
    assert explanation.score == pytest.approx(prediction["score"], abs=2e-5)
    numbers = explanation.numbers
    change = numbers["at_input"] - numbers["at_baseline"]
    total = sum(row["attribution"] for row in numbers["rows"])
    assert abs(total - change) <= max(0.01 * abs(change), 1e-4)
    odds = np.log(prediction["score"] / (1 - prediction["score"]))
    assert numbers["at_input"] == pytest.approx(odds, abs=1e-3)
    assert sum(row["share"] for row in numbers["rows"]) == pytest.approx(1, abs=1e-5)
    assert len(numbers["rows"]) == len(explanation.arrays["forward states"]) >= 1


def test_three_classes_and_two_layers_of_gru():
    vocabulary = SubwordVocabulary([*RESERVED, "good", "poor", "so"])
    config = Config(units=4, embedding_size=4, layers=2, cell="gru", pooling="attention")
    preprocessor = Preprocessor(vocabulary, {"down": 1, "even": 1, "up": 1}, config)
    task = Sentiment(config, preprocessor)
    model = task.network()
    model.get_layer("embedding").embeddings.assign(np.random.default_rng(0).normal(size=(vocabulary.size, 4)))
    explanation = explain(model, preprocessor, "good poor so x")
    numbers, best = explanation.numbers, preprocessor.labels.index(explanation.answer)
    total = sum(row["attribution"] for row in numbers["rows"])
    assert total == pytest.approx(numbers["at_input"] - numbers["at_baseline"], rel=0.01)
    ids, _ = preprocessor.ids(tf.constant(["good poor so x"]))
    p = task.outputs(model, {"tokens": ids.to_tensor(), "lengths": tf.constant([5]), "cut": tf.constant([False])})[
        "probabilities"
    ].numpy()[0]
    assert best == p.argmax() and numbers["at_input"] == pytest.approx(np.log(p[best] / (1 - p[best])), abs=1e-4)
    assert [row["piece"] for row in numbers["rows"]] == ["good", "poor", "so", "<0x20>", "<0x78>"]
    figure = gate_map(explanation, units=2, kinds=("states", "update"))
    assert [panel.images[0].get_array().shape for panel in figure.axes[2:6]] == [(2, 5)] * 4
    assert [key.get_ylabel() for key in figure.axes[6:]] == ["state", "gate: 0 closed, 1 open"]


def test_the_command_writes_picture_and_numbers(small_run, tmp_path, capsys, monkeypatch):
    run = small_run("sentiment")
    explanation = delivery.explain(run, TEXTS[0])
    monkeypatch.setattr(delivery, "explain", lambda *_: explanation)
    assert delivery.run(run, TEXTS[0], tmp_path / "why.png") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t")[:3] == ["piece", "attribution", "share"]
    assert Image.open(tmp_path / "why.png").format == "PNG"
    assert delivery.run(run, TEXTS[0], tmp_path / "why.png", as_json=True) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert [row["piece"] for row in numbers["rows"]] == [line.split("\t")[0] for line in lines[1:]]


def test_refusals(predictor, small_run, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="there is no folder"):
        delivery.run(small_run("sentiment"), "x", tmp_path / "no" / "x.png")
    loaded = predictor.loaded
    missed = Attribution(np.array([1.0]), 0.0, 2.0, 32)
    monkeypatch.setattr("pipelines.tasks.sentiment.explain.integrated_gradients", lambda *_, **__: missed)
    with pytest.raises(RuntimeError, match=r"miss 50\.0% of the change"):
        explain(loaded.model, loaded.preprocessor, "wonderful")

"""Predictor: every kind of collection, order kept, nothing lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines import Predictor
from pipelines.data.batching import batches
from pipelines.training.decode import COMPILED_FROM, EVALUATION_BATCH, Decoder

TEXTS = ["A wonderful film.", "", "Not good at all, ÇOK kötü.", "tab\tand\nline", "word " * 2000]


@pytest.fixture
def predictor(small_predictor: Any) -> Predictor:
    return small_predictor("sentiment")


def test_every_kind_of_collection_gives_the_same_answers(predictor: Predictor) -> None:
    expected = predictor(TEXTS)
    assert [p["input"] for p in expected] == TEXTS
    for kind in (tuple, np.array, lambda t: np.array(t, object), pd.Series, lambda t: pd.Series(t, dtype="string")):
        assert predictor(kind(TEXTS)) == expected


def test_one_text_gives_a_list_of_one(predictor: Predictor) -> None:
    assert predictor(TEXTS[0]) == predictor([TEXTS[0]]) == predictor(np.str_(TEXTS[0])) == predictor(np.array(TEXTS[0]))
    assert predictor([]) == []


def test_bytes_are_read_and_what_is_missing_is_refused(predictor: Predictor) -> None:
    assert predictor(np.array([b"good film"])) == predictor(b"good film") == predictor("good film")
    for missing in (None, float("nan")):
        with pytest.raises(ValueError, match=f"input 2: expected a text, came {type(missing).__name__}"):
            predictor(pd.Series(["good film", missing], dtype=object))


def test_batches_of_every_size_and_length_are_traced_once(predictor: Predictor) -> None:
    loaded = predictor.loaded
    assert loaded
    examples = loaded.task.parse(["good"] * (EVALUATION_BATCH + 3) + ["a film of many more words than one"] * 9)
    decoder = Decoder(loaded)
    assert len(decoder(loaded.task.encode(examples, "predict"))) == 76
    assert decoder.function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("passes", [1, COMPILED_FROM])
def test_recurrent_layers_are_compiled_where_many_batches_are_decoded(predictor: Predictor, passes: int) -> None:
    loaded = predictor.loaded
    assert loaded
    encoded = loaded.task.encode(loaded.task.parse(TEXTS), "predict")
    decoder = Decoder(loaded, passes)
    found = decoder(encoded)
    graph = decoder.function.get_concrete_function(batches(encoded, [np.arange(2)]).element_spec[0]).graph
    assert ("While" in {operation.type for operation in graph.get_operations()}) == (passes == 1)
    for one, other in zip(found, Decoder(loaded)(encoded), strict=True):
        assert one["answer"] == other["answer"] and one["score"] == pytest.approx(other["score"], abs=2e-6)


def test_probabilities_are_shares(predictor: Predictor) -> None:
    for prediction in predictor(TEXTS):
        assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert prediction["score"] == pytest.approx(max(prediction["probabilities"].values()), abs=1e-6)
        assert prediction["answer"] in prediction["probabilities"]


def test_a_stream_is_answered_in_chunks_and_in_order(predictor: Predictor) -> None:
    read: list[int] = []

    def endless() -> Iterator[str]:
        for i in range(10**9):
            read.append(i)
            yield TEXTS[i % len(TEXTS)]

    answers = []
    for prediction in predictor.stream(endless(), chunk=7):
        answers.append(prediction)
        if len(answers) == 20:
            break
    assert [p["id"] for p in answers] == [str(i) for i in range(20)]
    assert [p["input"] for p in answers] == [TEXTS[i % len(TEXTS)] for i in range(20)]
    assert len(read) == 21


def test_what_is_neither_run_nor_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such run folder"):
        Predictor(tmp_path / "nowhere")
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="was it written by export"):
        Predictor(tmp_path)

import dataclasses

import numpy as np
import pytest
import soundfile
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines.config import from_dict
from pipelines.explain.plots import png
from pipelines.tasks.speech.config import Config
from pipelines.tasks.speech.data import Preprocessor, facets, open_source
from pipelines.tasks.speech.features import mel_of
from pipelines.tasks.speech.model import Frontend
from pipelines.tasks.speech.synthetic import examples
from pipelines.tasks.speech.task import Speech

CONFIG = from_dict(Config, {"mel_bins": 20, "min_seconds": 0.15, "max_seconds": 4.0}, "test")


def tone(seconds, level=0.3):
    return (level * np.sin(2 * np.pi * 440 * np.arange(int(16000 * seconds)) / 16000)).astype(np.float32)


@pytest.fixture
def corpus(tmp_path):
    """Six recordings, of which two can be used."""
    soundfile.write(tmp_path / "good.wav", tone(1), 16000)
    soundfile.write(tmp_path / "fast.flac", np.stack([tone(1)] * 2, 1), 44100)
    soundfile.write(tmp_path / "short.wav", tone(0.1), 16000)
    soundfile.write(tmp_path / "long.wav", tone(5), 16000)
    soundfile.write(tmp_path / "silent.wav", 0 * tone(1), 16000)
    (tmp_path / "words.wav").write_text("these are words")
    names = ("good.wav", "fast.flac", "short.wav", "long.wav", "silent.wav", "words.wav", "none.wav")
    rows = "".join(f"{name},Yes NO{number},s{number}\n" for number, name in enumerate(names))
    (tmp_path / "train.csv").write_text("path,text,speaker\n" + rows)
    return tmp_path


def test_what_cannot_be_used_is_skipped_and_named(corpus):
    source = open_source(str(corpus / "train.csv"), dataclasses.replace(CONFIG, validation_share=1e-9))
    given = list(source.read("train"))
    preprocessor = Preprocessor.fit(CONFIG, given)
    encoded = Speech(CONFIG, preprocessor).encode(given, "train")
    assert [example["id"] for example in encoded.examples] == ["train:2", "train:3"]
    reasons = {sentence.split(": ")[0].rsplit(":", 1)[1]: sentence for sentence in encoded.dropped}
    words = {"4": "too short", "5": "too long", "6": "silent", "7": "not a readable recording", "8": "no such file"}
    assert reasons.keys() == words.keys()
    for line, reason in words.items():
        assert reason in reasons[line] and str(corpus / "train.csv") in reasons[line]
        seen = facets(CONFIG, given[int(line) - 2])
        assert reason in (seen.problem if line in "78" else seen.unlearned)
        assert not (seen.unlearned if line in "78" else seen.problem), "what can be heard is scored"
    assert facets(CONFIG, given[0]).problem == facets(CONFIG, given[0]).unlearned == "" and facets(
        CONFIG, given[0]
    ).texts == {"text": "yes no0"}
    spelled = preprocessor.alphabet.decode(encoded.y["tokens"][1].numpy())
    assert spelled == "yes no1"
    np.testing.assert_allclose(encoded.x["audio"][0], tone(1), atol=1e-4)
    assert encoded.x["samples"].numpy().tolist() == encoded.lengths.tolist() == [16000, 5805]


def test_what_can_be_read_is_scored(corpus):
    """However long, short or silent it is, as it would be answered; files without sound are skipped and counted."""
    source = open_source(str(corpus / "train.csv"), dataclasses.replace(CONFIG, validation_share=1e-9))
    given = list(source.read("train"))
    task = Speech(CONFIG, Speech.fit(CONFIG, given))
    scored, answered = (task.encode(given, mode) for mode in ("score", "predict"))
    assert [example["speaker"] for example in scored.examples] == [f"s{number}" for number in range(5)]
    assert scored.lengths.tolist() == answered.lengths.tolist()[:5] and scored.lengths.max() == 5 * 16000
    assert not any("error" in example for example in scored.examples)
    assert [sentence.split(": ")[0].rsplit(":", 1)[1] for sentence in scored.dropped] == ["7", "8"]


def test_transcripts_that_do_not_fit_are_named():
    example = {"where": "x:1", "audio": tone(0.3), "text": "a very long sentence in no time at all"}
    assert "needs 39 steps, the recording has 7" in facets(CONFIG, example).unlearned
    assert "no letters" in facets(CONFIG, example | {"text": " ?! "}).unlearned


def test_what_ctc_cannot_spell_is_learnt_by_nobody_and_scored_all_the_same():
    given = [
        {"id": "0", "where": "x:1", "audio": tone(0.3), "text": "a very long sentence in no time at all"},
        {"id": "1", "where": "x:2", "audio": tone(1.0), "text": "?!"},
        {"id": "2", "where": "x:3", "audio": tone(1.0), "text": "a sentence"},
    ]
    task = Speech(CONFIG, Speech.fit(CONFIG, given))
    learnt, scored = (task.encode(given, mode) for mode in ("train", "score"))
    assert [example["id"] for example in learnt.examples] == ["2"] and len(learnt.x["audio"].to_list()) == 1
    assert learnt.y["count"].numpy().tolist() == [10] and learnt.lengths.tolist() == [16000]
    assert "x:1: the transcript needs 39 steps, the recording has 7" in learnt.dropped[0]
    assert learnt.dropped[1] == "x:2: the transcript holds no letters"
    assert len(scored) == 3 and not scored.dropped


def test_an_export_hears_what_its_run_does():
    sound = np.random.default_rng(0).normal(size=4000)
    (example,) = Speech.parse([sound])
    inputs = Speech.serving_inputs([example], {"rate": 22050})
    np.testing.assert_allclose(inputs["waveform"][0], sound, rtol=1e-6)
    assert inputs["rate"].numpy().tolist() == [22050]
    config = dataclasses.replace(CONFIG, rate=8000)
    assert Speech(config, Speech.fit(config, examples("train", 2))).card()["rate"] == 8000


def test_statistics_are_those_of_the_training_features(tmp_path):
    config = dataclasses.replace(CONFIG, normalisation="statistics")
    given = [example | {"where": "x"} for example in examples("train", 6)]
    preprocessor = Preprocessor.fit(config, given)
    preprocessor.save(tmp_path)
    again = Preprocessor.load(config, tmp_path)
    assert again.alphabet.symbols == preprocessor.alphabet.symbols
    rows = []
    for example in given:
        sound = example["audio"][None]
        features, _ = Frontend(mel_of(config), again.statistics)(sound, np.array([sound.shape[1]], np.int32))
        rows.append(features[0])
    joined = np.concatenate(rows)
    np.testing.assert_allclose(joined.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(joined.std(0), 1, atol=1e-3)


def test_an_explanation_is_the_answer_with_its_reasons(small_predictor):
    loaded = small_predictor("speech").loaded
    sound = next(examples("test", 1))["audio"]
    explanation = loaded.task.explain(loaded.model, sound)
    assert explanation.answer == " ".join(row["word"] for row in explanation.numbers["rows"])
    np.testing.assert_allclose(explanation.arrays["posteriors"].sum(1), 1, atol=1e-5)
    assert png(explanation.picture).startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no such file"):
        loaded.task.explain(loaded.model, "missing.wav")


def stored(folder, name, splits, **audio):
    """A data set as tensorflow-datasets prepares LibriSpeech, of one recording a split."""
    features = {
        "speech": tfds.features.Audio(dtype=np.int64, **audio),
        "text": tfds.features.Text(),
        "speaker_id": np.int64,
    }
    rows = {"speech": [(tone(1.0) * 32767).astype(np.int64)], "text": ["YES"], "speaker_id": [19]}
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        data_dir=folder,
        split_datasets={split: tf.data.Dataset.from_tensor_slices(rows) for split in splits},
        features=tfds.features.FeaturesDict(features),
        disable_shuffling=True,
    )


def test_named_data_sets_are_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    stored(tmp_path, "our_speech", ["train_clean100", "train_other500", "dev_clean"], sample_rate=16000)
    source = open_source("tfds:our_speech", CONFIG)
    given = list(source.read("train"))
    assert len(given) == 2 and len(list(source.read("validation"))) == 1
    assert given[0]["rate"] == 16000 and (given[0]["text"], given[0]["speaker"]) == ("YES", "19")
    encoded = Speech(CONFIG, Speech.fit(CONFIG, given)).encode(given)
    np.testing.assert_allclose(encoded.x["audio"][0], tone(1.0), atol=1e-4)
    stored(tmp_path, "of_no_rate", ["train"])
    with pytest.raises(ValueError, match="tfds:of_no_rate: does not say at which rate"):
        open_source("tfds:of_no_rate", CONFIG)

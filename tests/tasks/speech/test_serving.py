import dataclasses
import io
import itertools
import math

import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf

from models.recurrent.kernels import portable
from pipelines import Predictor
from pipelines.config import from_dict
from pipelines.export.saved_model import operations
from pipelines.search.fusion import prefix_beam
from pipelines.tasks.speech import task as speech
from pipelines.tasks.speech.config import Config, streaming
from pipelines.tasks.speech.data import Preprocessor, encode
from pipelines.tasks.speech.stream import Streamer
from pipelines.tasks.speech.synthetic import examples
from pipelines.tasks.speech.text import Alphabet

SMALL = {"rate": 8000, "bands": 20, "filters": 3, "units": 16, "layers": 1, "seed": 4}


@pytest.fixture(scope="module")
def made():
    """A random network whose answers hold every symbol."""
    alphabet = Alphabet(["", " ", *"abcde"])
    config = from_dict(Config, streaming() | SMALL, "test")
    statistics = np.full(20, -8, np.float32), np.full(20, 4, np.float32)
    preprocessor = Preprocessor(alphabet, statistics, config.rate)
    model = speech.build(config, preprocessor)
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    sound = np.concatenate([example["audio"] for example in examples("test", 3, rate=8000)])
    head = model.get_layer("recogniser").get_layer("logits")
    outputs = model({"audio": sound[None], "samples": np.array([len(sound)], np.int32)})
    head.bias.assign(head.bias - tf.reduce_mean(outputs["logits"], [0, 1]))
    return model, preprocessor, config, speech.serving(model, preprocessor, config)


def recordings():
    sounds = [example["audio"] for example in examples("test", 4, seed=2, rate=8000)]
    return [*sounds, np.zeros(0, np.float32), sounds[0][:50]]


def padded(sounds):
    samples = np.array([len(sound) for sound in sounds], np.int32)
    waveform = np.zeros((len(sounds), samples.max()), np.float32)
    for row, sound in enumerate(sounds):
        waveform[row, : len(sound)] = sound
    return tf.constant(waveform), tf.constant(samples)


def test_words_and_times_are_those_of_the_answer(made):
    model, preprocessor, config, serving = made
    sounds = recordings()
    waveform, samples = padded(sounds)
    served = {k: v.numpy() for k, v in serving(waveform, samples, np.full(len(sounds), 8000, np.int32)).items()}
    given = [{"id": str(i), "where": "test", "audio": sound} for i, sound in enumerate(sounds)]
    encoded = encode(preprocessor, config, given, labelled=False)
    outputs = speech.decode(model, config, {"audio": waveform, "samples": samples})
    for row, example in enumerate(encoded.examples):
        one = {name: value[row].numpy() for name, value in outputs.items()}
        answer = speech.answer(preprocessor, config, example, one)
        assert served["text"][row].decode() == answer["answer"]
        words = [word for word in served["words"][row].tolist() if word]
        assert [word.decode() for word in words] == [word["word"] for word in answer["words"]]
        for place, word in enumerate(answer["words"]):
            found = [served[name][row, place] for name in ("start", "end", "confidence")]
            np.testing.assert_allclose(found, [word[name] for name in ("start", "end", "confidence")], atol=1e-3)
        assert not served["end"][row, len(words) :].any()
    assert sum(len(text.split()) for text in served["text"].tolist()) > 3
    assert served["text"][4] == b"" and served["score"][4] == 0 and encoded.examples[4]["error"]


def test_another_rate_is_resampled_row_by_row(made):
    *_, serving = made
    sounds = recordings()[:2]
    double = next(examples("test", 1, seed=2, rate=16000))["audio"]
    mixed, samples = padded([double, sounds[1]])
    served = serving(mixed, samples, np.array([16000, 8000], np.int32))
    plain = serving(*padded(sounds), np.array([8000, 8000], np.int32))
    assert served["text"][1] == plain["text"][1]
    down = tf.constant(serving._at_own_rate(mixed, samples, np.array([16000, 8000], np.int32))[0])
    np.testing.assert_allclose(down[1, : len(sounds[1])], sounds[1])
    expected = soxr.resample(double, 16000, 8000)
    far = np.array(down[0, : len(expected)]) - expected
    assert np.linalg.norm(far) < 0.03 * np.linalg.norm(expected), "beyond how the two filters differ"
    alone = serving(down[:1], (samples[:1] + 1) // 2, np.array([8000], np.int32))
    assert alone["text"][0] == served["text"][0]


@pytest.mark.slow
def test_a_saved_model_takes_files_and_streams(made, tmp_path):
    model, preprocessor, config, serving = made
    with portable():
        function = tf.function(serving.__call__, input_signature=serving.signature)
        signatures = {"serving_default": function.get_concrete_function(), **serving.further()}
        tf.saved_model.save(serving, str(tmp_path), signatures=signatures)
    assert not [op for op in operations(tmp_path) if op.startswith(("Cudnn", "PyFunc", "EagerPyFunc", "Xla"))]
    loaded = tf.saved_model.load(str(tmp_path))
    sounds = recordings()[:2]
    files = []
    for sound in sounds:
        file = io.BytesIO()
        soundfile.write(file, sound, 8000, subtype="FLOAT", format="WAV")
        files.append(file.getvalue())
    answers = loaded.signatures["wav"](wav=tf.constant([files[0], b"no sound", files[1]]))
    expected = serving(*padded(sounds), np.array([8000, 8000], np.int32))["text"].numpy().tolist()
    assert answers["text"].numpy().tolist() == [expected[0], b"", expected[1]]
    assert answers["problem"].numpy().tolist() == [b"", b"not a WAV file", b""]
    state, path = Streamer(model, config).start(), []
    for start in range(0, len(sounds[0]) + 1000, 1000):
        chunk = sounds[0][None, start : start + 1000]
        state = loaded.signatures["stream"](
            sound=tf.constant(chunk), final=tf.constant(start + 1000 > len(sounds[0])), **state
        )
        logits, steps = state.pop("logits"), int(state.pop("steps")[0])
        path += logits.numpy()[0, :steps].argmax(-1).tolist()
    kept = [symbol for symbol, _ in itertools.groupby(path) if symbol]
    assert preprocessor.alphabet.decode(kept) == expected[0].decode()


def test_a_broken_recording_is_answered_by_its_reason(small_run, small_export, tmp_path):
    (tmp_path / "words.wav").write_text("no sound at all")
    good = next(examples("test", 1))["audio"]
    soundfile.write(tmp_path / "good.flac", good, 16000)
    inputs = [str(tmp_path / "words.wav"), str(tmp_path / "good.flac"), tmp_path / "none.wav", np.array([np.nan])]
    predictor = Predictor(small_run("speech"))
    answers = predictor(inputs)
    assert [answer["input"] for answer in answers[:2]] == [str(tmp_path / "words.wav"), str(tmp_path / "good.flac")]
    assert ["error" in answer for answer in answers] == [True, False, True, True]
    assert "not a readable recording" in answers[0]["error"] and "no such file" in answers[2]["error"]
    assert answers[1]["score"] > 0 and answers[0]["answer"] == ""
    from_export = Predictor(small_export("speech"))(inputs)
    for one, other in zip(answers, from_export, strict=True):
        assert (one["answer"], one.get("error")) == (other["answer"], other.get("error"))
    with pytest.raises(ValueError, match="input 1: expected a path, bytes, or an array"):
        predictor([3])


def test_an_explanation_is_of_what_the_beam_finds(made):
    model, preprocessor, config, _ = made
    wide, differ = dataclasses.replace(config, beam_width=8), 0
    for sound in recordings()[:4]:
        outputs = model({"audio": sound[None], "samples": np.array([len(sound)], np.int32)})
        steps = int(outputs["steps"][0])
        best = prefix_beam(tf.nn.log_softmax(outputs["logits"])[0, :steps].numpy(), width=8, unlikely=-math.inf)[0]
        found = speech.explain(model, preprocessor, wide, sound)
        assert found.answer == preprocessor.alphabet.decode(best.tokens)
        assert found.score == pytest.approx(math.exp(best.acoustic / steps), rel=1e-3)
        assert " ".join(row["word"] for row in found.numbers["rows"]) == " ".join(found.answer.split())
        differ += found.answer != speech.explain(model, preprocessor, config, sound).answer
    assert differ, "the best path finds the same here"

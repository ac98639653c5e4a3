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
from pipelines.tasks.speech.config import Config, streaming
from pipelines.tasks.speech.data import Preprocessor
from pipelines.tasks.speech.serving import at_own_rate, further_signatures
from pipelines.tasks.speech.stream import Streamer
from pipelines.tasks.speech.synthetic import examples
from pipelines.tasks.speech.task import Speech
from pipelines.tasks.speech.text import Alphabet

SMALL = {"rate": 8000, "mel_bins": 20, "filters": 3, "units": 16, "layers": 1, "seed": 4}


@pytest.fixture(scope="module")
def made():
    """A random network whose answers hold every symbol."""
    alphabet = Alphabet(["", " ", *"abcde"])
    config = from_dict(Config, streaming() | SMALL, "test")
    statistics = np.full(20, -8, np.float32), np.full(20, 4, np.float32)
    preprocessor = Preprocessor(alphabet, statistics, config.rate)
    task = Speech(config, preprocessor)
    model = task.network()
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    sound = np.concatenate([example["audio"] for example in examples("test", 3, rate=8000)])
    head = model.get_layer("recogniser").get_layer("logits")
    outputs = model({"audio": sound[None], "samples": np.array([len(sound)], np.int32)})
    head.bias.assign(head.bias - tf.reduce_mean(outputs["logits"], [0, 1]))
    return model, task, task.serving(model)


def recordings():
    sounds = [example["audio"] for example in examples("test", 4, seed=2, rate=8000)]
    return [*sounds, np.zeros(0, np.float32), sounds[0][:50]]


def padded(sounds, rate=8000):
    samples = np.array([len(sound) for sound in sounds], np.int32)
    waveform = np.zeros((len(sounds), samples.max()), np.float32)
    for row, sound in enumerate(sounds):
        waveform[row, : len(sound)] = sound
    return {"waveform": tf.constant(waveform), "samples": tf.constant(samples), "rate": tf.fill([len(sounds)], rate)}


def test_words_and_times_are_those_of_the_answer(made):
    model, task, serving = made
    sounds = recordings()
    batch = padded(sounds)
    served = {k: v.numpy() for k, v in serving(**batch).items()}
    given = [{"id": str(i), "where": "test", "audio": sound} for i, sound in enumerate(sounds)]
    encoded = task.encode(given, "predict")
    outputs = task.outputs(model, {"audio": batch["waveform"], "samples": batch["samples"]})
    for row, example in enumerate(encoded.examples):
        one = {name: value[row].numpy() for name, value in outputs.items()}
        answer = task.answer(task.card(), example, one)
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
    mixed = padded([double, sounds[1]]) | {"rate": tf.constant([16000, 8000])}
    served, plain = serving(**mixed), serving(**padded(sounds))
    assert served["text"][1] == plain["text"][1]
    down = tf.constant(at_own_rate(**mixed, own=8000)[0])
    np.testing.assert_allclose(down[1, : len(sounds[1])], sounds[1])
    expected = soxr.resample(double, 16000, 8000)
    far = np.array(down[0, : len(expected)]) - expected
    assert np.linalg.norm(far) < 0.03 * np.linalg.norm(expected), "beyond how the two filters differ"
    alone = serving(waveform=down[:1], samples=(mixed["samples"][:1] + 1) // 2, rate=tf.constant([8000]))
    assert alone["text"][0] == served["text"][0]


@pytest.mark.slow
def test_a_saved_model_takes_files_and_streams(made, tmp_path):
    model, task, serving = made
    with portable():
        further = further_signatures(serving, model, task.config)
        signatures = {"serving_default": serving.concrete(), **further}
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
    expected = serving(**padded(sounds))["text"].numpy().tolist()
    assert answers["text"].numpy().tolist() == [expected[0], b"", expected[1]]
    assert answers["problem"].numpy().tolist() == [b"", b"not a WAV file", b""]
    state, path = Streamer(model, task.config).start(), []
    for start in range(0, len(sounds[0]) + 1000, 1000):
        chunk = sounds[0][None, start : start + 1000]
        state = loaded.signatures["stream"](
            sound=tf.constant(chunk), final=tf.constant(start + 1000 > len(sounds[0])), **state
        )
        logits, steps = state.pop("logits"), int(state.pop("steps")[0])
        path += logits.numpy()[0, :steps].argmax(-1).tolist()
    kept = [symbol for symbol, _ in itertools.groupby(path) if symbol]
    assert task.preprocessor.alphabet.decode(kept) == expected[0].decode()


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
    model, task, _ = made
    wide, differ = Speech(dataclasses.replace(task.config, beam_width=8), task.preprocessor), 0
    for sound in recordings()[:4]:
        outputs = model({"audio": sound[None], "samples": np.array([len(sound)], np.int32)})
        steps = int(outputs["steps"][0])
        best = prefix_beam(tf.nn.log_softmax(outputs["logits"])[0, :steps].numpy(), width=8, unlikely=-math.inf)[0]
        found = wide.explain(model, sound)
        assert found.answer == task.preprocessor.alphabet.decode(best.tokens)
        assert found.score == pytest.approx(math.exp(best.acoustic / steps), rel=1e-3)
        assert " ".join(row["word"] for row in found.numbers["rows"]) == " ".join(found.answer.split())
        differ += found.answer != task.explain(model, sound).answer
    assert differ, "the best path finds the same here"

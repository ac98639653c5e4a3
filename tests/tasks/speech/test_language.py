import asyncio
import json
import shutil

import numpy as np
import pytest
import soundfile

from pipelines import Predictor, evaluate, load_settings
from pipelines.__main__ import main
from pipelines.runs.folder import CONFIG, Run, create
from pipelines.runs.load import load_run
from pipelines.search.fusion import WordFusion, prefix_beam
from pipelines.search.ngram import characters, estimate, load, save, words
from pipelines.serve import server as serve
from pipelines.serve.limits import Limits
from pipelines.tasks.speech import decode as speech_fusion
from pipelines.tasks.speech.synthetic import examples
from pipelines.training.encode import encode_split


@pytest.fixture
def few(first):
    """Runs open six examples of each split: a beam with a language model is searched in Python."""
    first(6)


def told(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_answers_are_those_of_the_search_with_the_weights_that_validation_chose(
    small_run, small_predictor, few, tmp_path, monkeypatch
):
    monkeypatch.setattr(speech_fusion, "ALPHAS", (0.4, 0.9))
    monkeypatch.setattr(speech_fusion, "BETAS", (0.5,))
    run = small_run("speech")
    record = evaluate(run, out=tmp_path, lm="train", lm_order=2, beam_width=4)
    assert record["decode"].startswith("CTC prefix beam 4 with a 2-gram of words (train), alpha ")
    alpha = float(record["decode"].split("alpha ")[1].split(",")[0])
    loaded = small_predictor("speech").loaded
    source = loaded.open_source()
    model = estimate([words(example["text"]) for example in source.read("train")], 2)
    symbols = loaded.preprocessor.alphabet.symbols
    fusion = WordFusion(model, symbols, alpha, 0.5)
    encoded = encode_split(loaded.task, source, "test")
    network = speech_fusion.Network(loaded.model, loaded.config, loaded.preprocessor.alphabet, 0)
    values = network.log_probabilities(encoded)
    best = [prefix_beam(one, fusion, 4, speech_fusion.UNLIKELY)[0] for one in values]
    for prediction, hypothesis, frames in zip(told(tmp_path), best, values, strict=True):
        assert prediction["answer"] == loaded.preprocessor.alphabet.decode(hypothesis.tokens)
        assert prediction["score"] == pytest.approx(np.exp(hypothesis.acoustic / len(frames)), abs=1e-4)
        assert " ".join(word["word"] for word in prediction["words"]) == prediction["answer"]
        assert prediction["alternatives"][0]["answer"] == prediction["answer"]
        starts = [word["start"] for word in prediction["words"]]
        assert starts == sorted(starts)


@pytest.mark.slow
def test_a_model_with_hardly_any_weight_changes_nothing(small_run, few, tmp_path):
    run, width = small_run("speech"), 200  # so wide that what the two searches pass over in a flat network is not best
    evaluate(run, out=tmp_path / "without", beam_width=width)
    evaluate(run, out=tmp_path / "with", beam_width=width, lm="train", lm_weight=1e-9, lm_insertion_bonus=0.0)
    without, fused = told(tmp_path / "without"), told(tmp_path / "with")
    assert [p["answer"] for p in fused] == [p["answer"] for p in without]
    np.testing.assert_allclose([p["score"] for p in fused], [p["score"] for p in without], atol=3e-3)


@pytest.mark.slow
def test_prediction_answers_as_evaluation_also_where_nothing_is_heard(small_run, few, tmp_path, capsys):
    run = small_run("speech")
    sounds = [example["audio"] for example in load_run(run).open_source().read("test")]
    path = tmp_path / "letters.arpa"
    save(estimate([characters("one two"), characters("three")], 3), path)
    chosen = {"lm": str(path), "lm_weight": 0.3, "lm_insertion_bonus": 0.2}
    record = evaluate(run, out=tmp_path, **chosen)
    assert "3-gram of characters (letters.arpa), alpha 0.3, beta 0.2" in record["decode"]
    answers = Predictor(run, **chosen)([*sounds, np.zeros(0, np.float32), "missing.wav"])
    assert [a["answer"] for a in answers] == [*(p["answer"] for p in told(tmp_path)), "", ""]
    assert answers[-1]["score"] == 0 and "no such file" in answers[-1]["error"]
    Predictor(run, lm=str(path))
    assert "weight 0.5, bonus 1" in capsys.readouterr().err


def test_a_model_is_made_from_the_transcripts_of_a_run(small_run, small_predictor, tmp_path, capsys):
    run = small_run("speech")
    assert main(["lm", str(run), "--order", "2", "--out", str(tmp_path / "lm.arpa")]) == 0
    spoken = [words(example["text"]) for example in small_predictor("speech").loaded.open_source().read("train")]
    model, expected = load(tmp_path / "lm.arpa"), estimate(spoken, 2)
    assert model.sentence(spoken[0]) == pytest.approx(expected.sentence(spoken[0]), abs=1e-4)
    create(tmp_path / "other", "sentiment", load_settings("sentiment").Config(), {"spec": "synthetic"})
    assert main(["lm", str(tmp_path / "other"), "--out", str(tmp_path / "no.arpa")]) == 2
    assert "is a sentiment run" in capsys.readouterr().err
    assert main(["lm", str(tmp_path), "--out", str(tmp_path / "no.arpa")]) == 2
    assert main(["evaluate", str(tmp_path / "other"), "--lm", "train"]) == 2
    assert "unknown argument --lm" in capsys.readouterr().err
    assert not (tmp_path / "no.arpa").exists()


def test_wrong_requests_are_one_sentence(small_run, tmp_path, capsys):
    run = str(small_run("speech"))
    save(estimate([words("ONE TWO")], 2), tmp_path / "upper.arpa")
    (tmp_path / "noise.arpa").write_bytes(b"\xff\xfe")
    for arguments, sentence in (
        (["--lm", str(tmp_path / "none.arpa")], "none.arpa: there is no such file"),
        (["--lm", str(tmp_path / "noise.arpa")], "noise.arpa: incomplete ARPA file"),
        (["--lm", str(tmp_path / "upper.arpa")], "is written as the run writes transcripts"),
        (["--lm", "train", "--lm-weight", "-1"], "--lm-weight: input should be greater than or equal to 0"),
        (["--lm", "train", "--lm-wieght", "1"], "did you mean --lm-weight?"),
    ):
        assert main(["evaluate", run, *arguments]) == 2
        assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert main(["predict", run, "x.wav", "--lm", str(tmp_path / "noise.arpa")]) == 2
    assert main(["export", run, "--lm", "train", "--out", str(tmp_path / "export")]) == 2
    assert "decodes without a language model" in capsys.readouterr().err


@pytest.fixture
def wav(tmp_path):
    soundfile.write(tmp_path / "said.wav", next(examples("test", 1))["audio"], 16000)
    return tmp_path / "said.wav"


def test_an_explanation_is_of_the_transcript_that_is_predicted(small_run, small_predictor, wav, tmp_path, capsys):
    run = small_run("speech")
    path = tmp_path / "letters.arpa"
    save(estimate([characters("one two"), characters("three")], 3), path)
    fused = {"lm": str(path), "lm_weight": 0.3, "lm_insertion_bonus": 4.0}
    answers = []
    for chosen in ({}, {"beam_width": 8}, fused):
        flags = [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        assert main(["explain", str(run), str(wav), "--out", str(tmp_path / "why.png"), "--json", *flags]) == 0
        drawn = json.loads(capsys.readouterr().out)
        (predicted,) = (Predictor(run, **chosen) if chosen else small_predictor("speech"))([wav])
        assert drawn["answer"] == predicted["answer"]
        assert drawn["score"] == pytest.approx(predicted["score"], abs=1e-4)
        assert [row["word"] for row in drawn["rows"]] == [word["word"] for word in predicted["words"]]
        answers.append(drawn["answer"])
    assert answers[2] and answers[2] != answers[0], "the bonus of each letter makes it write more"


def test_a_run_with_a_language_model_is_served_without_it(small_run, small_predictor, wav, tmp_path, capsys):
    run = Run(shutil.copytree(small_run("speech"), tmp_path / "fused"))
    record = run.read_json(CONFIG)
    run.write_json(CONFIG, record | {"config": record["config"] | {"lm": "train"}})
    models = serve._models([("", run.path)], None, Limits())
    assert f"{run.path}: answers without its language model (train)" in capsys.readouterr().err
    _, batcher = models["speech"]
    (answer,) = asyncio.run(batcher.ask([wav.read_bytes()]))
    (expected,) = small_predictor("speech")([wav])
    assert answer["answer"] == expected["answer"] and answer["score"] == pytest.approx(expected["score"], abs=1e-4)
    batcher.close()
    with pytest.raises(ValueError, match="--encoder-weights x: none of the runs has a frozen network"):
        serve._models([("", run.path)], "x", Limits())


def test_a_model_is_made_from_a_fetched_set_that_the_run_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "an4").mkdir(parents=True)
    rows = [f"{number}.wav,{text}\n" for number, text in enumerate(["one two", "two two", "three"] * 20)]
    (tmp_path / "data" / "an4" / "train.csv").write_text("path,text\n" + "".join(rows))
    create(tmp_path / "run", "speech", load_settings("speech").Config(), {"spec": "an4"})
    assert main(["lm", "run", "--order", "1", "--out", "lm.arpa"]) == 0
    assert "\ttwo" in (tmp_path / "lm.arpa").read_text()

"""Frozen features: the right numbers, computed once, kept in parts, resumed after a kill, never mistaken."""

import io
import json
import os
import resource
import socket
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.data.images import features
from pipelines.data.images.network import PictureNetwork, names
from pipelines.data.images.pixels import OK, UNREADABLE, decode

SIZE = 64


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(pixels).resize((80, 70)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def network() -> PictureNetwork:
    return PictureNetwork("MobileNet", "none", SIZE)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Small parts, and a list of how many pictures each call of `compute` saw."""
    monkeypatch.setattr(features, "PART", 3)
    calls: list[int] = []
    original = features.compute

    def compute(network: PictureNetwork, contents: list[bytes], mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
        calls.append(len(contents))
        return original(network, contents, mirrored)

    monkeypatch.setattr(features, "compute", compute)
    return calls


def test_equals_keras_applications(network: PictureNetwork) -> None:
    """Against the network as Keras's own documentation uses it."""
    contents = [png(0), png(1)]
    pixels, _ = decode(tf.constant(contents), SIZE)
    model = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3))
    model.set_weights(network.model.get_weights())
    expected = model.predict(keras.applications.mobilenet.preprocess_input(pixels.numpy().astype("float32")), verbose=0)
    found, status = features.compute(network, contents)
    assert found.shape == (2, 4, 1024) == (2, network.cells, network.features) and status.tolist() == [OK, OK]
    np.testing.assert_allclose(found, expected.reshape(2, 4, 1024), rtol=2e-3, atol=1e-3)
    assert np.std(expected) > 0.01 and np.abs(found[0] - found[1]).max() > 0.01


def test_computed_once_and_in_order(network: PictureNetwork, counted: list[int], tmp_path: Path) -> None:
    pictures = [png(i) for i in range(7)]
    first, _ = features.load(network, pictures, tmp_path)
    assert counted == [3, 3, 1]
    again, status = features.load(network, [*pictures[::-1], png(2)], tmp_path)
    assert counted == [3, 3, 1] and not status.any()
    np.testing.assert_array_equal(again, np.concatenate([first[::-1], first[2:3]]))
    more, _ = features.load(network, [png(9), pictures[4]], tmp_path)
    assert counted == [3, 3, 1, 1]
    np.testing.assert_array_equal(more[1], first[4])


def test_paths_and_bytes_are_the_same_picture(network: PictureNetwork, counted: list[int], tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(png(0))
    features.load(network, [png(0)], tmp_path / "cache")
    features.load(network, [str(tmp_path / "a.jpg"), tmp_path / "a.jpg"], tmp_path / "cache")
    assert counted == [1]


def test_unusable_pictures_leave_no_row(network: PictureNetwork, counted: list[int], tmp_path: Path) -> None:
    pictures = [png(0), b"junk", png(1), "gone.jpg", png(1)[:-30]]
    found, status = features.load(network, pictures, tmp_path)
    assert status.tolist() == [OK, UNREADABLE, OK, UNREADABLE, UNREADABLE]
    np.testing.assert_array_equal(found, features.load(network, [png(0), png(1)], tmp_path)[0])
    nothing, status = features.load(network, [b"junk"], tmp_path)
    assert len(nothing) == 0 and status.tolist() == [UNREADABLE]


def test_nothing_is_kept_without_a_folder(network: PictureNetwork, counted: list[int], tmp_path: Path) -> None:
    pictures = [png(0), b"junk", png(1)]
    found, status = features.load(network, pictures, None)
    kept, same = features.load(network, pictures, tmp_path)
    np.testing.assert_array_equal(found, kept)
    assert status.tolist() == same.tolist() == [OK, UNREADABLE, OK]


def test_resumes_after_a_kill(
    network: PictureNetwork, counted: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [png(i) for i in range(8)]
    compute = features.compute

    def killed(network: PictureNetwork, contents: list[bytes], mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
        if len(counted) == 2:
            raise KeyboardInterrupt
        return compute(network, contents, mirrored)

    with monkeypatch.context() as patch:
        patch.setattr(features, "compute", killed)
        with pytest.raises(KeyboardInterrupt):
            features.load(network, pictures, tmp_path)
    folder = features.folder_of(network, tmp_path)
    (folder / ("0" * 24 + ".npy")).write_bytes(b"a part whose index was never written")
    resumed, _ = features.load(network, pictures, tmp_path)
    assert counted == [3, 3, 2]
    np.testing.assert_array_equal(resumed, features.load(network, pictures, tmp_path / "fresh")[0])
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("damage", ["cut", "index", "shape"])
def test_a_damaged_part_is_computed_again(
    network: PictureNetwork, counted: list[int], tmp_path: Path, damage: str
) -> None:
    pictures = [png(i) for i in range(2)]
    good, _ = features.load(network, pictures, tmp_path)
    folder = features.folder_of(network, tmp_path)
    (part,) = folder.glob("*.npy")
    if damage == "cut":
        part.write_bytes(part.read_bytes()[:-100])
    elif damage == "index":
        part.with_suffix(".json").write_text("[")
    else:
        np.save(part, np.zeros((2, 1, 1), np.float16))
    np.testing.assert_array_equal(features.load(network, pictures, tmp_path)[0], good)
    assert counted == [2, 2]


def test_an_index_is_read_once(
    network: PictureNetwork, counted: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many calls look pictures up, and whoever wrote its part; parts that another process adds are found."""
    read: list[str] = []
    original = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, *args: read.append(path.name) or original(path, *args))
    pictures = [png(i) for i in range(9)]
    expected = np.concatenate([features.load(network, pictures[i : i + 3], tmp_path)[0] for i in (0, 3, 6)])
    for _ in range(2):
        found, _ = features.load(network, pictures, tmp_path)
        np.testing.assert_array_equal(found, expected)
    assert len(read) == 3 and counted == [3, 3, 3]
    folder = features.folder_of(network, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    features.load(network, [png(20)], tmp_path / "elsewhere")
    for path in features.folder_of(network, tmp_path / "elsewhere").iterdir():
        path.replace(folder / path.name)
    features.load(network, [*pictures, png(20)], tmp_path)
    assert counted == [3, 3, 3, 1] and len(read) == 5
    for part in folder.glob("*.npy"):
        part.unlink()
    np.testing.assert_array_equal(features.load(network, pictures, tmp_path)[0], expected)
    assert counted == [3, 3, 3, 1, 3, 3, 3]


def test_more_parts_than_files_may_be_open(
    network: PictureNetwork, counted: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "PART", 1)
    pictures = [png(i) for i in range(30)]
    expected, _ = features.load(network, pictures, tmp_path)
    monkeypatch.setattr(features, "_KEPT", {})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = set(map(int, os.listdir("/proc/self/fd")))
    twelfth = [number for number in range(len(taken) + 12) if number not in taken][11]
    resource.setrlimit(resource.RLIMIT_NOFILE, (twelfth, hard))
    try:
        found, _ = features.load(network, pictures, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    np.testing.assert_array_equal(found, expected)
    assert counted == [1] * 30


def test_mirrored_features_are_those_of_the_mirrored_picture(network: PictureNetwork, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(5).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    Image.fromarray(pixels[:, ::-1]).save(buffer, "PNG")
    plain = io.BytesIO()
    Image.fromarray(pixels).save(plain, "PNG")
    expected, _ = features.compute(network, [buffer.getvalue()])
    straight, _ = features.load(network, [plain.getvalue()], tmp_path)
    for _ in range(2):  # computed, then read back
        found, _ = features.load(network, [plain.getvalue()], tmp_path, mirrored=True)
        np.testing.assert_array_equal(found, expected)
    assert np.abs(straight - expected).max() > 0.01


def test_another_network_has_its_own_features(network: PictureNetwork, tmp_path: Path) -> None:
    other_layer = PictureNetwork("MobileNet", "none", SIZE, "conv_pw_11_relu")
    assert (other_layer.cells, other_layer.features) == (16, 512)
    assert other_layer.sha256 == network.sha256  # untrained weights are always the same
    other_weights = PictureNetwork("MobileNet", "none", SIZE)
    other_weights.sha256 = "0" * 64
    folders = {features.folder_of(n, tmp_path) for n in (network, other_layer, other_weights)}
    assert len(folders) == 3
    features.load(network, [png(0)], tmp_path)
    record = json.loads((features.folder_of(network, tmp_path) / "network.json").read_text())
    assert record == network.record() and record["weights_sha256"] == network.sha256


def test_weights_file(network: PictureNetwork, tmp_path: Path) -> None:
    file = tmp_path / "mine.weights.h5"
    network.model.save_weights(file)
    assert PictureNetwork("MobileNet", str(file), SIZE).sha256 == network.sha256
    with pytest.raises(ValueError, match=r"mine\.weights\.h5: are no weights of MobileNetV2"):
        PictureNetwork("MobileNetV2", str(file), SIZE)
    file.write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"mine\.weights\.h5: are no weights of MobileNet"):
        PictureNetwork("MobileNet", str(file), SIZE)


def test_wrong_requests(tmp_path: Path) -> None:
    assert {"MobileNetV2", "ResNet50", "EfficientNetB0"} <= set(names())
    with pytest.raises(ValueError, match=r"no such network \(did you mean MobileNetV2\?\)"):
        PictureNetwork("mobilenetV2")
    with pytest.raises(ValueError, match=r"gone\.h5: there is no such file"):
        PictureNetwork("MobileNet", str(tmp_path / "gone.h5"))
    with pytest.raises(ValueError, match=r"no such layer with a grid as output \(did you mean conv_pw_11_relu\?\)"):
        PictureNetwork("MobileNet", "none", SIZE, "conv_pw_11_rel")


def test_offline_without_a_file_fails_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror("no network in tests")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(tmp_path), raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = socket.getdefaulttimeout()
    with pytest.raises(ValueError, match=r"weights of MobileNet are not in Keras's cache .* --encoder-weights FILE"):
        PictureNetwork("MobileNet", "", 224)
    assert socket.getdefaulttimeout() == before


def test_precision_of_the_decoder_does_not_matter(network: PictureNetwork) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        other = PictureNetwork("MobileNet", "none", SIZE)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(features.compute(other, [png(0)])[0], features.compute(network, [png(0)])[0])


def test_a_full_disk_is_one_sentence(network: PictureNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features.np, "save", full)
    with pytest.raises(RuntimeError, match="cannot be kept: No space left on device"):
        features.load(network, [png(0)], tmp_path)

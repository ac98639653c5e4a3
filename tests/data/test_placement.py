"""Encoded examples lie in the memory of the machine, also where tensors usually go to a GPU."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TWO_DEVICES = """
import io
import numpy as np
import tensorflow as tf
from PIL import Image

two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)

from pathlib import Path
from pipelines.tasks.captioning.task import Captioning
from pipelines.tasks.captioning.config import PRESETS, Config
from pipelines.data import storage
from pipelines.data.batching import Encoded

config = Config(**PRESETS["tiny"]())
file = io.BytesIO()
Image.new("RGB", (32, 32)).save(file, "PNG")
example = {"id": "0", "where": "t:1", "image": file.getvalue(), "captions": ["a dog runs", "a dog"]}
captioning = Captioning(config, Captioning.fit(config, [example]))
with tf.device("CPU:1"):  # as a GPU would be where there is one
    assert tf.constant(1.0).device.endswith("CPU:1")
    encoded = captioning.encode([example], "train")
    storage.store(Path("kept"), [encoded])
    read = storage.load(Path("kept"))
for found in (encoded, read):
    for feature in (*found.x.values(), *found.y.values()):
        for tensor in (feature.values, feature.row_splits) if isinstance(feature, tf.RaggedTensor) else (feature,):
            assert tensor.device.endswith("CPU:0"), tensor.device
print("all", len(encoded.x) + len(encoded.y), "features")
"""


def test_encoded_pictures_and_what_is_read_from_the_cache_stay_off_the_gpu(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "all 3 features\n"

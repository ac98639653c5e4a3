"""Captions that are left out without a picture being lost are said where pictures are encoded."""

from pathlib import Path
from typing import Any

from PIL import Image

from pipelines.tasks.captioning.config import PRESETS, Config
from pipelines.tasks.captioning.task import Captioning


def test_bad_captions_are_said_where_pictures_are_encoded(tmp_path: Path, capsys: Any) -> None:
    rows = ["image,caption"]
    for name in ("a.png", "b.png"):
        Image.new("RGB", (32, 32)).save(tmp_path / name)
        rows += [f"{name},{caption}" for caption in ("a dog runs", "." if name == "b.png" else "a dog", "one dog")]
    for split in ("train", "validation"):
        (tmp_path / f"{split}.csv").write_text("\n".join(rows) + "\n")
    config = Config(**PRESETS["tiny"]())
    examples = list(Captioning.open_source(str(tmp_path), config).read("train"))
    encoded = Captioning(config, Captioning.fit(config, examples)).encode(examples)
    assert len(encoded) == 2 and not encoded.dropped
    (said,) = capsys.readouterr().err.splitlines()
    assert said == f"left out: {tmp_path}/train.csv:6: the caption has no word ('.')"

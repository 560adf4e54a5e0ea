from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rfapp.errors import OutputError
from rfapp.frames import Detections, Frame
from rfapp.sinks.pictures import PictureSink, picture_name, write_picture
from rfapp.sources import read_picture
from rfapp.sources.kinds import PICTURES


@pytest.mark.parametrize("suffix", sorted(PICTURES))
def test_every_kind_that_can_be_read_can_be_written(tmp_path: Path, suffix: str) -> None:
    name = picture_name(f"a{suffix}")
    image = np.full((64, 96, 3), (40, 160, 220), np.uint8)
    write_picture(tmp_path / name, image)
    again = read_picture(tmp_path / name)
    assert again.shape == image.shape
    assert np.abs(again.astype(int) - image).max() <= 6
    assert [item.name for item in tmp_path.iterdir()] == [name]
    (tmp_path / "plain").touch()
    assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_faces_are_drawn(tmp_path: Path) -> None:
    face = Detections(np.array([[10, 8, 50, 40]], np.float32), np.array([0.9], np.float32))
    image = np.zeros((48, 64, 3), np.uint8)
    with PictureSink(tmp_path / "a.png") as sink:
        sink.append(Frame(image, 0, 0.0, 0.0), face)
    assert read_picture(tmp_path / "a.png")[24, 10, 1] > 150


def test_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"):
        write_picture(tmp_path / "file" / "a.png", np.zeros((4, 4, 3), np.uint8))

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rfapp.errors import OutputError, OutputExists, UsageError
from rfapp.frames import Detections, Frame
from rfapp.sinks.names import check_free, media_paths
from rfapp.sinks.pictures import PictureSink, picture_name, write_picture
from rfapp.sources import read_picture
from rfapp.sources.inputs import Input
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


def named(*names: str, root: str = "in") -> list[Input]:
    return [
        Input(f"{root}/{name}", Path(root) / name, Path(root), picture=not name.endswith((".mkv", ".mp4", ".avi")))
        for name in names
    ]


def test_names_are_kept_where_they_can_be() -> None:
    out = Path("out")
    paths = media_paths(named("a.jpg", "b/c.png", "d.mkv", "e.gif"), out)
    assert list(paths.values()) == [out / "a.jpg", out / "c.png", out / "d.mp4", out / "e.gif.png"]


def test_colliding_names_keep_their_path() -> None:
    out = Path("out")
    paths = media_paths([*named("x/a.jpg", "y/A.jpg", "b.jpg", "v.avi", "w/v.mkv")], out)
    assert list(paths.values()) == [out / "x/a.jpg", out / "y/A.jpg", out / "b.jpg", out / "v.mp4", out / "w/v.mp4"]
    paths = media_paths([*named("a.jpg", root="one"), *named("a.jpg", root="two")], out)
    assert list(paths.values()) == [out / "one/a.jpg", out / "two/a.jpg"]
    paths = media_paths([*named("v.avi", "v.mkv", "v.mp4")], out)
    assert len({str(path).casefold() for path in paths.values()}) == 3


def test_originals_are_never_replaced(tmp_path: Path) -> None:
    original = tmp_path / "a.jpg"
    original.touch()
    inputs = [Input(str(original), original, tmp_path, picture=True)]
    with pytest.raises(UsageError, match="over the original"):
        check_free([tmp_path / "x" / ".." / "a.jpg"], inputs, replace=True)
    with pytest.raises(OutputExists, match="--force"):
        check_free([original], [], replace=False)
    check_free([original], [], replace=True)

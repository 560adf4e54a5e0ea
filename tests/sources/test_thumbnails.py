"""Small pictures of files: of the right size, upright, and for little work."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rfapp.errors import PictureUnreadable, SourceError, SourceNotFound
from rfapp.sources.pictures import read_picture
from rfapp.sources.thumbnails import thumbnail
from tests.sources.test_pictures import halves, save


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("size", [(2000, 1000), (1000, 2000), (150, 100), (97, 65), (5000, 20)])
def test_it_fits_and_keeps_its_aspect(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    width, height = size
    path = save(tmp_path / f"wide{suffix}", np.full((height, width, 3), 90, np.uint8))
    small = thumbnail(path, 96, 64)
    assert small is not None
    scale = min(96 / width, 64 / height)
    assert small.shape[1] == pytest.approx(width * scale, abs=1)
    assert small.shape[0] == pytest.approx(height * scale, abs=1)


def test_a_tiny_picture_stays_as_it_is(tmp_path: Path) -> None:
    image = halves((10, 20, 30), (200, 100, 50))
    small = thumbnail(save(tmp_path / "tiny.png", image), 96, 64)
    np.testing.assert_array_equal(small, image)


@pytest.mark.parametrize(
    "name", ["group_six_exif6.jpg", "cmyk.jpg", "alpha.png", "rgb16.png", "gray8.png", "huge_6000x4000.jpg"]
)
def test_it_looks_like_the_picture(test_data: Path, name: str) -> None:
    path = test_data / "photos" / name
    small = thumbnail(path, 96, 64)
    assert small is not None
    whole = read_picture(path)
    assert small.shape[1] / small.shape[0] == pytest.approx(whole.shape[1] / whole.shape[0], rel=0.03)
    wanted = cv2.resize(whole, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - wanted.astype(int)).mean() < 6


def test_of_a_video_it_is_the_first_picture_upright(test_data: Path) -> None:
    small = thumbnail(test_data / "clips" / "phone_rot90.mp4", 96, 64)
    assert small is not None
    assert small.shape[0] == 64
    assert small.shape[1] < 64


def test_why_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound):
        thumbnail(tmp_path / "gone.jpg", 96, 64)
    jpeg = cv2.imencode(".jpg", np.full((400, 600, 3), 90, np.uint8))[1].tobytes()
    (tmp_path / "cut.jpg").write_bytes(jpeg[:200])
    with pytest.raises(PictureUnreadable, match="damaged"):
        thumbnail(tmp_path / "cut.jpg", 96, 64)
    (tmp_path / "empty.png").touch()
    with pytest.raises(PictureUnreadable, match="empty"):
        thumbnail(tmp_path / "empty.png", 96, 64)
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(SourceError):
        thumbnail(tmp_path / "text.mp4", 96, 64)

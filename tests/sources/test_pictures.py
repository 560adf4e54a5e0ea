from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rfapp.errors import PictureUnreadable, SourceEmpty, SourceNotFound, SourceUnreadable
from rfapp.sources import is_picture, is_video, open_source, read_picture
from rfapp.sources.kinds import looks_like_picture, natural, walk

EXIF_TURNS = range(1, 9)


def halves(left: tuple[int, ...], right: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    image = np.empty((40, 60, len(left)), dtype)
    image[:, :30], image[:, 30:] = left, right
    return image


def save(path: Path, image: np.ndarray) -> Path:
    encoded = cv2.imencode(path.suffix, image)[1]
    encoded.tofile(path)
    return path


def exif(orientation: int) -> bytes:
    return b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + struct.pack("<HHI", orientation, 0, 0)


def png_with_orientation(image: np.ndarray, orientation: int) -> bytes:
    import zlib

    data = cv2.imencode(".png", image)[1].tobytes()
    chunk = b"eXIf" + exif(orientation)
    packed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:33] + packed + data[33:]  # behind the header chunk


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """How a picture with this orientation tag is shown (Exif 2.3, 4.6.4 A)."""
    if orientation in (2, 4, 5, 7):
        image = {2: image[:, ::-1], 4: image[::-1], 5: image.swapaxes(0, 1), 7: image[::-1, ::-1].swapaxes(0, 1)}[
            orientation
        ]
    elif orientation in (3, 6, 8):
        image = np.rot90(image, {3: 2, 6: -1, 8: 1}[orientation])
    return image


def test_grey_becomes_three_channels(tmp_path: Path) -> None:
    image = read_picture(save(tmp_path / "grey.png", np.full((20, 30), 77, np.uint8)))
    assert image.shape == (20, 30, 3)
    assert (image == 77).all()


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    image = read_picture(save(tmp_path / "deep.png", halves((0, 32896, 65535), (257, 514, 771), np.uint16)))
    assert image.dtype == np.uint8
    assert image[0, 0].tolist() == [0, 128, 255]
    assert image[0, -1].tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparent_parts_are_laid_over_white(tmp_path: Path, dtype: type) -> None:
    full = np.iinfo(dtype).max
    image = halves((0, 0, full, full), (0, 0, full, 0), dtype)
    image[20:, :30, 3] = full // 2
    result = read_picture(save(tmp_path / "alpha.png", image))
    assert result[0, 0].tolist() == [0, 0, 255]
    assert result[0, -1].tolist() == [255, 255, 255]
    assert np.abs(result[-1, 0].astype(int) - [128, 128, 255]).max() <= 1


@pytest.mark.parametrize("orientation", EXIF_TURNS)
@pytest.mark.parametrize("channels", [3, 4])
def test_orientation_tag_is_applied(tmp_path: Path, orientation: int, channels: int) -> None:
    rng = np.random.default_rng(orientation)
    image = rng.integers(0, 256, (30, 50, channels), np.uint8)
    if channels == 4:
        image[..., 3] = 255
        image[:10, :20, 3] = 0
    expected = image[..., :3].copy()
    if channels == 4:
        expected[:10, :20] = 255
    path = tmp_path / "turned.png"
    path.write_bytes(png_with_orientation(image, orientation))
    np.testing.assert_array_equal(read_picture(path), turned(expected, orientation))


def test_jpeg_orientation_tag_is_applied(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", halves((0, 0, 255), (255, 0, 0)))[1].tobytes()
    body = b"Exif\0\0" + exif(6)
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
    image = read_picture(path)
    assert image.shape == (60, 40, 3)
    assert image[0, 20, 2] > 200  # what was left is now above
    assert image[-1, 20, 0] > 200


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".tiff", ".gif", ".jp2", ".ppm", ".jpg"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"picture{suffix}", np.full((64, 96, 3), (40, 160, 220), np.uint8))
    image = read_picture(path)
    assert image.shape == (64, 96, 3)
    # OpenCV writes GIF with a fixed palette.
    assert np.abs(image[12, 16].astype(int) - [40, 160, 220]).max() <= (60 if suffix == ".gif" else 6)
    assert looks_like_picture(path.read_bytes()[:32])


def test_names_in_any_script(tmp_path: Path) -> None:
    path = save(tmp_path / "写真 émile.png", np.zeros((8, 8, 3), np.uint8))
    assert read_picture(path).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.jpg", b"This is no picture.\n" * 50, "is not a picture"),
        ("empty.png", b"", "is empty"),
        (
            "cut.png",
            cv2.imencode(".png", np.arange(3600, dtype=np.uint8).reshape(30, 40, 3))[1].tobytes()[:90],
            "damaged",
        ),
        ("cut.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "damaged"),
    ],
)
def test_what_is_no_picture_is_said(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PictureUnreadable) as caught:
        read_picture(path)
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    with pytest.raises(SourceUnreadable) as caught_at_open:
        open_source(str(path)).open()
    assert caught_at_open.value.fatal


def test_missing_picture(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"no file .*gone\.png"):
        read_picture(tmp_path / "gone.png")


def test_folder_as_picture(tmp_path: Path) -> None:
    with pytest.raises(PictureUnreadable, match="is a folder"):
        read_picture(tmp_path)


def test_picture_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "mine.png", np.zeros((8, 8, 3), np.uint8))
    if os.geteuid() == 0:  # to whom nothing is forbidden

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(np, "fromfile", refuse)
    else:
        path.chmod(0)
    with pytest.raises(PictureUnreadable, match="may not be read by you"):
        read_picture(path)


def test_folder_in_natural_order(make_folder: Callable[[], Path]) -> None:
    names = [path.name for path in walk(make_folder()) if is_picture(path)]
    assert names == ["picture 8.png", "picture 9.png", "picture 10.png", "picture 11.png", "1.png"]


def test_walk_leaves_out_hidden_things_and_circles(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a.png").touch()
    (tmp_path / "._a.png").touch()
    (tmp_path / "b.png").touch()
    (tmp_path / "circle").symlink_to(tmp_path, target_is_directory=True)
    assert list(walk(tmp_path)) == [tmp_path / "b.png"]


def test_natural_order() -> None:
    names = ["a10", "a9", "A1", "b", "10", "9", "a9b2", "a9b10", "²"]
    assert sorted(names, key=natural) == ["9", "10", "A1", "a9", "a9b2", "a9b10", "a10", "b", "²"]


def test_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    with pytest.raises(SourceEmpty, match="no picture in the folder"):
        open_source(str(tmp_path)).open()


def test_first_picture_bad(make_folder: Callable[[], Path]) -> None:
    folder = make_folder()
    (folder / "picture 8.png").write_bytes(b"x")
    with open_source(str(folder)) as source:
        info = source.open()
        assert (info.width, info.height) == (96, 64)
        with pytest.raises(PictureUnreadable):
            source.read()
        frame = source.read()
        assert frame is not None
        assert frame.index == 1
        assert frame.time_s == 2.0


def test_kinds_by_name() -> None:
    assert is_picture("a/B.JPeG")
    assert not is_picture("jpg")
    assert is_video("x.MKV")
    assert not is_video("x.ts")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("rgb16.png", (363, 480)),
        ("alpha.png", (400, 400)),
        ("tiny32.png", (32, 32)),
        ("huge_6000x4000.jpg", (4000, 6000)),
        ("group_six_exif6.jpg", (886, 1280)),
        ("cmyk.jpg", (768, 1024)),
        ("night_street.webp", (768, 1024)),
        ("gray8.png", (600, 400)),
    ],
)
def test_real_pictures(test_data: Path, name: str, shape: tuple[int, int]) -> None:
    image = read_picture(test_data / "photos" / name)
    assert image.shape == (*shape, 3)
    assert image.flags.c_contiguous
    assert image.flags.writeable


def test_turned_picture_is_the_upright_one(test_data: Path) -> None:
    upright = read_picture(test_data / "photos" / "group_six.jpg").astype(int)
    tagged = read_picture(test_data / "photos" / "group_six_exif6.jpg").astype(int)
    assert np.abs(upright - tagged).mean() < 4


def test_cmyk_has_true_colours(test_data: Path) -> None:
    image = read_picture(test_data / "photos" / "cmyk.jpg")
    assert image[:150, :100].mean() > 150  # the wall is light; inverted inks would make it dark
    skin = image[250:290, 350:400].reshape(-1, 3).mean(0)
    assert skin[2] > skin[1] > skin[0]


def test_alpha_over_white(test_data: Path) -> None:
    image = read_picture(test_data / "photos" / "alpha.png")
    assert image[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".gif", ".tiff"])
def test_altered_files_never_do_more_than_fail(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(7)
    image = cv2.resize(rng.integers(0, 256, (6, 8, 4), np.uint8), (48, 32))
    data = np.frombuffer(cv2.imencode(suffix, image[..., : 4 if suffix in (".png", ".webp") else 3])[1], np.uint8)
    path = tmp_path / f"altered{suffix}"
    for _ in range(60):
        changed = data.copy()
        places = rng.integers(0, len(data), rng.integers(1, 20))
        changed[places] = rng.integers(0, 256, len(places), np.uint8)
        changed[: rng.integers(0, len(data))].tofile(path) if rng.random() < 0.3 else changed.tofile(path)
        try:
            result = read_picture(path)
        except PictureUnreadable:
            continue
        assert result.dtype == np.uint8
        assert result.shape[2] == 3

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rfapp.errors import SourceEmpty, SourceNotFound, SourceUnreadable, UsageError
from rfapp.sources import open_source
from rfapp.sources.camera import CameraSource
from rfapp.sources.pictures import Pictures
from rfapp.sources.sample import Sample
from rfapp.sources.stream import Stream
from rfapp.sources.video import Video


@pytest.mark.parametrize("address", ["camera", "camera:", "camera:Front", "camera:0", "0", "12"])
def test_cameras(address: str) -> None:
    assert isinstance(open_source(address), CameraSource)


def test_sample() -> None:
    assert isinstance(open_source("sample"), Sample)


def test_file_called_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_video: Callable[..., Path]) -> None:
    make_video("film.mp4", range(0, 200, 40)).rename(tmp_path / "sample")
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_source("./sample"), Video)


@pytest.mark.parametrize("address", ["rtsp://camera/1", "http://host/a.mp4", "HTTPS://host/a.mp4", "udp://1.2.3.4:5"])
def test_network_streams(address: str) -> None:
    assert isinstance(open_source(address), Stream)


@pytest.mark.parametrize("address", ["gopher://host/a", "file:///etc/passwd", "concat://a"])
def test_other_addresses_are_refused_in_a_sentence(address: str) -> None:
    with pytest.raises(UsageError, match="is not known") as caught:
        open_source(address)
    assert address in caught.value.message


@pytest.mark.parametrize("address", ["", "no such file.mp4", "none/*.jpg"])
def test_nothing_there(address: str) -> None:
    with pytest.raises(SourceNotFound):
        open_source(address)


def test_patterns(make_folder: Callable[..., Path]) -> None:
    folder = make_folder(3)
    source = open_source(str(folder / "picture*.*"))
    assert isinstance(source, Pictures)
    assert source.open().duration_s == 3 * 2.0
    with pytest.raises(SourceEmpty):
        open_source(str(folder / "*.txt"))


def test_pattern_of_videos(make_video: Callable[..., Path], tmp_path: Path) -> None:
    make_video("a.mp4", range(0, 200, 40))
    assert isinstance(open_source(str(tmp_path / "*.mp4")), Video)
    make_video("b.mp4", range(0, 200, 40))
    with pytest.raises(SourceEmpty, match="one at a time"):
        open_source(str(tmp_path / "*.mp4"))


def test_by_content_where_the_name_says_nothing(
    make_folder: Callable[..., Path], make_video: Callable[..., Path], tmp_path: Path
) -> None:
    (make_folder() / "picture 8.png").rename(tmp_path / "download")
    assert isinstance(open_source(str(tmp_path / "download")), Pictures)
    make_video("film.mp4", range(0, 200, 40)).rename(tmp_path / "film.tmp")
    assert isinstance(open_source(str(tmp_path / "film.tmp")), Video)


def test_closed_folder_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "closed" / "a.png"

    def refuse(path: object, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("rfapp.sources.opening.os.stat", refuse)
    with pytest.raises(SourceUnreadable, match="may not be read by you"):
        open_source(str(inside))

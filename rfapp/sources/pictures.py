"""Pictures in files: one, a list, or a folder of them."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rfapp.errors import PictureUnreadable, SourceEmpty, SourceNotFound, SourceUnreadable
from rfapp.frames import ByteImage, Frame
from rfapp.sources.base import Source, SourceInfo
from rfapp.sources.kinds import is_picture, looks_like_picture, walk
from rfapp.text import mark


def read_picture(path: str | os.PathLike[str]) -> ByteImage:
    """The picture in file *path*: uint8 BGR, height × width × 3, C-contiguous, upright.

    An orientation tag (EXIF) is applied; grey becomes three equal channels; 16 bits a channel become 8; CMYK becomes
    BGR; transparent parts are laid over white; of an animation the first picture is taken.
    Raises SourceNotFound, and PictureUnreadable with the reason.
    """
    return read_with(decode_picture, path)


def read_with(decode: Callable[[npt.NDArray[np.uint8]], ByteImage | None], path: str | os.PathLike[str]) -> ByteImage:
    """What *decode* makes of the bytes of file *path*. Raises as :func:`read_picture` does, also where *decode* gives
    None."""
    try:
        # Not cv2.imread: on Windows that does not find names in other scripts.
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise SourceNotFound(
            mark("There is no file “{path}”."), mark("Check how the name is written."), path=os.fspath(path)
        ) from None
    except OSError as error:
        raise PictureUnreadable(*_reason(error), path=os.fspath(path), reason=error.strerror or str(error)) from None
    if not data.size:
        raise PictureUnreadable(
            mark("“{path}” is empty."), mark("Copy or download it once more."), path=os.fspath(path)
        )
    image = decode(data)
    if image is not None:
        return image
    if looks_like_picture(data[:32].tobytes()):
        raise PictureUnreadable(
            mark("The picture “{path}” is damaged or incomplete."),
            mark("Copy or download it once more."),
            path=os.fspath(path),
        )
    raise PictureUnreadable(
        mark("“{path}” is not a picture."),
        mark("JPEG, PNG, WebP, TIFF, BMP and GIF can be read."),
        path=os.fspath(path),
    )


def _reason(error: OSError) -> tuple[str, str]:
    if isinstance(error, PermissionError):
        return mark("“{path}” may not be read by you."), mark("Change its permissions, or ask its owner.")
    if isinstance(error, IsADirectoryError):
        return mark("“{path}” is a folder, not a picture."), ""
    return mark("“{path}” can't be read: {reason}."), ""


def decode_picture(data: npt.NDArray[np.uint8]) -> ByteImage | None:
    """The picture in the bytes *data*, as :func:`read_picture` gives it, or None where it is none."""
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if image is None or data[:2].tobytes() == b"\xff\xd8":  # a JPEG has no transparency
            return _plain(image)
        whole = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if whole is None or whole.ndim != 3 or whole.shape[2] != 4:
        return _plain(image)
    if whole.dtype == np.uint16:
        whole = cv2.convertScaleAbs(whole, alpha=1 / 257)
    colour, stored = _plain(image), _plain(whole)
    if colour is None or stored is None or stored[..., 3].min() == 255:
        return colour
    return _over_white(colour, _turned_alike(stored, colour))


def _plain(image: npt.NDArray[np.generic] | None) -> ByteImage | None:
    if image is None or image.dtype != np.uint8 or image.ndim != 3:
        return None
    return np.ascontiguousarray(image, np.uint8)


def _turned_alike(whole: ByteImage, upright: ByteImage) -> ByteImage:
    """The transparency of *whole* (BGRA as stored), turned as *upright* (BGR of the same picture) was.

    OpenCV applies the orientation tag only when it drops the transparency, so the turn is found by comparison.
    """
    best = min(
        (turned for turned in _turns(whole) if turned.shape[:2] == upright.shape[:2]),
        key=lambda turned: float(np.mean(cv2.absdiff(np.ascontiguousarray(turned[..., :3]), upright))),
    )
    return np.ascontiguousarray(best[..., 3])


def _turns(image: ByteImage) -> Iterator[ByteImage]:
    for flipped in (image, image[:, ::-1]):
        for quarter in range(4):
            yield np.rot90(flipped, quarter)


def _over_white(colour: ByteImage, alpha: ByteImage) -> ByteImage:
    weight = alpha.astype(np.uint16)[..., None]
    return ((colour * weight + np.uint16(255) * (255 - weight) + np.uint16(127)) // np.uint16(255)).astype(np.uint8)


class Pictures(Source):
    """Pictures one after the other; a single one is a list of one.

    Each has ``seconds`` of time. ``Frame.index`` is the picture's place in the list. A picture that can't be read
    raises PictureUnreadable, and the next read goes on behind it.
    """

    def __init__(self, paths: Sequence[Path], seconds: float, *, title: str) -> None:
        self._paths: Sequence[Path] = paths
        self._folder: Path | None = None
        self._seconds = seconds
        self._title = title
        self._next = 0
        self._held: tuple[int, ByteImage] | None = None
        self._closed = threading.Event()

    @classmethod
    def folder(cls, folder: Path, seconds: float) -> Pictures:
        """All pictures in *folder* and below, in natural order; other files are passed over."""
        source = cls((), seconds, title=folder.resolve().name or str(folder))
        source._folder = folder
        return source

    def open(self) -> SourceInfo:
        if self._folder is not None:
            self._paths = self._found(self._folder)
        height, width = self._first_size()
        count = len(self._paths)
        return SourceInfo(
            self._title,
            width,
            height,
            stills=True,
            rate=1 / self._seconds,
            duration_s=count * self._seconds,
            seekable=True,
            files=tuple(self._paths),
        )

    def _found(self, folder: Path) -> list[Path]:
        try:
            os.scandir(folder).close()
        except FileNotFoundError:
            raise SourceNotFound(mark("There is no folder “{path}”."), path=str(folder)) from None
        except PermissionError:
            raise SourceUnreadable(
                mark("The folder “{path}” may not be read by you."),
                mark("Change its permissions, or ask its owner."),
                path=str(folder),
            ) from None
        paths: list[Path] = []
        for path in walk(folder):
            if self._closed.is_set():
                break
            if is_picture(path):
                paths.append(path)
        if not paths:
            raise SourceEmpty(
                mark("There is no picture in the folder “{path}”."),
                mark("Pictures end in .jpg, .png and the like. Videos are opened one at a time."),
                path=str(folder),
            )
        return paths

    def _first_size(self) -> tuple[int, int]:
        """Height and width of the first picture that can be read; 0 × 0 where the first ones all can't.

        The picture is held for the first read.
        """
        for place, path in enumerate(self._paths[:20]):
            try:
                image = read_picture(path)
            except (SourceNotFound, PictureUnreadable) as error:
                if len(self._paths) > 1:
                    continue
                if isinstance(error, SourceNotFound):
                    raise
                # There is no next one to go on with.
                raise SourceUnreadable(error.message_template, error.hint_template, **error.values) from None
            self._held = (place, image)
            return image.shape[0], image.shape[1]
        return 0, 0

    def read(self) -> Frame | None:
        place = self._next
        if self._closed.is_set() or place >= len(self._paths):
            return None
        self._next = place + 1
        held, self._held = self._held, None
        if held is not None and held[0] == place:
            image = held[1]
        else:
            if held is not None and held[0] > place:
                self._held = held
            image = self._read(self._paths[place])
        return Frame(image, place, place * self._seconds, time.perf_counter())

    @staticmethod
    def _read(path: Path) -> ByteImage:
        try:
            return read_picture(path)
        except SourceNotFound as error:  # it went away since the folder was listed: the others have not
            raise PictureUnreadable(error.message_template, error.hint_template, **error.values) from None

    def seek(self, time_s: float) -> None:
        place = math.ceil(time_s / self._seconds - 1e-9)
        self._next = min(max(place, 0), len(self._paths) - 1)

    def close(self) -> None:
        self._closed.set()
        self._held = None

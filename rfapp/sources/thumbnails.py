"""Small pictures of files, for choosing among them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rfapp.frames import ByteImage
from rfapp.sources.opening import file_is_picture
from rfapp.sources.pictures import decode_picture, read_with

#: JPEG is decoded at a half, a quarter or an eighth of its size for a fraction of the work.
_REDUCED = (cv2.IMREAD_REDUCED_COLOR_8, cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_REDUCED_COLOR_2)


def thumbnail(path: Path, width: int, height: int) -> ByteImage | None:
    """The picture in file *path*, or the first one of a video, upright, made to fit into *width* × *height* (never
    larger than it is): uint8 BGR. None for a video without pictures. Raises SourceError."""
    if file_is_picture(path):
        return read_with(partial(_small, width=width, height=height), path)
    from rfapp.sources.video import Video  # only now: its library takes its time to load

    with Video(path) as video:
        video.open()
        frame = video.read()
    return None if frame is None else _fitted(frame.image, width, height)


def _small(data: npt.NDArray[np.uint8], width: int, height: int) -> ByteImage | None:
    if data[:2].tobytes() == b"\xff\xd8":  # only JPEG gains by it
        for reduced in _REDUCED:
            try:
                image = cv2.imdecode(data, reduced)
            except cv2.error:
                return None
            if image is None:
                return None
            if image.shape[1] >= width or image.shape[0] >= height:
                return _fitted(np.asarray(image, np.uint8), width, height)
    whole = decode_picture(data)
    return None if whole is None else _fitted(whole, width, height)


def _fitted(image: ByteImage, width: int, height: int) -> ByteImage:
    scale = min(width / image.shape[1], height / image.shape[0])
    if scale >= 1:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

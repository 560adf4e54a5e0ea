"""The form of a picture that a screen takes fastest."""

from __future__ import annotations

import cv2
import numpy as np

from rfapp.frames import ByteImage
from rfapp.sinks.hiding import Hidden

#: Pictures for the screen are at most this long: more pixels than that no window shows.
SCREEN_PX = 2560


def screen_picture(image: ByteImage, hidden: Hidden | None = None) -> ByteImage:
    """*image* (uint8 BGR) as uint8 BGRA, no longer than a screen, without what is *hidden*. Painting that costs Qt a
    quarter of BGR."""
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest > SCREEN_PX:
        size = (max(1, round(width * SCREEN_PX / longest)), max(1, round(height * SCREEN_PX / longest)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    picture = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2BGRA), np.uint8)
    if hidden is not None:
        hidden.over(picture, image.shape[1] / width)
    return picture

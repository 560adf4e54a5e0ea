"""From the network's numbers to faces: priors, decoding and NMS. numpy and OpenCV only."""

from __future__ import annotations

from rfapp.postprocess.decode import decode_boxes, decode_landmarks
from rfapp.postprocess.nms import nms, overlaps
from rfapp.postprocess.priors import priors_for

__all__ = ["decode_boxes", "decode_landmarks", "nms", "overlaps", "priors_for"]

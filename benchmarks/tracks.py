"""How well faces are followed in clips: numbers, steadiness, lag, cost.

    python benchmarks/tracks.py CLIP [CLIP …] [--score 0.6]

A line of JSON for each clip: ``cuts`` (frames in which a new scene begins), ``people``, ``tracks`` (number, from, to,
seconds seen),
``still_jitter`` (how far boxes and landmarks of still faces jump from frame to frame, smoothed over raw; still is a
face whose middle moves less than a tenth of its size a second), ``moving_lag_frames`` (by how many frames smoothed
faces trail behind raw ones where they move more than 0.4 of their size a second: the least-squares fit of lag × speed
to the distance between the two), and ``tracker_ms`` (processor time a frame, detection apart).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt

from rfapp.detector import FaceDetector
from rfapp.frames import Detections
from rfapp.sources.video import Video
from rfapp.tracking import Seen, Tracker, faint

Numbers = npt.NDArray[np.float64]

#: Speeds are those of an average over so many seconds to both sides.
AROUND_S = 0.2
STILL, MOVING = 0.1, 0.4


class Course:
    """The way of one face: times, and N×7×2 points (centre of the box, width and height, landmarks)."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.points: list[Numbers] = []

    def add(self, time_s: float, faces: Detections, row: int) -> None:
        box = faces.boxes[row].astype(np.float64)
        landmarks = np.zeros((5, 2)) if faces.landmarks is None else faces.landmarks[row]
        self.times.append(time_s)
        self.points.append(np.concatenate([[(box[:2] + box[2:]) / 2, box[2:] - box[:2]], landmarks]))


def averaged(times: Numbers, points: Numbers) -> Numbers:
    return np.array([points[np.abs(times - now) <= AROUND_S].mean(axis=0) for now in times])


def steadiness(raw: dict[int, Course], smooth: dict[int, Course]) -> dict[str, float | None]:
    jumps, fit, steps = np.zeros(2), np.zeros(2), []
    for number, course in raw.items():
        times, x, y = np.array(course.times), np.array(course.points), np.array(smooth[number].points)
        if times[-1] - times[0] < 1:
            continue
        size = np.sqrt(x[:, 1].prod(axis=1)).mean()
        middle_x, middle_y = averaged(times, x), averaged(times, y)
        velocity = np.gradient(middle_x, times, axis=0) / size
        speed = np.linalg.norm(velocity[:, 0], axis=1)
        still = (speed[1:] < STILL) & (speed[:-1] < STILL) & (np.diff(times) < 0.15)
        jumps += [np.linalg.norm(np.diff(p, axis=0)[still], axis=2).sum() / size for p in (x, y)]
        moving = speed > MOVING
        moving[:3] = False  # both begin in the same place
        behind = ((middle_x - middle_y) / size)[moving]
        fit += [(behind * velocity[moving]).sum(), (velocity[moving] ** 2).sum()]
        steps += np.diff(times).tolist()
    return {
        "still_jitter": round(jumps[1] / jumps[0], 3) if jumps[0] else None,
        "moving_lag_frames": round(fit[0] / fit[1] / float(np.median(steps)), 3) if fit[1] else None,
    }


def measure(clip: Path, detector: FaceDetector, score: float) -> dict[str, Any]:
    ended: list[Seen] = []
    trackers = Tracker(score, smooth=False), Tracker(score, smooth=True, on_end=ended.append)
    courses: tuple[dict[int, Course], ...] = defaultdict(Course), defaultdict(Course)
    cuts, frames, spent = [], 0, 0.0
    with Video(clip) as video:
        video.open()
        for frame in iter(video.read, None):
            found = detector(frame.image, score=faint(score))
            frames += 1
            for tracker, course in zip(trackers, courses, strict=True):
                began = time.process_time()
                faces = tracker.update(found, frame.time_s, frame.image)
                spent += time.process_time() - began
                assert faces.tracks is not None
                for row, number in enumerate(faces.tracks.tolist()):
                    course[number].add(frame.time_s, faces, row)
            if trackers[1].cut:
                cuts.append(frame.index)
    trackers[1].finish()
    return {
        "clip": clip.name,
        "cuts": cuts,
        "people": trackers[1].people,
        "tracks": [
            [seen.track, round(seen.first_s, 2), round(seen.last_s, 2), round(seen.seen_s, 2)]
            for seen in sorted(ended, key=lambda one: one.track)
        ],
        **steadiness(*courses),
        "tracker_ms": round(spent / 2 / max(frames, 1) * 1e3, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--score", type=float, default=0.6)
    arguments = parser.parse_args()
    with FaceDetector() as detector:
        for clip in arguments.clips:
            print(json.dumps(measure(clip, detector, arguments.score)), flush=True)


if __name__ == "__main__":
    main()

"""Runs a detector over all pictures of a ground truth, on all cores, and goes on where it was stopped."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from rfapp.errors import RfappError, SourceNotFound
from rfapp.evaluation.ground_truth import GroundTruth, Picture
from rfapp.evaluation.multiscale import detect_multiscale
from rfapp.evaluation.results import Boxes, from_detections, read_result, result_file, write_result
from rfapp.settings import DetectorSettings
from rfapp.text import mark

#: Pictures handed out ahead for each process.
AHEAD = 4


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run: the detector, the folder of pictures, one pass or several, and where results are kept (a
    picture whose result file is there already is not run again)."""

    detector: DetectorSettings
    pictures: Path
    multi_scale: bool = False
    save: Path | None = None


def run_detector(
    job: Job,
    truth: GroundTruth,
    *,
    processes: int = 1,
    progress: Callable[[int], None] = lambda count: None,
) -> dict[str, Boxes]:
    """The boxes of every picture, by ``Picture.key``. With one process everything happens in this one.

    Raises SourceNotFound before anything is run when a picture is missing.
    """
    for picture in truth.pictures:
        if not (job.pictures / picture.file).exists():
            raise SourceNotFound(
                mark("The picture “{file}” is not in “{folder}”."),
                mark("Name the folder that holds the pictures with --pictures."),
                file=picture.file,
                folder=job.pictures,
            )
    boxes: dict[str, Boxes] = {}
    missing = []
    for picture in truth.pictures:
        done = None if job.save is None else result_file(job.save, picture)
        if done is not None and done.exists():
            boxes[picture.key] = read_result(done)
        else:
            missing.append(picture)
    progress(len(boxes))
    if not missing:
        return boxes
    for picture, found in _run(job, missing, processes):
        boxes[picture.key] = found
        if job.save is not None:
            write_result(job.save, picture, found)
        progress(len(boxes))
    return boxes


def _run(job: Job, pictures: list[Picture], processes: int) -> Iterator[tuple[Picture, Boxes]]:
    if processes <= 1 or len(pictures) < 2 * processes:
        _start(job)
        for picture in pictures:
            yield picture, _detect(picture)
        return
    # One thread in each of several processes does more pictures a second than several threads on one picture.
    alone = replace(job, detector=replace(job.detector, threads=1))
    pool = ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context("spawn"), initializer=_start, initargs=(alone,)
    )
    try:
        waiting: dict[Future[Boxes], Picture] = {}
        left = iter(pictures)
        for picture in left:
            waiting[pool.submit(_detect, picture)] = picture
            if len(waiting) < processes * AHEAD:
                continue
            yield from _finished(waiting)
        while waiting:
            yield from _finished(waiting)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(waiting: dict[Future[Boxes], Picture]) -> Iterator[tuple[Picture, Boxes]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()


# What a process holds; each has one detector, or why it has none: what is raised while a process is started would only
# be told as a broken pool.
_job: Job | None = None
_detector: object = None


def _start(job: Job) -> None:
    global _job, _detector
    from rfapp.detector import FaceDetector

    try:
        _job, _detector = job, FaceDetector.from_settings(job.detector)
    except RfappError as error:
        _job, _detector = job, error


def _detect(picture: Picture) -> Boxes:
    from rfapp.detector import FaceDetector
    from rfapp.sources import read_picture

    assert _job is not None
    if isinstance(_detector, RfappError):
        raise _detector
    assert isinstance(_detector, FaceDetector)
    detector = _detector
    image = read_picture(_job.pictures / picture.file)
    if _job.multi_scale:
        faces = detect_multiscale(lambda item, size: detector(item, size=size), image)
    else:
        faces = detector(image)
    return from_detections(faces)

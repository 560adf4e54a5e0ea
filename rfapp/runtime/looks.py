"""What the network found in each frame of a video, to the last bit, so that a search that was cut short can go on.

A file of looks begins with a line of JSON, the heading: who wrote it, how was looked, and which network did. A record
for each frame follows: a checksum of the record, one of the picture, the number of faces, whether there are landmarks,
and boxes, scores and landmarks as float32. All numbers are little-endian. It is written from front to back and never
changed, so that what a program left that was killed can be read up to its last whole record.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rfapp import __version__
from rfapp.frames import ByteImage, Detections, FloatArray
from rfapp.runtime.face_counts import FaceCounts
from rfapp.settings import Settings

#: Changes with the form of these files.
_FORM = 1
#: Checksum of the rest of the record, checksum of the picture, number of faces, whether there are landmarks.
_RECORD, _CHECK = struct.Struct("<IIIB"), struct.Struct("<I")
#: A longer heading, and more faces in a frame, are none of ours.
_LONGEST, _MOST = 100_000, 1_000_000
#: The checksum of a picture is that of every eighth of its rows: a twentieth of a millisecond for 720 lines.
_ROWS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """What an earlier search came to. ``looks``: its file of looks; ``counts``: the faces in the frames that it has."""

    looks: Path
    counts: FaceCounts


def how_of(settings: Settings) -> dict[str, Any]:
    """What of *settings* decides what the network finds. Of faces that are followed fainter ones are looked for; all
    else about following comes after the network, and is done again by a search that goes on."""
    detector = asdict(settings.detector)
    del detector["threads"]  # they change the speed alone
    return {**detector, "followed": settings.tracking.on}


def how_id(settings: Settings) -> str:
    """:func:`how_of` as 16 letters and digits."""
    return hashlib.sha256(json.dumps(how_of(settings), sort_keys=True).encode()).hexdigest()[:16]


def picture_sum(image: ByteImage) -> int:
    """A checksum of *image*, uint8 H×W×3."""
    return zlib.crc32(image[::_ROWS].tobytes(), zlib.crc32(repr(image.shape).encode()))


def write_heading(file: BinaryIO, settings: Settings, fingerprint: str) -> None:
    """Begin a file of looks with *settings* by the detector with this *fingerprint*."""
    heading = {"form": _FORM, "rfapp": __version__, "fingerprint": fingerprint, "how": how_of(settings)}
    file.write(json.dumps(heading).encode() + b"\n")
    file.flush()


def write_look(file: BinaryIO, picture: int, faces: Detections) -> None:
    """Add the *faces* of the frame with the checksum *picture*."""
    parts = [faces.boxes, faces.scores] + ([] if faces.landmarks is None else [faces.landmarks])
    body = b"".join(part.astype("<f4").tobytes() for part in parts)
    rest = _RECORD.pack(0, picture, len(faces), faces.landmarks is not None)[_CHECK.size :] + body
    file.write(_CHECK.pack(zlib.crc32(rest)) + rest)
    file.flush()


def read_heading(file: BinaryIO) -> Mapping[str, Any]:
    """The heading of a file of looks. Raises ValueError where it has none, or one by another version of rfapp."""
    line = file.readline(_LONGEST)
    heading = json.loads(line) if line.endswith(b"\n") else None
    if not isinstance(heading, dict) or not isinstance(heading.get("how"), dict):
        raise ValueError("it has no heading")
    if (heading.get("form"), heading.get("rfapp")) != (_FORM, __version__):
        raise ValueError(f"it is by another version, {heading.get('rfapp')}")
    return heading


def read_looks(file: BinaryIO) -> Iterator[tuple[int, Detections]]:
    """Behind the heading: checksum and faces of each frame. A last record that was cut off is left out. Raises
    ValueError at one that is not as it was written."""
    while len(head := file.read(_RECORD.size)) == _RECORD.size:
        check, picture, count, points = _RECORD.unpack(head)
        if points > 1 or count > _MOST:
            raise ValueError("a record is damaged")
        body = file.read(count * (15 if points else 5) * 4)
        if len(body) < count * (15 if points else 5) * 4:
            return
        if zlib.crc32(body, zlib.crc32(head[_CHECK.size :])) != check:
            raise ValueError("a record is damaged")
        yield picture, _faces(np.frombuffer(body, "<f4").astype(np.float32), count, landmarks=bool(points))


def _faces(values: FloatArray, count: int, *, landmarks: bool) -> Detections:
    boxes, scores, points = values[: 4 * count], values[4 * count : 5 * count], values[5 * count :]
    return Detections(boxes.reshape(-1, 4), scores, points.reshape(-1, 5, 2) if landmarks else None)


def read_begun(results: Path, looks: Path) -> tuple[Mapping[str, Any], Begun]:
    """Heading and content of what a search left: the JSON lines in *results*, and its file of *looks*. Frames that only
    one of them has do not count. Raises OSError, or ValueError where one of them is not as it was written."""
    with looks.open("rb") as file:
        heading = read_heading(file)
        frames = sum(1 for _ in read_looks(file))
    with results.open("rb") as lines:
        counts = FaceCounts.read(lines)
    return heading, Begun(looks, FaceCounts(counts.times[:frames], counts.faces[:frames]))

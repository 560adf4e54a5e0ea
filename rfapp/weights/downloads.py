"""Published weights that can be fetched, and the fetching: with progress, resumed after a cut, checked before use.

Nothing is ever fetched unless the user asks for it by name.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import logging
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rfapp.errors import OutputError, UnknownModel, WeightsAltered, WeightsError, WeightsMissing
from rfapp.models.config import ARCHITECTURES
from rfapp.text import mark

log = logging.getLogger(__name__)

TIMEOUT_S = 30.0
CHUNK = 1 << 18
#: A connection that breaks is taken up again this often, as long as each attempt brings something.
ATTEMPTS = 5

#: Called with the bytes that are there and all bytes (0 if unknown); returning False cancels.
Progress = Callable[[int, int], bool]


@dataclass(frozen=True, slots=True)
class Download:
    """A file somewhere. ``sha256`` is whole, or its first digits where the publisher tells only those (in the file's
    name). ``body``: only the ImageNet backbone, to start a training from."""

    name: str
    address: str
    bytes: int
    sha256: str
    title: str
    licence: str
    body: bool = False

    @property
    def file(self) -> str:
        return self.address.rpartition("/")[2]


_FACEXLIB = "https://github.com/xinntao/facexlib/releases/download/v0.1.0/"
_TORCHVISION = "https://download.pytorch.org/models/"
_WIDER = "MIT (code); trained on WIDER FACE, whose pictures are for research"
_IMAGENET = "BSD-3-Clause (code); trained on ImageNet, whose pictures are for research"

DOWNLOADS = {
    item.name: item
    for item in (
        Download(
            "resnet50",
            _FACEXLIB + "detection_Resnet50_Final.pth",
            109_497_761,
            "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
            "RetinaFace ResNet-50, as published (facexlib's copy)",
            _WIDER,
        ),
        Download(
            "mobilenet0.25-published",
            _FACEXLIB + "detection_mobilenet0.25_Final.pth",
            1_789_735,
            "2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220",
            "RetinaFace MobileNet ×0.25, as published (facexlib's copy)",
            _WIDER,
        ),
        Download(
            "resnet18-imagenet",
            _TORCHVISION + "resnet18-f37072fd.pth",
            46_830_571,
            "f37072fd",
            "ResNet-18 body, ImageNet",
            _IMAGENET,
            body=True,
        ),
        Download(
            "resnet50-imagenet",
            _TORCHVISION + "resnet50-0676ba61.pth",
            102_530_333,
            "0676ba61",
            "ResNet-50 body, ImageNet",
            _IMAGENET,
            body=True,
        ),
        Download(
            "resnet152-imagenet",
            _TORCHVISION + "resnet152-394f9c45.pth",
            241_627_721,
            "394f9c45",
            "ResNet-152 body, ImageNet",
            _IMAGENET,
            body=True,
        ),
    )
}


class Cancelled(WeightsError):
    """The user wanted no more; what was fetched is kept, and the next attempt goes on there."""


def find_download(name: str) -> Download:
    """The download called *name*. Raises UnknownModel with those there are, or WeightsMissing for a network that nobody
    has published weights of."""
    if name in ARCHITECTURES and ARCHITECTURES[name].family == "AInnoFace":
        raise WeightsMissing(
            mark("The network {name} has to be trained first: nobody has published weights of it."),
            mark("Its body, trained on ImageNet, is {body}: fetch it and give its file to “rfapp train --init”."),
            name=name,
            body=f"{ARCHITECTURES[name].backbone}-imagenet",
        )
    if name not in DOWNLOADS:
        raise UnknownModel(
            mark("Nothing called “{name}” can be downloaded."),
            mark("There are: {names}."),
            name=name,
            names=", ".join(DOWNLOADS),
        )
    return DOWNLOADS[name]


def fetch(item: Download, folder: Path, progress: Progress = lambda done, total: True) -> Path:
    """Fetch *item* into *folder* and return the file, which gets its name only when its sha256 is right.

    What a broken connection or a cancellation left (``….part``) is taken up again. Raises WeightsAltered when the
    content is not what was published, OutputError when the disk is full or may not be written, Cancelled, and
    WeightsError when the server can't be reached.
    """
    target = folder / item.file
    part = folder / f"{item.file}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists() and _digest(target).startswith(item.sha256):
            return target
        _check_room(item, part)
        _fetch_part(item, part, progress)
        digest = _digest(part)
        if not digest.startswith(item.sha256):
            part.unlink()
            raise WeightsAltered(
                mark("What {address} sent is not what was published (its sha256 is {digest}…)."),
                mark("Try again; if it happens twice, the file there was changed: do not use it."),
                address=item.address,
                digest=digest[:12],
            )
        os.replace(part, target)
    except OSError as error:
        raise _disk(error, folder) from error
    return target


def _check_room(item: Download, part: Path) -> None:
    there = part.stat().st_size if part.exists() else 0
    free = shutil.disk_usage(part.parent).free
    if item.bytes - there > free:
        raise OSError(errno.ENOSPC, "no space")


def _fetch_part(item: Download, part: Path, progress: Progress) -> None:
    """Append to *part* until it is whole."""
    left = ATTEMPTS
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _request(item, part, before, progress):
                return
            reason: object = "the connection broke"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(error, urllib.error.HTTPError):
                if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                    part.unlink()  # what is there is longer than what is offered: start again
                    reason = "the file has changed"
                else:
                    left = 0
        now = part.stat().st_size if part.exists() else 0
        left = left - 1 if now <= before else ATTEMPTS
        log.info("%s: %s at byte %d", item.address, reason, now)
        if left <= 0:
            raise WeightsError(
                mark("{address} can't be fetched: {reason}."),
                mark("Check the connection and try again; it goes on where it stopped."),
                address=item.address,
                reason=reason,
            )


def _request(item: Download, part: Path, before: int, progress: Progress) -> bool:
    """One connection; whether the file is whole now."""
    request = urllib.request.Request(item.address, headers={"User-Agent": "rfapp"})
    if before:
        request.add_header("Range", f"bytes={before}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT and _starts_at(answer, before)
        done = before if resumed else 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length and length.isdecimal() else item.bytes
        if total > item.bytes > 0:
            raise WeightsAltered(
                mark("{address} offers {total} bytes; the published file has {bytes}."),
                mark("The file there was changed: do not use it."),
                address=item.address,
                total=total,
                bytes=item.bytes,
            )
        with part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                if not progress(done, total):
                    raise Cancelled(mark("The download of {file} was cancelled."), file=item.file)
                if item.bytes and done > item.bytes:
                    break  # more than was published: the sha256 will tell
    return done >= total


def _starts_at(answer: http.client.HTTPResponse, before: int) -> bool:
    return (answer.headers.get("Content-Range") or "").startswith(f"bytes {before}-")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _disk(error: OSError, folder: Path) -> OutputError:
    if error.errno == errno.ENOSPC:
        return OutputError(
            mark("There is no room in “{folder}”."), mark("Free some space and try again."), folder=folder
        )
    return OutputError(
        mark("“{folder}” can't be written: {reason}."), folder=folder, reason=error.strerror or str(error)
    )

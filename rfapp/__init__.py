"""rfapp finds faces in moving pictures: as an app, as a command line, and as this library.

>>> from rfapp import FaceDetector, read_picture
>>> faces = FaceDetector()(read_picture("group.jpg"))       # doctest: +SKIP
>>> faces.boxes, faces.scores, faces.landmarks              # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rfapp.detector import FaceDetector as FaceDetector
    from rfapp.errors import RfappError as RfappError
    from rfapp.frames import Detections as Detections
    from rfapp.frames import Frame as Frame
    from rfapp.places import resources as resources
    from rfapp.runtime import LivePipeline as LivePipeline
    from rfapp.settings import Settings as Settings
    from rfapp.sinks.crops import aligned_crops as aligned_crops
    from rfapp.sources import Source as Source
    from rfapp.sources import open_source as open_source
    from rfapp.sources import read_picture as read_picture
    from rfapp.tracking import Tracker as Tracker

# Loaded when first asked for, so that `rfapp --help` and the first window do not wait for what they do not use.
_HOME = {
    "Detections": "rfapp.frames",
    "FaceDetector": "rfapp.detector",
    "Frame": "rfapp.frames",
    "LivePipeline": "rfapp.runtime",
    "RfappError": "rfapp.errors",
    "Settings": "rfapp.settings",
    "Source": "rfapp.sources",
    "Tracker": "rfapp.tracking",
    "aligned_crops": "rfapp.sinks.crops",
    "open_source": "rfapp.sources",
    "read_picture": "rfapp.sources",
    "resources": "rfapp.places",
}

__all__ = [
    "Detections",
    "FaceDetector",
    "Frame",
    "LivePipeline",
    "RfappError",
    "Settings",
    "Source",
    "Tracker",
    "__version__",
    "aligned_crops",
    "open_source",
    "read_picture",
    "resources",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rfapp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

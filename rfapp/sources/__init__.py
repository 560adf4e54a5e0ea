"""Where frames come from.

Only the contract is loaded here; OpenCV and the video library are loaded by the first source that needs them, so that
a window can be shown before.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rfapp.sources.base import Source, SourceInfo
from rfapp.sources.kinds import is_picture, is_video

if TYPE_CHECKING:
    from rfapp.sources.cameras import Camera as Camera
    from rfapp.sources.cameras import list_cameras as list_cameras
    from rfapp.sources.opening import open_source as open_source
    from rfapp.sources.pictures import read_picture as read_picture

_HOME = {
    "Camera": "rfapp.sources.cameras",
    "list_cameras": "rfapp.sources.cameras",
    "open_source": "rfapp.sources.opening",
    "read_picture": "rfapp.sources.pictures",
}

# OpenCV reads these when it is loaded. Media Foundation takes many seconds to open a camera with its hardware
# transforms; a camera that has stopped is noticed after 3 s instead of 10.
os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")

__all__ = [
    "Camera",
    "Source",
    "SourceInfo",
    "is_picture",
    "is_video",
    "list_cameras",
    "open_source",
    "read_picture",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rfapp.sources' has no attribute {name!r}")

"""The live pipeline: threads, mailboxes and states, without Qt."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfapp.runtime.face_counts import FaceCounts as FaceCounts
    from rfapp.runtime.face_counts import Stretch as Stretch
    from rfapp.runtime.mailbox import Mailbox as Mailbox
    from rfapp.runtime.pipeline import LivePipeline as LivePipeline
    from rfapp.runtime.recorder import Recording as Recording
    from rfapp.runtime.scan import ScanProgress as ScanProgress
    from rfapp.runtime.scan import VideoScan as VideoScan
    from rfapp.runtime.sender import Sending as Sending
    from rfapp.runtime.states import DetectorTitle as DetectorTitle
    from rfapp.runtime.states import Ended as Ended
    from rfapp.runtime.states import Failed as Failed
    from rfapp.runtime.states import Idle as Idle
    from rfapp.runtime.states import LiveResult as LiveResult
    from rfapp.runtime.states import Opening as Opening
    from rfapp.runtime.states import Paused as Paused
    from rfapp.runtime.states import Running as Running
    from rfapp.runtime.states import State as State
    from rfapp.runtime.statistics import Spread as Spread
    from rfapp.runtime.statistics import Statistics as Statistics

# Loaded when first asked for: `rfapp detect` needs one module of this room, and not what plays and records.
_HOME = {
    "DetectorTitle": "states",
    "Ended": "states",
    "FaceCounts": "face_counts",
    "Failed": "states",
    "Idle": "states",
    "LivePipeline": "pipeline",
    "LiveResult": "states",
    "Mailbox": "mailbox",
    "Opening": "states",
    "Paused": "states",
    "Recording": "recorder",
    "Running": "states",
    "ScanProgress": "scan",
    "Sending": "sender",
    "Spread": "statistics",
    "State": "states",
    "Statistics": "statistics",
    "Stretch": "face_counts",
    "VideoScan": "scan",
}

__all__ = [
    "DetectorTitle",
    "Ended",
    "FaceCounts",
    "Failed",
    "Idle",
    "LivePipeline",
    "LiveResult",
    "Mailbox",
    "Opening",
    "Paused",
    "Recording",
    "Running",
    "ScanProgress",
    "Sending",
    "Spread",
    "State",
    "Statistics",
    "Stretch",
    "VideoScan",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

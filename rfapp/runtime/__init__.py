"""The live pipeline: threads, mailboxes and states, without Qt."""

from rfapp.runtime.face_counts import FaceCounts, Stretch
from rfapp.runtime.mailbox import Mailbox
from rfapp.runtime.pipeline import LivePipeline
from rfapp.runtime.recorder import Recording
from rfapp.runtime.scan import ScanProgress, VideoScan
from rfapp.runtime.sender import Sending
from rfapp.runtime.states import DetectorTitle, Ended, Failed, Idle, LiveResult, Opening, Paused, Running, State
from rfapp.runtime.statistics import Spread, Statistics

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

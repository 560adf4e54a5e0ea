"""The live pipeline: threads, mailboxes and states, without Qt."""

from rfapp.runtime.mailbox import Mailbox
from rfapp.runtime.pipeline import LivePipeline
from rfapp.runtime.recorder import Recording
from rfapp.runtime.states import DetectorTitle, Ended, Failed, Idle, LiveResult, Opening, Paused, Running, State
from rfapp.runtime.statistics import Spread, Statistics

__all__ = [
    "DetectorTitle",
    "Ended",
    "Failed",
    "Idle",
    "LivePipeline",
    "LiveResult",
    "Mailbox",
    "Opening",
    "Paused",
    "Recording",
    "Running",
    "Spread",
    "State",
    "Statistics",
]

"""Faces over time: numbers that stay, boxes that do not tremble, and where a face is while it is not found."""

from rfapp.tracking.cover import Cover
from rfapp.tracking.tracker import Seen, Tracker, counted, faint

__all__ = ["Cover", "Seen", "Tracker", "counted", "faint"]

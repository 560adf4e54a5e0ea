"""What of a frame leaves the window while it plays: as shown, bare, or with hidden faces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from rfapp.frames import ByteImage, Detections, Frame
from rfapp.settings import Settings, ViewSettings
from rfapp.sinks.drawing import draw_view
from rfapp.sinks.hiding import Hidden


class Taker(Protocol):
    """Takes what is played: a recording, a virtual camera. ``content`` as in
    :class:`rfapp.settings.RecordingSettings`. Neither method waits for anything."""

    @property
    def content(self) -> str: ...

    def captured(self, frame: Frame) -> None:
        """A frame as the source delivers it."""

    def detected(self, frame: Frame, faces: Detections, view: ViewSettings, hidden: Hidden | None) -> None:
        """A frame with its *faces*, and how it is shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """A frame, and what is to be drawn into it or hidden."""

    frame: Frame
    faces: Detections | None  # None: they come later
    view: ViewSettings | None = None  # None: nothing is drawn
    hidden: Hidden | None = None


class Canvas:
    """Makes the pictures that go out, one after the other in the same memory."""

    def __init__(self) -> None:
        self._memory: ByteImage | None = None

    def image(self, item: Outgoing) -> ByteImage:
        """The picture, valid until the next one is made: the frame's own where nothing is drawn or hidden."""
        bare = item.frame.image
        if item.view is not None and item.faces is not None:
            self._memory = draw_view(bare, item.faces, item.view, item.hidden, self._memory)
        elif item.hidden is not None:
            self._memory = item.hidden.applied(bare, self._memory)
        else:
            return bare
        return self._memory


def hiding_for(takers: Iterable[Taker], settings: Settings) -> Settings:
    """*settings* with hidden faces where one of *takers* wants them hidden, also while the window shows them."""
    if settings.hiding.how != "off" or all(taker.content != "hidden" for taker in takers):
        return settings
    return settings.changed(hiding_how="blur")

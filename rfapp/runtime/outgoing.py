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

    def image(self, into: ByteImage | None) -> ByteImage:
        """The picture; *into*: an array of the same shape that takes it, where it is not the frame's own."""
        if self.view is not None and self.faces is not None:
            return draw_view(self.frame.image, self.faces, self.view, self.hidden, into)
        if self.hidden is not None:
            return self.hidden.applied(self.frame.image, into)
        return self.frame.image


def hiding_for(takers: Iterable[Taker], settings: Settings) -> Settings:
    """*settings* with hidden faces where one of *takers* wants them hidden, also while the window shows them."""
    if settings.hiding.how != "off" or all(taker.content != "hidden" for taker in takers):
        return settings
    return settings.changed(hiding_how="blur")

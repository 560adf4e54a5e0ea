"""What can be done with the picture that is shown: keep it, record it, send it, hide its faces, show it otherwise."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from rfapp.gui.current_settings import CurrentSettings
from rfapp.gui.examples import Examples
from rfapp.gui.live_view import LiveView
from rfapp.gui.saving import Saver, new_recording, told_of_recording
from rfapp.runtime import LivePipeline, Paused, Recording, Running
from rfapp.settings import Settings


class PictureCommands(QObject):
    """Behind the tool bar's buttons and the keys. ``outputs_changed`` tells that a recording or the virtual camera was
    begun or ended; ``said`` carries how a recording went, and why there is no example. ``examples`` has the commands
    about what the detector is to learn from."""

    outputs_changed = Signal()
    said = Signal(str)

    def __init__(
        self,
        pipeline: LivePipeline,
        view: LiveView,
        settings: CurrentSettings,
        saver: Saver,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._pipeline, self._view, self._settings, self._saver = pipeline, view, settings, saver
        self.examples = Examples(pipeline, view, settings, saver, self)
        self.examples.said.connect(self.said)
        self._hide_how = "blur"
        self._note_hiding(settings.now, settings.now)
        settings.changed.connect(self._note_hiding)

    # ------------------------------------------------------------------------------ keeping

    @Slot()
    def save_snapshot(self) -> None:
        """Save the shown picture at its own size, with what is painted over it, to the user's folder of pictures."""
        result = self._view.looked_at
        if result is not None:
            self._saver.snapshot(result, self._settings.now.drawn)

    @Slot()
    def save_crops(self) -> None:
        """Save each face of the shown picture, cut out upright, to the user's folder of pictures."""
        result = self._view.looked_at
        if result is not None:
            self._saver.crops(result)

    @Slot()
    def toggle_recording(self) -> None:
        """Record what is shown to the user's folder of videos, or complete the recording."""
        if self._pipeline.recording is not None:
            self._pipeline.stop_recording()
        elif isinstance(self._pipeline.state, Running | Paused):
            self._pipeline.record(new_recording())
        self.outputs_changed.emit()

    def record(self, path: Path) -> None:
        """Record what is shown to the video *path* from the next frame on."""
        self._pipeline.record(path)
        self.outputs_changed.emit()

    @Slot(object)
    def recording_ended(self, recording: Recording) -> None:
        """Say how it went."""
        self.outputs_changed.emit()
        self.said.emit(told_of_recording(recording))

    @Slot()
    def toggle_sending(self) -> None:
        """Send what is played to a virtual camera, or stop it."""
        if self._pipeline.sending is None:
            self._pipeline.send()
        else:
            self._pipeline.stop_sending()
        self.outputs_changed.emit()

    # ------------------------------------------------------------------------------ hiding

    @Slot()
    def toggle_hiding(self) -> None:
        """Hide the faces in the way that was last chosen, or show them."""
        hidden = self._settings.now.hiding.how != "off"
        self._settings.change(hiding_how="off" if hidden else self._hide_how)

    @Slot(int)
    def show_or_hide_face(self, number: int) -> None:
        """While faces are hidden: show the face with this *number*, or hide it again."""
        self._pipeline.show_face(number, number not in self._pipeline.shown_faces)

    def show_or_hide_nth(self, place: int) -> None:
        """The same for the face that stands at this *place* from the left, the first being 0."""
        result = self._view.result
        faces = None if result is None else result.detections
        if self._settings.now.hiding.how == "off" or faces is None or faces.tracks is None or place >= len(faces):
            return
        self.show_or_hide_face(int(faces.tracks[self._view.from_the_left(faces)[place]]))

    @Slot(object, object)
    def _note_hiding(self, _before: Settings, now: Settings) -> None:
        if now.hiding.how != "off":
            self._hide_how = now.hiding.how

    # ------------------------------------------------------------------------------ showing it otherwise

    @Slot()
    def toggle_tracking(self) -> None:
        """Follow the faces from frame to frame, or stop it."""
        self._settings.change(tracking_on=not self._settings.now.tracking.on)

    @Slot()
    def toggle_mirror(self) -> None:
        """Show the picture as a mirror does, or as it is."""
        self._settings.change(view_mirror=not self._settings.now.view.mirror)

    @Slot()
    def toggle_thumbnails(self) -> None:
        """Show what else is in the folder or on the list, or leave it out."""
        self._settings.change(view_thumbnails=not self._settings.now.view.thumbnails)

    def change_speed(self, times: float) -> None:
        """Play a video so many *times* as fast as now; 0: at its own speed again."""
        speed = self._settings.now.source.speed * times if times else 1.0
        self._settings.change(source_speed=min(max(speed, 0.25), 8.0))

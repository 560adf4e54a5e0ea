"""“Keep as an example”: from a picture in which the detector was wrong to one that can be learned from."""

from __future__ import annotations

from functools import partial
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, QPoint, QPointF, Qt, Signal, Slot
from PySide6.QtWidgets import QMenu

from rfapp.frames import Detections, FloatArray, Frame
from rfapp.gui.current_settings import CurrentSettings
from rfapp.gui.live_view import LiveView
from rfapp.gui.saving import Saver
from rfapp.postprocess import overlaps
from rfapp.runtime import LivePipeline, LiveResult, Running

#: A box that was said to be no face means those that overlap it by so much: another setting moves boxes a little.
SAME = 0.5
#: A menu that was opened by a key offers at most so many faces, as the keys 1 to 9 do.
MOST_FACES = 9


class Examples(QObject):
    """Behind the command, its key, and the menu over the picture. ``said`` tells why nothing was kept."""

    said = Signal(str)

    def __init__(
        self, pipeline: LivePipeline, view: LiveView, settings: CurrentSettings, saver: Saver, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._pipeline, self._view, self._settings, self._saver = pipeline, view, settings, saver
        #: What was said to be no face, by the picture; it holds until the window is closed.
        self._not_faces: dict[bytes, list[FloatArray]] = {}
        view.menu_wanted.connect(self.show_menu)
        view.painted.connect(self._cross_out_again)

    @Slot()
    def keep(self) -> None:
        """Keep the shown picture, bare; its labels are the faces found in it, but those that are said to be none."""
        meant = self._meant()
        if meant is not None:
            self._keep(*meant)
        elif self._view.result is not None:
            self.said.emit(self.tr("Nothing was kept: which faces are in this picture is not known yet."))

    @Slot(QPoint, object)
    def show_menu(self, place: QPoint, point: QPointF | None) -> None:
        """Offer at *place* of the screen what can be done at *point* of the picture; without one, as when a key was
        pressed, with any of its faces."""
        if self._view.result is None:
            return
        meant = self._meant()
        menu = QMenu(self._view)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        keep = self.tr("Keep as an example (K)")
        if meant is None:
            menu.addAction(keep).setEnabled(False)
        else:
            # All of them mean the picture that was there when the menu was opened; a film goes on meanwhile.
            for text, act in self._face_actions(*meant, point):
                menu.addAction(text, act)
            if menu.actions():
                menu.addSeparator()
            menu.addAction(keep, partial(self._keep, *meant))
        menu.popup(place)

    # ------------------------------------------------------------------------------ which picture, which faces

    def _meant(self) -> tuple[Frame, Detections] | None:
        """The picture that is looked at and its faces, once they are known. While a film or a camera is faster than
        the detection, the last picture that was searched, whose boxes are shown."""
        shown, state = self._view.result, self._pipeline.state
        if shown is None or shown.detections is None:
            return None
        if shown.fresh:
            return shown.frame, shown.detections
        found_in = shown.earlier
        if found_in is None or found_in.generation != shown.frame.generation:
            return None
        plays = isinstance(state, Running) and not state.info.stills
        return (found_in, shown.detections) if plays else None

    def _face_actions(self, frame: Frame, faces: Detections, point: QPointF | None) -> list[tuple[str, partial[None]]]:
        if point is not None:
            row = self._view.row_at(point, faces)
            rows = [] if row is None else [row]
        else:
            rows = self._view.from_the_left(faces)[:MOST_FACES]
        denied = self._denied(frame, faces)
        actions = []
        for number, row in enumerate(rows, 1):
            act = partial(self._judge, frame, faces, row, face=bool(denied[row]))
            actions.append((self._name(number if len(rows) > 1 else 0, bool(denied[row])), act))
        return actions

    def _name(self, number: int, denied: bool) -> str:
        """What the menu calls it to change the judgement of a face; *number*: its place, where there are several."""
        if number:
            after_all, not_a_face = (
                self.tr("Face {number} from the left: a face after all"),
                self.tr("Face {number} from the left: not a face"),
            )
        else:
            after_all, not_a_face = (
                self.tr("A face after all: keep as an example"),
                self.tr("Not a face: keep as an example"),
            )
        return (after_all if denied else not_a_face).format(number=number)

    def _denied(self, frame: Frame, faces: Detections) -> npt.NDArray[np.bool_]:
        """bool N: which of the boxes were said to be no face."""
        denied = np.zeros(len(faces), np.bool_)
        for box in self._not_faces.get(_key(frame), []):
            denied |= overlaps(box, faces.boxes) >= SAME
        return denied

    def _judge(self, frame: Frame, faces: Detections, row: int, *, face: bool) -> None:
        box = faces.boxes[row]
        boxes = self._not_faces.setdefault(_key(frame), [])
        if face:
            boxes[:] = [other for other in boxes if overlaps(box, other[None])[0] < SAME]
        else:
            boxes.append(box)
        self._view.cross_out(frame.image, np.array(boxes, np.float32).reshape(-1, 4))
        self._keep(frame, faces)

    def _keep(self, frame: Frame, faces: Detections) -> None:
        settings = self._settings.now
        # Faces that are followed may be fainter than the score asks for; that they are some is only guessed.
        sure = faces.scores >= settings.detector.score
        labels = faces[sure & ~self._denied(frame, faces)]
        self._saver.example(frame, labels, hidden=settings.hiding.how != "off")

    @Slot(object)
    def _cross_out_again(self, result: LiveResult) -> None:
        """What is no face is crossed out in a picture that is come back to, too."""
        boxes = self._not_faces.get(_key(result.frame)) if self._not_faces and result.fresh else None
        if boxes:
            self._view.cross_out(result.frame.image, np.array(boxes, np.float32))


def _key(frame: Frame) -> bytes:
    """The same for the same picture, however often it is opened. All of its pixels would take too long here."""
    step = max(1, max(frame.width, frame.height) // 256)
    return blake2b(frame.image[::step, ::step].tobytes(), digest_size=16).digest()

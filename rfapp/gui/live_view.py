"""The picture: scaled to the room there is, with the faces painted over it."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QImage, QMouseEvent, QPainter, QPaintEvent, QRegion
from PySide6.QtWidgets import QSizePolicy, QWidget

from rfapp.frames import ByteImage, Detections, FloatArray
from rfapp.gui.overlay import Placement, cross_out, paint_detections, place
from rfapp.gui.theme import Theme
from rfapp.runtime import LiveResult
from rfapp.settings import ViewSettings


class LiveView(QWidget):
    """Shows the newest result. ``painted`` tells when one was painted for the first time, ``face_clicked`` the number
    of a face that was clicked on while faces can be (``set_clickable``). ``menu_wanted`` carries where on the screen a
    menu is to open, and the point of the widget that it is for: None when a key asked for it."""

    painted = Signal(object)
    double_clicked = Signal()
    face_clicked = Signal(int)
    menu_wanted = Signal(QPoint, object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._view = ViewSettings()
        self._result: LiveResult | None = None
        self._looked_at: LiveResult | None = None
        self._image: QImage | None = None
        self._new = False
        self._clickable = False
        self._crossed: tuple[ByteImage, FloatArray] | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 120)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(self.tr("Picture with the faces found in it"))
        theme.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(960, 600)

    @property
    def result(self) -> LiveResult | None:
        """What is shown."""
        return self._result

    @property
    def looked_at(self) -> LiveResult | None:
        """The newest picture of what is shown whose own faces are known: what is shown, or one shortly before; else
        what is shown. Faces that are hidden now are hidden in it."""
        shown, last = self._result, self._looked_at
        if shown is None or last is None or shown.stale or shown.detections is None:
            return shown
        same = last.frame.generation == shown.frame.generation and (last.hidden is None) == (shown.hidden is None)
        return last if same else shown

    def set_view(self, view: ViewSettings) -> None:
        if view != self._view:
            self._view = view
            self.update()

    def set_clickable(self, clickable: bool) -> None:
        """Whether a click on a face means that face."""
        self._clickable = clickable
        self.setMouseTracking(clickable)
        if not clickable:
            self.unsetCursor()

    def cross_out(self, image: ByteImage, boxes: FloatArray) -> None:
        """Show that there is no face in *boxes* (N×4), as long as *image* of a frame is shown."""
        self._crossed = (image, boxes)
        self.update()

    def show_result(self, result: LiveResult | None) -> None:
        """Show *result*, or nothing."""
        self._result, self._new = result, result is not None
        if self._crossed is not None and (result is None or result.frame.image is not self._crossed[0]):
            self._crossed = None
        if result is None or result.fresh:
            self._looked_at = result
        if result is None:
            self._image = None
        else:
            picture = result.picture
            height, width = picture.shape[:2]
            # The image does not own its pixels: `self._result` keeps them alive as long as it is shown.
            self._image = QImage(picture.data, width, height, picture.strides[0], QImage.Format.Format_RGB32)
        self.update()

    def placement(self) -> Placement | None:
        """Where the picture stands on this widget."""
        if self._result is None:
            return None
        frame = self._result.frame
        return place(frame.width, frame.height, QRectF(self.rect()), self._view.mirror)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        result, image, where = self._result, self._image, self.placement()
        if result is None or image is None or where is None:
            painter.fillRect(self.rect(), QColor(self._theme.colours.stage_empty))
            return
        # Only beside the picture and under its edges, which may end within a pixel: to fill all would take as long as
        # the picture does.
        inside = where.target.toRect().adjusted(1, 1, -1, -1)
        painter.setClipRegion(QRegion(self.rect()).subtracted(QRegion(inside)))
        painter.fillRect(self.rect(), QColor(self._theme.colours.stage))
        painter.setClipping(False)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._view.mirror:
            painter.save()
            painter.translate(where.target.left() + where.target.right(), 0)
            painter.scale(-1, 1)
            painter.drawImage(where.target, image)
            painter.restore()
        else:
            painter.drawImage(where.target, image)
        faces = result.detections
        if faces is not None:
            if result.hidden is not None:
                faces = result.hidden.veiled(faces)
            paint_detections(painter, faces, where, self._view, dimmed=result.stale)
        if self._crossed is not None and self._crossed[0] is result.frame.image:
            cross_out(painter, self._crossed[1], where)
        painter.end()
        if self._new:
            self._new = False
            self.painted.emit(result)

    def face_at(self, point: QPointF) -> int | None:
        """The number of the smallest face under *point* of the widget, if faces can be clicked on."""
        faces = None if self._result is None else self._result.detections
        if not self._clickable or faces is None or faces.tracks is None:
            return None
        row = self.row_at(point, faces)
        return None if row is None else int(faces.tracks[row])

    def row_at(self, point: QPointF, faces: Detections) -> int | None:
        """Which of *faces*, those of the picture, is the smallest under *point* of the widget."""
        where = self.placement()
        if where is None:
            return None
        x, y = where.pixel(point)
        found = [
            ((right - left) * (bottom - top), row)
            for row, (left, top, right, bottom) in enumerate(faces.boxes.tolist())
            if left <= x <= right and top <= y <= bottom
        ]
        return min(found)[1] if found else None

    def from_the_left(self, faces: Detections) -> list[int]:
        """The rows of *faces* in the order in which they stand from left to right on the widget."""
        sides = faces.boxes[:, 0] + faces.boxes[:, 2]
        return (-sides if self._view.mirror else sides).argsort(kind="stable").tolist()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        by_key = event.reason() == QContextMenuEvent.Reason.Keyboard
        self.menu_wanted.emit(event.globalPos(), None if by_key else QPointF(event.pos()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        number = self.face_at(event.position())
        if number is not None and event.button() == Qt.MouseButton.LeftButton:
            self.face_clicked.emit(number)
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._clickable:
            over = self.face_at(event.position()) is not None
            self.setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.ArrowCursor)
        super().mouseMoveEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        number = self.face_at(event.position())
        if number is None:
            self.double_clicked.emit()
        else:
            self.face_clicked.emit(number)  # two clicks in a hurry are still two clicks

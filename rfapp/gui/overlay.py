"""Paints boxes, landmarks, scores and numbers with a QPainter, sharp at every scale."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from rfapp.frames import Detections, FloatArray
from rfapp.settings import ViewSettings
from rfapp.sinks.drawing import label

# The colours are those of rfapp.sinks.drawing.
#: Left eye, right eye, nose, left and right corner of the mouth, as seen in the picture.
LANDMARK_COLOURS = ("#ffd166", "#5cb2ff", "#ff8c69", "#f4f7fb", "#ff80d6")
BOX_COLOUR, SHADOW_COLOUR, LABEL_TEXT = "#3be0c5", "#0b1214", "#04211c"
#: Boxes of an earlier frame are painted this strong.
DIMMED = 0.45


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture of *width* × *height* pixels stands on the widget."""

    target: QRectF
    width: int
    height: int
    mirrored: bool

    @property
    def scale(self) -> float:
        return self.target.width() / self.width

    def point(self, x: float, y: float) -> QPointF:
        """A point of the picture, in coordinates of the widget."""
        if self.mirrored:
            x = self.width - x
        return QPointF(self.target.left() + x * self.scale, self.target.top() + y * self.scale)

    def pixel(self, point: QPointF) -> tuple[float, float]:
        """A point of the widget, in pixels of the picture."""
        x, y = (point.x() - self.target.left()) / self.scale, (point.y() - self.target.top()) / self.scale
        return (self.width - x if self.mirrored else x), y


def place(width: int, height: int, room: QRectF, mirrored: bool) -> Placement:
    """The largest upright rectangle in *room* with the picture's aspect."""
    scale = min(room.width() / width, room.height() / height)
    size_x, size_y = width * scale, height * scale
    target = QRectF(
        room.left() + (room.width() - size_x) / 2, room.top() + (room.height() - size_y) / 2, size_x, size_y
    )
    return Placement(target, width, height, mirrored)


def paint_detections(
    painter: QPainter, faces: Detections, where: Placement, view: ViewSettings, *, dimmed: bool
) -> None:
    """Paint *faces* as *view* says."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setClipRect(where.target)
    if dimmed:
        painter.setOpacity(DIMMED)
    line = _line_width(where)
    boxes = [_box_on_widget(box, where) for box in faces.boxes.tolist()]
    if view.boxes:
        _paint_boxes(painter, boxes, line)
    if view.landmarks and faces.landmarks is not None:
        for points, box in zip(faces.landmarks.tolist(), boxes, strict=True):
            _paint_landmarks(painter, points, where, box, line)
    for row, box in enumerate(boxes):
        if text := label(faces, row, scores=view.scores, numbers=view.numbers):
            _paint_label(painter, text, box, where.target)
    painter.restore()


def cross_out(painter: QPainter, boxes: FloatArray, where: Placement) -> None:
    """Paint a cross over each of *boxes* (N×4: x1, y1, x2, y2 in pixels of the picture): there is no face."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setClipRect(where.target)
    for pen in _pens(_line_width(where)):
        painter.setPen(pen)
        for box in boxes.tolist():
            on_widget = _box_on_widget(box, where)
            painter.drawLine(on_widget.topLeft(), on_widget.bottomRight())
            painter.drawLine(on_widget.topRight(), on_widget.bottomLeft())
    painter.restore()


def _line_width(where: Placement) -> float:
    return min(3.0, max(1.5, where.target.height() / 320))


def _pens(line: float) -> list[QPen]:
    """For what is drawn twice: dark and wide, then bright, so that it is seen on everything."""
    shade = QColor(SHADOW_COLOUR)
    shade.setAlpha(140)
    pens = [QPen(shade, line + 2), QPen(QColor(BOX_COLOUR), line)]
    for pen in pens:
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    return pens


def _box_on_widget(box: list[float], where: Placement) -> QRectF:
    return QRectF(where.point(box[0], box[1]), where.point(box[2], box[3])).normalized()


def _paint_boxes(painter: QPainter, boxes: list[QRectF], line: float) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in _pens(line):
        painter.setPen(pen)
        for box in boxes:
            radius = min(6.0, box.width() * 0.08)
            painter.drawRoundedRect(box, radius, radius)


def _paint_landmarks(painter: QPainter, points: list[list[float]], where: Placement, box: QRectF, line: float) -> None:
    radius = max(1.3, min(line * 1.9, box.width() / 14))
    painter.setPen(QPen(QColor(SHADOW_COLOUR), max(0.5, radius * 0.28)))
    for (x, y), colour in zip(points, LANDMARK_COLOURS, strict=True):
        if isnan(x):  # of a hidden face
            continue
        painter.setBrush(QColor(colour))
        painter.drawEllipse(where.point(x, y), radius, radius)


def _paint_label(painter: QPainter, text: str, box: QRectF, edge: QRectF) -> None:
    if box.width() < 16:
        return  # it would hide the face
    font = QFont(painter.font())
    font.setPixelSize(round(min(13.0, max(9.0, box.width() * 0.2))))
    font.setWeight(QFont.Weight.DemiBold)
    painter.setFont(font)
    metrics = QFontMetricsF(font)
    width, height = metrics.horizontalAdvance(text) + 8, metrics.height() + 2
    top = box.top() - height - 3
    if top < edge.top():
        top = box.top() + 3
    left = min(max(box.left(), edge.left() + 1), edge.right() - width - 1)
    label = QRectF(left, top, width, height)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(BOX_COLOUR))
    painter.drawRoundedRect(label, 3, 3)
    painter.setPen(QColor(LABEL_TEXT))
    painter.drawText(label, Qt.AlignmentFlag.AlignCenter, text)

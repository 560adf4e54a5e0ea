"""The picture on its widget, and what lies beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QColor, QImage, QRegion
from PySide6.QtWidgets import QWidget

from rfapp.frames import Detections, Frame
from rfapp.gui.live_view import LiveView
from rfapp.runtime import LiveResult
from rfapp.settings import ViewSettings


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("size", [(640, 480), (333, 217), (200, 477), (641, 479), (90, 3), (2, 2)], ids=str)
def test_every_pixel_is_painted(qtbot, theme, size, mirror):
    """What an earlier picture left shows nowhere: not beside the picture, and not in its edges."""
    view = LiveView(theme)
    qtbot.addWidget(view)
    view.setMinimumSize(1, 1)
    view.resize(*size)
    view.set_view(replace(ViewSettings(), mirror=mirror))
    white = np.full((48, 64, 4), 255, np.uint8)
    frame = Frame(np.full((48, 64, 3), 255, np.uint8), 0, 0.0, 0.0)
    view.show_result(LiveResult(frame, white, Detections.empty(), fresh=True))
    canvas = QImage(*size, QImage.Format.Format_RGB32)
    canvas.fill(QColor("magenta"))
    view.render(canvas, QPoint(), QRegion(view.rect()), QWidget.RenderFlag(0))
    pixels = np.frombuffer(canvas.constBits(), np.uint8).reshape(size[1], size[0], 4)[..., :3].astype(int)
    stage = np.array(QColor(theme.colours.stage).getRgb()[2::-1])
    # Every pixel lies between the stage's colour and white: magenta has no green.
    part = (pixels - stage) / (255 - stage)
    assert part.min() > -0.02
    assert np.ptp(part, axis=2).max() < 0.02
    where = view.placement().target
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    beside = (x + 1 <= where.left()) | (x >= where.right()) | (y + 1 <= where.top()) | (y >= where.bottom())
    assert np.all(pixels[beside] == stage)
    inside = (x - 1 > where.left()) & (x + 2 < where.right()) & (y - 1 > where.top()) & (y + 2 < where.bottom())
    assert np.all(pixels[inside] == 255)

"""What we take for granted of the Qt binding."""

import sys

import pytest
from PySide6.QtGui import QImage, QPainter


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from Python 3.12 on None can't be freed")
def test_calls_that_return_nothing_do_not_use_up_none(qapp):
    # PySide6 6.12.0 did, and the window ended in "deallocating None" after some minutes.
    image = QImage(8, 8, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    before = sys.getrefcount(None)
    for _ in range(500):
        painter.setOpacity(0.5)
    after = sys.getrefcount(None)
    painter.end()
    assert abs(after - before) < 100

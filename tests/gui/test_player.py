"""Sources chosen, dropped, typed in, tried again and remembered."""

from pathlib import Path

import cv2
import numpy as np
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QInputDialog

from tests.gui.test_window import button, shown_texts
from tests.runtime.fakes import Clip


def test_a_file_dropped_on_the_window_is_opened(window, qtbot, tmp_path):
    path = tmp_path / "no such clip.mp4"
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(50, 50), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    window.dropEvent(event)
    qtbot.waitUntil(lambda: "no such clip.mp4" in shown_texts(window) and "Try again" in shown_texts(window))


def test_an_error_stands_where_the_picture_would_be_and_trying_again_helps(window, qtbot, tmp_path):
    path = tmp_path / "later.png"
    window.player.open(str(path))
    qtbot.waitUntil(lambda: "There is no file" in shown_texts(window))
    assert window.view.result is None
    path.write_bytes(cv2.imencode(".png", np.full((40, 60, 3), 99, np.uint8))[1].tobytes())
    qtbot.mouseClick(button(window, "Try again"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.view.result is not None)
    assert not window.stage.card.isVisible()


def test_trying_again_leaves_the_list_as_it_is(window, qtbot, tmp_path):
    paths = [str(tmp_path / name) for name in ("missing.png", "missing too.png")]
    window.player.open_all(paths)
    qtbot.waitUntil(lambda: "There is no file" in shown_texts(window))
    qtbot.mouseClick(button(window, "Try again"), Qt.MouseButton.LeftButton)
    assert window.player.play_list.addresses == tuple(paths)
    assert "(1 of 2)" in window.toolbar.picker.toolTip() + window.toolbar.picker.text()


def test_the_menu_offers_cameras_by_name(window, qtbot):
    from rfapp.sources import Camera

    window.finder.look = lambda: None
    window.finder.found.emit([Camera("Front", 0, 200), Camera("Front (2)", 2, 200)])
    texts = [action.text() for action in window.toolbar.picker.menu().actions()]
    assert texts[:2] == ["Front", "Front (2)"]
    chosen = []
    window.toolbar.picker.chosen.connect(chosen.append)
    window.toolbar.picker.chosen.disconnect(window.player.open)
    window.toolbar.picker.menu().actions()[1].trigger()
    assert chosen == ["camera:Front (2)"]
    window.finder.found.emit([])
    assert "No camera found" in [action.text() for action in window.toolbar.picker.menu().actions()]


def test_a_relative_path_is_remembered_whole(window, qtbot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("here.mp4").touch()
    window.player.address = "here.mp4"
    window.pipeline.open(lambda: Clip(length=1000), title="here.mp4")
    qtbot.waitUntil(lambda: bool(window.player.recent))
    assert window.player.recent == (str(tmp_path / "here.mp4"),)


def test_a_network_stream_is_typed_in_and_its_password_is_not_shown(window, qtbot, monkeypatch):
    address = "http://me:secret@127.0.0.1:9/live"
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: (f"  {address} ", True))
    action = next(a for a in window.toolbar.picker.menu().actions() if "network stream" in a.text())
    action.trigger()
    qtbot.waitUntil(lambda: "can't be opened" in shown_texts(window), timeout=15_000)
    assert window.player.address == address
    assert "secret" not in shown_texts(window) + window.toolbar.picker.text() + window.toolbar.picker.toolTip()

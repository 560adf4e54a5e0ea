"""Sending to a virtual camera, as the user of the window has it."""

from __future__ import annotations

import sys

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction

from rfapp.cli.main import make_parser
from rfapp.gui.app import Start
from tests.gui.test_window import open_clip, shown_texts


def entry(window) -> QAction:
    return next(action for action in window.toolbar.menu.menu().actions() if "virtual camera" in action.text())


def test_a_key_and_the_menu_begin_and_end_it_and_the_status_line_says_so(window, qtbot, device):
    open_clip(window, length=2000)
    qtbot.waitUntil(lambda: window.view.result is not None)
    qtbot.keyClick(window, Qt.Key.Key_V)
    qtbot.waitUntil(lambda: bool(device.pictures) and f"sent to {device.name}" in window.status.text())
    assert entry(window).isChecked()
    entry(window).trigger()
    qtbot.waitUntil(lambda: device.closed == 1)
    assert not entry(window).isChecked()
    assert "sent to" not in window.status.text()


def test_without_the_library_one_sentence_says_what_to_install(window, qtbot, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    open_clip(window, length=2000)
    window.commands.toggle_sending()
    qtbot.waitUntil(lambda: "pyvirtualcam, which is not installed. Install it" in shown_texts(window))
    qtbot.waitUntil(lambda: not entry(window).isChecked())


def test_a_device_that_goes_away_ends_it_with_a_sentence(window, qtbot, device):
    open_clip(window, length=2000)
    window.commands.toggle_sending()
    qtbot.waitUntil(lambda: bool(device.pictures))
    device.broken = OSError("No such device")
    qtbot.waitUntil(lambda: "takes no more pictures" in shown_texts(window))
    qtbot.waitUntil(lambda: not entry(window).isChecked())


def test_the_option_of_the_command_line():
    assert make_parser("gui").parse_args(["gui", "sample", "--virtual-camera"]).virtual_camera
    assert not make_parser("gui").parse_args(["gui", "sample"]).virtual_camera
    assert not Start(sources=(), change=lambda saved: saved).virtual_camera

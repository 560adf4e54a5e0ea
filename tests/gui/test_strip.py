"""The strip of thumbnails: what is on it, where it leads, and what it costs."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QListView

from rfapp.gui import thumbnailer
from rfapp.runtime import Paused, Running
from rfapp.sources import thumbnails
from tests.gui.test_window import pixels

COLOURS = [(40, 40, 220), (40, 200, 40), (220, 60, 40), (30, 200, 220)]  # BGR


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "holiday"
    made.mkdir()
    for number in range(40):
        image = np.full((300, 450, 3), COLOURS[number % 4], np.uint8)
        cv2.imwrite(str(made / f"picture {number + 1}.png"), image)
    (made / "picture 3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return made


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The names of the files whose thumbnails were read."""
    names: list[str] = []
    real = thumbnails.thumbnail

    def reading(path: Path, width: int, height: int):
        names.append(path.name)
        return real(path, width, height)

    monkeypatch.setattr(thumbnails, "thumbnail", reading)
    return names


def strip_of(window) -> QListView:
    return window.findChild(QListView, "strip")


def opened(window, qtbot, folder: Path) -> QListView:
    window.player.open(str(folder))
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Running) and strip_of(window).isVisible(), timeout=10_000)
    window.player.play_or_pause()
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Paused) and window.view.result is not None)
    return strip_of(window)


def cell(strip: QListView, row: int) -> np.ndarray:
    where = strip.visualRect(strip.model().index(row, 0))
    return pixels(strip.viewport())[where.top() : where.bottom(), max(0, where.left()) : where.right()]


def has_colour(shown: np.ndarray, bgr: tuple[int, int, int]) -> bool:
    return bool((np.abs(shown.astype(int) - bgr[::-1]).max(axis=2) < 12).sum() > 1000)


def spoken(strip: QListView, row: int) -> str:
    return strip.model().index(row, 0).data(Qt.ItemDataRole.AccessibleTextRole)


def test_a_folder_has_a_strip_with_the_present_picture_marked(window, qtbot, folder):
    strip = opened(window, qtbot, folder)
    assert strip.model().rowCount() == 40
    qtbot.waitUntil(lambda: has_colour(cell(strip, 1), COLOURS[1]))
    assert has_colour(cell(strip, 0), COLOURS[0])
    assert "picture 1.png, 1 of 40" in spoken(strip, 0)
    assert "shown now" in spoken(strip, window.view.result.frame.index)
    assert strip.accessibleName()
    assert QAccessible.queryAccessibleInterface(strip).childCount() >= 40


def test_a_click_and_the_enter_key_go_to_a_picture(window, qtbot, folder):
    strip = opened(window, qtbot, folder)
    place = strip.visualRect(strip.model().index(3, 0)).center()
    qtbot.mouseClick(strip.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: window.view.result.frame.index == 3)
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Right)  # after a click the keyboard is the window's
    qtbot.waitUntil(lambda: window.view.result.frame.index == 4)
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: window.view.result.frame.index == 3)
    strip.setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Return):
        qtbot.keyClick(strip, key)
    qtbot.waitUntil(lambda: window.view.result.frame.index == 5)
    assert "shown now" in spoken(strip, 5)
    assert "shown now" not in spoken(strip, 3)
    qtbot.keyClick(strip, Qt.Key.Key_Space)  # is the window's, also while the strip has the focus
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Running))


def test_the_present_picture_is_scrolled_into_sight(window, qtbot, folder):
    strip = opened(window, qtbot, folder)
    window.pipeline.seek(38 / window.player.info.rate)
    qtbot.waitUntil(lambda: "shown now" in spoken(strip, 38))
    shown = strip.visualRect(strip.model().index(38, 0))
    assert strip.viewport().rect().contains(shown.center())
    qtbot.waitUntil(lambda: has_colour(cell(strip, 37), COLOURS[37 % 4]))


def test_a_broken_picture_says_why(window, qtbot, folder):
    strip = opened(window, qtbot, folder)
    index = strip.model().index(2, 0)
    qtbot.waitUntil(lambda: "damaged" in index.data(Qt.ItemDataRole.ToolTipRole))
    assert "damaged" in spoken(strip, 2)
    assert not has_colour(cell(strip, 2), COLOURS[2])


def test_only_what_is_in_sight_is_read(window, qtbot, folder, read):
    strip = opened(window, qtbot, folder)
    qtbot.waitUntil(lambda: has_colour(cell(strip, 1), COLOURS[1]))
    qtbot.wait(150)
    assert 0 < len(read) < 12
    assert not any("picture 30" in name for name in read)


def test_hidden_it_reads_nothing_and_that_is_remembered(make_window, qtbot, folder, read):
    window = make_window()
    opened(window, qtbot, folder)
    qtbot.keyClick(window, Qt.Key.Key_L)
    assert not strip_of(window).isVisible()
    assert not window.settings.now.view.thumbnails
    qtbot.wait(150)
    read.clear()
    window.pipeline.seek(38 / window.player.info.rate)
    qtbot.waitUntil(lambda: window.view.result.frame.index == 38)
    qtbot.wait(150)
    assert read == []
    other = make_window(window.settings.now)
    other.player.open(str(folder))
    qtbot.waitUntil(lambda: other.view.result is not None, timeout=10_000)
    assert not strip_of(other).isVisible()


def test_hidden_faces_are_hidden_in_thumbnails_too(make_window, qtbot, tmp_path):
    image = np.full((300, 450, 3), 255, np.uint8)
    image[:, ::30] = image[:, 1::30] = image[:, 2::30] = 0
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    window = make_window()
    strip = opened(window, qtbot, tmp_path)

    def contrast() -> float:
        return float(cell(strip, 1)[20:60, 20:90].astype(float).std())

    qtbot.waitUntil(lambda: contrast() > 40)
    window.commands.toggle_hiding()
    qtbot.waitUntil(lambda: contrast() < 5)
    window.commands.toggle_hiding()
    qtbot.waitUntil(lambda: contrast() > 40)


def test_a_list_of_files_has_one_too(window, qtbot, folder, tmp_path):
    names = [str(folder / f"picture {number}.png") for number in (1, 2, 4)] + [str(tmp_path / "gone.jpg")]
    window.player.open_all(names)
    strip = strip_of(window)
    qtbot.waitUntil(lambda: strip.isVisible() and has_colour(cell(strip, 2), COLOURS[3]), timeout=10_000)
    qtbot.waitUntil(lambda: "no file" in strip.model().index(3, 0).data(Qt.ItemDataRole.ToolTipRole))
    place = strip.visualRect(strip.model().index(2, 0)).center()
    qtbot.mouseClick(strip.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: window.player.address == names[2])
    qtbot.waitUntil(lambda: "shown now" in spoken(strip, 2))
    window.player.open("sample")
    qtbot.waitUntil(lambda: not strip.isVisible(), timeout=10_000)


def test_one_picture_or_a_low_window_has_none(make_window, qtbot, folder):
    window = make_window()
    window.player.open_all([str(folder / "picture 1.png")])
    qtbot.waitUntil(lambda: window.view.result is not None, timeout=10_000)
    assert not strip_of(window).isVisible()
    opened(window, qtbot, folder)
    window.resize(1000, 380)
    qtbot.waitUntil(lambda: not strip_of(window).isVisible())
    window.resize(1000, 640)
    qtbot.waitUntil(lambda: strip_of(window).isVisible())


def test_fifty_thousand_names_cost_only_what_is_in_sight(window, qtbot, tmp_path, monkeypatch):
    asked: list[str] = []

    def small(path: Path, width: int, height: int):
        asked.append(path.name)
        return np.full((60, 90, 3), 120, np.uint8)

    monkeypatch.setattr(thumbnails, "thumbnail", small)
    strip = window.strip
    names = [tmp_path / f"{number}.png" for number in range(50_000)]
    strip._show_names(names)
    strip.show()
    qtbot.waitUntil(lambda: len(asked) > 3)
    bar = strip.horizontalScrollBar()
    for step in range(200):  # as a hand that drags it does: nothing on the way is worth reading
        bar.setValue(bar.maximum() * step // 199)
    qtbot.waitUntil(lambda: "49999.png" in asked)
    assert len(asked) < 60
    assert strip.indexAt(QPoint(strip.viewport().width() - 5, 20)).row() == 49_999
    qtbot.waitUntil(lambda: not any(thread.name == "thumbnails" for thread in threading.enumerate()))


def test_what_is_kept_is_bounded(qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(thumbnailer, "MOST_KEPT", 5)
    monkeypatch.setattr(thumbnails, "thumbnail", lambda path, width, height: np.zeros((4, 6, 3), np.uint8))
    made = thumbnailer.Thumbnailer(96, 64)
    names = [str(tmp_path / f"{number}.png") for number in range(12)]
    made.want(names)
    qtbot.waitUntil(lambda: made.get(names[-1])[0])
    assert [made.get(name)[0] for name in names] == [False] * 7 + [True] * 5

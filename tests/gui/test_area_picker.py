"""A part of the screen: which pixels it is, how it is dragged, and how it is typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QAction, QGuiApplication, QPixmap, QScreen
from PySide6.QtWidgets import QApplication, QDialogButtonBox, QLabel, QSpinBox

from rfapp.gui.area_picker import AreaDialog, AreaPicker, Veil, desktop, pixels_of
from rfapp.gui.source_picker import short_name
from rfapp.sources import open_source
from tests.gui.test_window import pixels


@pytest.mark.parametrize(
    ("area", "screen", "ratio", "wanted"),
    [
        (QRect(10, 20, 300, 200), QRect(0, 0, 1920, 1080), 1.0, QRect(10, 20, 300, 200)),
        (QRect(10, 20, 300, 200), QRect(0, 0, 1280, 720), 1.5, QRect(15, 30, 450, 300)),
        # On a second screen: its corner stays where the system has it, only what is on it is scaled.
        (QRect(2020, 100, 300, 200), QRect(1920, 0, 960, 540), 2.0, QRect(2120, 200, 600, 400)),
        (QRect(-1900, 50, 100, 100), QRect(-1920, 0, 1920, 1080), 1.25, QRect(-1895, 62, 125, 126)),
        # Beyond the edge of its screen.
        (QRect(1200, 700, 300, 200), QRect(0, 0, 1280, 720), 1.5, QRect(1800, 1050, 120, 30)),
        (QRect(310, 220, -300, -200), QRect(0, 0, 1920, 1080), 1.0, QRect(10, 20, 300, 200)),
    ],
)
def test_which_pixels_an_area_is(area: QRect, screen: QRect, ratio: float, wanted: QRect) -> None:
    assert pixels_of(area, screen, ratio) == wanted


def test_a_whole_screen_is_all_its_pixels() -> None:
    for ratio, width in ((1.0, 1920), (1.25, 1536), (1.5, 1280), (1.75, 1097), (2.0, 960)):
        screen = QRect(0, 0, width, 600)
        assert pixels_of(screen, screen, ratio).width() == round(width * ratio)


@pytest.fixture
def picker(qtbot, theme, qapp: QApplication) -> Iterator[AreaPicker]:
    made = AreaPicker(theme)
    made.start()
    qtbot.waitUntil(lambda: len(made.veils) == len(QGuiApplication.screens()))
    yield made
    made.end()


@pytest.fixture
def picked(picker: AreaPicker) -> list[str]:
    addresses: list[str] = []
    picker.picked.connect(addresses.append)
    return addresses


def drag(qtbot, veil: Veil, start: tuple[int, int], end: tuple[int, int]) -> None:
    qtbot.mousePress(veil, Qt.MouseButton.LeftButton, pos=QPoint(*start))
    qtbot.mouseMove(veil, QPoint((start[0] + end[0]) // 2, (start[1] + end[1]) // 2))
    qtbot.mouseMove(veil, QPoint(*end))
    qtbot.mouseRelease(veil, Qt.MouseButton.LeftButton, pos=QPoint(*end))


def in_pixels(x: int, y: int, width: int, height: int) -> str:
    ratio = QGuiApplication.primaryScreen().devicePixelRatio()
    return "screen:" + ",".join(str(round(value * ratio)) for value in (x, y, width, height))


@pytest.mark.parametrize(("start", "end"), [((100, 80), (420, 320)), ((420, 320), (100, 80))])
def test_a_dragged_part_is_told_and_taken_with_enter(qtbot, picker, picked, start, end):
    veil = picker.veils[0]
    assert "Drag over" in veil.told()
    drag(qtbot, veil, start, end)
    assert "320×240 at 100, 80" in veil.told()
    assert veil.accessibleDescription() == veil.told()
    qtbot.keyClick(veil, Qt.Key.Key_Return)
    assert picked == [in_pixels(100, 80, 320, 240)]
    assert not picker.veils
    open_source(picked[0])  # is an address that is understood


def test_only_the_marked_part_is_light(qtbot, theme, monkeypatch):
    def grabbed(screen: QScreen, _window: int) -> QPixmap:
        picture = QPixmap(screen.size())
        picture.fill(Qt.GlobalColor.white)
        return picture

    monkeypatch.setattr(QScreen, "grabWindow", grabbed)
    veil = Veil(QGuiApplication.primaryScreen(), theme)
    qtbot.addWidget(veil)
    veil.show()
    assert pixels(veil)[400, 200].max() < 160
    drag(qtbot, veil, (100, 300), (420, 500))
    shown = pixels(veil)
    assert shown[310:490, 110:410].min() == 255
    assert shown[310:490, 430:600].max() < 160


def test_a_double_click_takes_it_too(qtbot, picker, picked):
    drag(qtbot, picker.veils[0], (100, 300), (420, 500))
    qtbot.mouseDClick(picker.veils[0], Qt.MouseButton.LeftButton, pos=QPoint(200, 400))
    assert picked == [in_pixels(100, 300, 320, 200)]


def test_a_hand_that_trembles_in_a_double_click_leaves_the_part_as_it_is(qtbot, picker, picked):
    veil = picker.veils[0]
    drag(qtbot, veil, (100, 300), (420, 500))
    drag(qtbot, veil, (200, 400), (202, 401))
    qtbot.mouseDClick(veil, Qt.MouseButton.LeftButton, pos=QPoint(202, 401))
    assert picked == [in_pixels(100, 300, 320, 200)]


def test_escape_gives_it_up(qtbot, picker, picked):
    drag(qtbot, picker.veils[0], (100, 80), (420, 320))
    qtbot.keyClick(picker.veils[0], Qt.Key.Key_Escape)
    assert picked == []
    assert not picker.veils


def test_a_click_or_a_part_too_small_for_a_face_marks_nothing(qtbot, picker, picked):
    veil = picker.veils[0]
    drag(qtbot, veil, (100, 80), (110, 300))
    assert "Drag over" in veil.told()
    drag(qtbot, veil, (100, 80), (102, 81))
    assert "Drag over" in veil.told()
    assert picked == []


def test_a_drag_beyond_the_edge_stops_there(qtbot, picker, picked):
    veil = picker.veils[0]
    drag(qtbot, veil, (veil.width() - 200, veil.height() - 100), (veil.width() + 500, veil.height() + 500))
    qtbot.keyClick(veil, Qt.Key.Key_Return)
    assert picked == [in_pixels(veil.width() - 200, veil.height() - 100, 200, 100)]


def dialog_of() -> AreaDialog:
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, AreaDialog) and w.isVisible())


def test_enter_with_nothing_marked_asks_for_numbers(qtbot, picker, picked):
    qtbot.keyClick(picker.veils[0], Qt.Key.Key_Return)
    dialog = dialog_of()
    qtbot.addWidget(dialog)
    boxes = {box.accessibleName(): box for box in dialog.findChildren(QSpinBox)}
    assert list(boxes) == ["Left", "Top", "Width", "Height"]
    for name, value in (("Left", 12), ("Top", 34), ("Width", 200), ("Height", 100)):
        boxes[name].setFocus()
        boxes[name].selectAll()
        qtbot.keyClicks(boxes[name], str(value))
    whole = desktop()
    assert any(f"{whole.width()}×{whole.height()}" in label.text() for label in dialog.findChildren(QLabel))
    box = dialog.findChild(QDialogButtonBox)
    qtbot.mouseClick(box.button(QDialogButtonBox.StandardButton.Ok), Qt.MouseButton.LeftButton)
    assert picked == ["screen:12,34,200,100"]


def entry(menu_owner, text: str) -> QAction:
    return next(action for action in menu_owner.menu().actions() if action.text() == text)


def test_it_is_on_the_list_of_sources_and_becomes_a_recent_one(window, qtbot, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr(window.pipeline, "open", lambda address, title: opened.append((address, title)))
    entry(window.toolbar.picker, "Part of the screen…").trigger()
    find: Callable[[], list[Veil]] = lambda: [  # noqa: E731
        w for w in QApplication.topLevelWidgets() if isinstance(w, Veil) and w.isVisible()
    ]
    qtbot.waitUntil(lambda: bool(find()))
    drag(qtbot, find()[0], (100, 80), (420, 320))
    qtbot.keyClick(find()[0], Qt.Key.Key_Return)
    address = in_pixels(100, 80, 320, 240)
    assert [where for where, _ in opened] == [address]
    assert "320×240" in opened[0][1]


def test_what_screens_are_called():
    assert short_name("screen") == "Screen"
    assert short_name("screen:2") == "Screen 2"
    assert short_name("screen:10,20,640,480") == "Part of the screen (640×480 at 10, 20)"

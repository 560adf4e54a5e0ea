"""The window as its user has it: clicked, typed, dragged, and looked at."""

import threading

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QAbstractButton, QLabel, QPushButton, QSlider, QWidget

from rfapp import settings as settings_store
from rfapp.errors import CameraLost, CameraNotFound, PictureUnreadable
from rfapp.gui import memory
from rfapp.gui.overlay import BOX_COLOUR, LANDMARK_COLOURS
from rfapp.runtime import Ended, Idle, Paused, Running
from rfapp.settings import Settings
from tests.runtime.fakes import Camera, Clip, FakeDetector


def open_clip(window, **about):
    clips = []

    def make() -> Clip:
        clips.append(Clip(**about))
        return clips[-1]

    window.player.address = "clip.mp4"
    window.pipeline.open(make, title="clip.mp4")
    return clips


def pixels(widget: QWidget) -> np.ndarray:
    """What the widget shows, as height × width × RGB."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def count_colour(widget: QWidget, colour: str) -> int:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], int)
    return int((np.abs(pixels(widget).astype(int) - wanted).max(axis=2) < 12).sum())


def shown_texts(window) -> str:
    labels = [w.text() for w in window.findChildren(QLabel) if w.isVisible()]
    return "\n".join(labels + [b.text() for b in window.findChildren(QPushButton) if b.isVisible()])


def button(window, text: str) -> QPushButton:
    return next(b for b in window.findChildren(QPushButton) if b.isVisible() and text in b.text())


class BigFace(FakeDetector):
    """One face in the middle of the picture."""

    def __call__(self, image, **thresholds):
        faces = super().__call__(image, **thresholds)
        faces.boxes[:] = (16, 8, 48, 40)
        faces.landmarks[:] = [(24, 18), (40, 18), (32, 24), (26, 32), (38, 32)]
        return faces


def test_the_empty_window_says_what_can_be_done_and_plays_the_sample_at_a_click(window, qtbot):
    assert "Find faces" in shown_texts(window)
    qtbot.mouseClick(button(window, "sample"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.view.result is not None, timeout=10_000)
    assert not window.stage.card.isVisible()
    assert "Sample" in window.toolbar.picker.toolTip() or "sample" in window.toolbar.picker.toolTip()


def test_faces_are_painted_over_the_picture_and_can_be_switched_off(make_window, qtbot):
    window = make_window(detector=BigFace)
    open_clip(window, length=1)
    qtbot.waitUntil(lambda: window.view.result is not None and window.view.result.fresh)
    assert count_colour(window.view, BOX_COLOUR) > 500
    assert count_colour(window.view, LANDMARK_COLOURS[0]) > 10
    for name in ("Boxes", "Landmarks", "Scores"):
        box = next(b for b in window.pane.findChildren(QAbstractButton) if b.text() == name)
        qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))
        assert not box.isChecked()
    assert count_colour(window.view, BOX_COLOUR) == 0
    assert count_colour(window.view, LANDMARK_COLOURS[0]) == 0


def test_the_overlay_stands_where_the_face_is_also_in_the_mirror(make_window, qtbot):
    class LeftFace(BigFace):
        def __call__(self, image, **thresholds):
            faces = super().__call__(image, **thresholds)
            faces.boxes[:] = (2, 8, 22, 40)
            return faces

    window = make_window(detector=LeftFace)
    window.settings.put(Settings().changed(view_scores=False, view_landmarks=False))
    open_clip(window, length=1)
    qtbot.waitUntil(lambda: window.view.result is not None and window.view.result.fresh)

    def box_columns() -> tuple[float, float]:
        shown = pixels(window.view).astype(int)
        wanted = np.array([int(BOX_COLOUR[i : i + 2], 16) for i in (1, 3, 5)])
        columns = np.flatnonzero((np.abs(shown - wanted).max(axis=2) < 12).sum(axis=0) > 50)
        return columns.min() / window.view.width(), columns.max() / window.view.width()

    where = window.view.placement().target
    width = window.view.width()
    left, right = box_columns()
    assert left == pytest.approx((where.left() + where.width() * 2 / 64) / width, abs=0.01)
    assert right == pytest.approx((where.left() + where.width() * 22 / 64) / width, abs=0.01)
    qtbot.keyClick(window, Qt.Key.Key_M)
    left, right = box_columns()
    assert left == pytest.approx((where.left() + where.width() * 42 / 64) / width, abs=0.01)
    assert right == pytest.approx((where.left() + where.width() * 62 / 64) / width, abs=0.01)


@pytest.mark.parametrize("size", [(400, 640), (1200, 420)])
def test_the_picture_keeps_its_aspect_in_every_window(make_window, qtbot, size):
    window = make_window(width=size[0], height=size[1])
    open_clip(window, length=1)
    qtbot.waitUntil(lambda: window.view.result is not None)
    target = window.view.placement().target
    assert target.width() / target.height() == pytest.approx(64 / 48, rel=0.01)
    assert window.view.rect().adjusted(-1, -1, 1, 1).contains(target.toAlignedRect())


def test_dragging_the_score_acts_on_the_running_picture(make_window, qtbot):
    made = []

    def make(settings):
        made.append(FakeDetector(settings))
        return made[-1]

    window = make_window(detector=make)
    open_clip(window, length=1000)
    qtbot.waitUntil(lambda: window.view.result is not None)
    slider = next(s for s in window.pane.findChildren(QSlider) if s.accessibleName() == "Score")
    slider.setFocus()
    for _ in range(5):
        qtbot.keyClick(slider, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: made[0].calls[-1]["score"] == pytest.approx(0.55))
    assert len(made) == 1


def test_a_size_can_be_typed_and_nonsense_is_put_back(window, qtbot):
    control = window.pane.control("detector_size")
    line = control.findChild(QWidget, "qt_spinbox_lineedit") or control._box.lineEdit()
    for typed, expected in (("704", 704), ("rubbish", 704), ("original", "original"), ("9999999", "original")):
        line.selectAll()
        qtbot.keyClicks(line, typed)
        qtbot.keyClick(line, Qt.Key.Key_Return)
        assert window.pipeline.settings.detector.size == expected
    assert line.text() == "original"


def test_every_setting_has_a_control_with_a_name_and_a_help_text(window):
    for setting in settings_store.all_settings():
        control = window.pane.control(setting.name)
        inner = [w for w in control.findChildren(QWidget) if w.accessibleName()]
        assert inner, setting.name
        assert setting.about.help.split("(")[0][:20] in control.toolTip()


def test_every_button_of_the_toolbar_has_a_name_and_a_tool_tip(window):
    for found in window.toolbar.findChildren(QAbstractButton):
        assert found.accessibleName(), found
        assert found.toolTip(), found


def test_settings_and_recent_sources_survive_a_restart(make_window, qtbot, tmp_path):
    window = make_window()
    clip = tmp_path / "clip.mp4"
    clip.touch()
    window.pane.control("detector_score")._box.setValue(0.35)
    window.player.address = str(clip)
    window.pipeline.open(lambda: Clip(length=1000), title="clip.mp4")
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Running) and bool(window.player.recent))
    window.close()
    saved, problems = settings_store.load(settings_store.settings_file())
    assert saved.detector.score == 0.35
    assert problems == []
    again = make_window(saved)
    assert again.pane.control("detector_score").value() == 0.35
    assert again.player.recent == (str(clip),)
    assert again._memory.geometry


def test_a_damaged_memory_is_no_reason_not_to_start(make_window):
    memory.memory_file().parent.mkdir(parents=True, exist_ok=True)
    memory.memory_file().write_text('geometry = "!!!"\nrecent = 3')
    assert make_window().isVisible()


def test_space_pauses_and_goes_on(window, qtbot):
    open_clip(window, length=10_000)
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Running))
    window.view.setFocus()
    qtbot.keyClick(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Paused))
    qtbot.keyClick(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Running))


def test_stop_leads_back_to_the_empty_window(window, qtbot):
    open_clip(window, length=10_000)
    qtbot.waitUntil(lambda: window.view.result is not None)
    qtbot.mouseClick(window.toolbar.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Idle) and window.stage.card.isVisible())
    assert "Find faces" in shown_texts(window)
    assert window.view.result is None


def test_full_screen_shows_only_the_picture_and_escape_leaves_it(window, qtbot):
    open_clip(window, length=10_000)
    qtbot.waitUntil(lambda: window.view.result is not None)
    qtbot.keyClick(window, Qt.Key.Key_F)
    assert window.isFullScreen()
    assert not window.toolbar.isVisible()
    assert not window.status.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not window.isFullScreen()
    assert window.toolbar.isVisible()


def test_clicking_the_time_line_goes_there(window, qtbot):
    clips = open_clip(window, length=1000)
    qtbot.waitUntil(window.timeline.isVisible)
    slider = window.timeline.findChild(QSlider)
    qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(slider.width() // 2, slider.height() // 2))
    qtbot.waitUntil(lambda: bool(clips[0].seeks) and clips[0].seeks[-1] == pytest.approx(5.0, abs=0.3))


def test_a_live_source_has_no_time_line(window, qtbot):
    window.pipeline.open(lambda: Camera([0.02] * 2000))
    qtbot.waitUntil(lambda: window.view.result is not None)
    assert not window.timeline.isVisible()


def test_one_bad_picture_is_told_in_a_strip_and_the_rest_goes_on(window, qtbot):
    open_clip(window, length=3, stills=True, problem={1: PictureUnreadable("“b.jpg” is no picture.")})
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Ended))
    qtbot.waitUntil(window.stage.banner.isVisible)
    assert "b.jpg" in window.stage.banner.text
    close = next(b for b in window.stage.banner.findChildren(QAbstractButton))
    qtbot.mouseClick(close, Qt.MouseButton.LeftButton)
    assert not window.stage.banner.isVisible()


def test_the_model_list_leads_to_another_model_without_stopping_the_picture(make_window, qtbot):
    window = make_window()
    open_clip(window, length=10_000)
    qtbot.waitUntil(lambda: window.view.result is not None and window.view.result.fresh)
    box = window.pane.control("detector_model")._box
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: window.pipeline.detector is not None and window.pipeline.detector.model == "other")
    assert isinstance(window.pipeline.state, Running)


def test_a_narrow_window_gives_its_room_to_the_picture(make_window, qtbot):
    window = make_window(width=480, height=640)
    assert not window.pane.isVisible()
    assert window.view.width() == window.width()
    qtbot.mouseClick(window.toolbar.pane, Qt.MouseButton.LeftButton)
    assert window.pane.isVisible()
    assert window.pane.geometry().right() <= window.width()
    assert window.view.width() == window.width(), "in a narrow window the settings lie over the picture"
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not window.pane.isVisible()


def test_nothing_is_cut_off_in_a_narrow_window(make_window, qtbot):
    window = make_window(width=400, height=500)
    open_clip(window, length=10_000, title="a very long name of a video that nobody wants to read to its end.mp4")
    qtbot.waitUntil(lambda: window.view.result is not None and window.view.result.fresh)
    window._refresh_status()
    for part in (window.toolbar, window.status):
        for child in part.findChildren(QWidget):
            if child.isVisibleTo(part) and isinstance(child, QLabel | QAbstractButton):
                assert child.mapTo(window, QPoint(child.width(), 0)).x() <= window.width(), child
    assert "face" in window.status.text()


def test_a_slow_paint_skips_results_and_never_stores_them(window, qtbot):
    open_clip(window, length=10_000)
    qtbot.waitUntil(lambda: window.view.result is not None and window.view.result.fresh)
    dropped = window.pipeline.statistics.dropped
    arrived = []
    window.bridge.result_arrived.connect(arrived.append)
    block = threading.Event()
    block.wait(0.5)  # Qt's thread is busy: at 100 frames a second some fifty results come meanwhile
    qtbot.wait(1)
    assert len(arrived) <= 3
    assert window.pipeline.statistics.dropped > dropped + 20


def test_the_status_line_tells_device_delay_and_faces(window, qtbot):
    open_clip(window, length=10_000)
    qtbot.waitUntil(lambda: "delay" in window.status.text(), timeout=8000)
    text = window.status.text()
    assert "CPU · fake float32" in text
    assert "1 face" in text
    assert "dropped" in text


def test_a_camera_that_went_away_stays_told_when_a_slow_detection_ends_later(make_window, qtbot):
    cameras = [Camera([0.02] * 30 + [CameraLost("“Fake Cam” is gone.")])]

    def make_source():
        if not cameras:
            raise CameraNotFound("No camera is connected.")
        return cameras.pop()

    window = make_window(detector=lambda settings: FakeDetector(settings, seconds=0.8))
    window.pipeline.open(make_source)
    qtbot.waitUntil(lambda: "Waiting for" in shown_texts(window))
    qtbot.wait(1200)
    assert "Waiting for" in shown_texts(window)
    assert window.stage.card.isVisible()

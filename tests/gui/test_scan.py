"""All faces of a video, found in the background: the key, the bar, the band on the time line, and the way along it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QAbstractButton, QMessageBox, QWidget

from rfapp.datasets.runs import RunFolder
from rfapp.frames import Detections
from rfapp.gui.dialogs import ask_about_scan, ask_results_file
from rfapp.gui.languages import speak
from rfapp.gui.toolbar import TRAIN
from rfapp.gui.window import Window
from rfapp.runtime import VideoScan
from rfapp.runtime.looks import picture_sum
from rfapp.settings import Settings
from tests.runtime.fakes import Camera
from tests.runtime.film import FACES, Counter, make_film


@pytest.fixture(autouse=True)
def scans(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("rfapp.gui.dialogs.ask_about_scan", lambda *_: True)  # when the window goes with the test
    monkeypatch.setattr("rfapp.gui.scan.VideoScan", partial(VideoScan, make_detector=Counter))
    Counter.made.clear()
    Counter.let.set()
    yield
    Counter.let.set()
    assert not [thread for thread in threading.enumerate() if thread.name == "scan" and not thread.join(5)][1:]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4")


def opened(window: Window, qtbot, film: Path) -> Window:
    window.player.open(str(film))
    qtbot.waitUntil(lambda: window.timeline.isVisible() and window.view.result is not None, timeout=10_000)
    return window


def searched(window: Window, qtbot, film: Path) -> Window:
    opened(window, qtbot, film)
    qtbot.keyClick(window, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: window.scans.running is not None)  # once it is known what is kept of the film
    qtbot.waitUntil(lambda: window.scans.running is None, timeout=20_000)
    return window


def cut_short(window: Window, qtbot, film: Path, frames: int = 30) -> Window:
    """A search that is cancelled when it has looked at so many *frames* of the film."""
    count, made = Counter.__call__, len(Counter.made)

    def some(self, image: np.ndarray, **thresholds: object) -> Detections:
        if len(self.calls) + 1 == frames:
            window.scans.running.cancel()
        return count(self, image, **thresholds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Counter, "__call__", some)
        searched(window, qtbot, film)
    assert [len(detector.calls) for detector in Counter.made[made:]] == [frames]
    return window


def coloured(band: QWidget, colour: str) -> np.ndarray:
    """How many pixels of each column of the band have the colour."""
    image = band.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    pixels = rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).astype(int)
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(pixels - wanted).max(axis=2) < 12).sum(axis=0)


def test_the_band_shows_where_faces_are_and_how_many(window, qtbot, film, theme):
    band = searched(window, qtbot, film).timeline.band
    assert band.isVisible()
    heights = coloured(band, theme.colours.accent)
    columns = np.flatnonzero(heights)
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    assert [(round(band.time_at(run[0]), 1), round(band.time_at(run[-1] + 1), 1)) for run in runs] == [
        (0.5, pytest.approx(1.25, abs=0.06)),
        (pytest.approx(2.75, abs=0.06), 3.5),
    ]
    assert heights[runs[1]].min() > 1.5 * heights[runs[0]].max()  # two faces stand higher than one
    assert "Faces in 2 stretches" in window.scans.bar.text
    assert "Faces in 2 stretches" in band.accessibleDescription()
    before = theme.colours.accent
    for name in ("dark", "light"):
        theme.want(name)
        if theme.colours.accent != before:
            assert coloured(band, theme.colours.accent).any()
            assert not coloured(band, before).any()


def test_the_band_is_sharp_at_every_scale(window, qtbot, film, theme, monkeypatch):
    band = searched(window, qtbot, film).timeline.band
    image = QImage(band.width() * 2, band.height() * 2, QImage.Format.Format_RGB888)
    image.setDevicePixelRatio(2)
    image.fill(Qt.GlobalColor.white)
    monkeypatch.setattr(band, "devicePixelRatioF", lambda: 2.0)
    band.render(image)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    shades = rows[:, : image.width() * 3].reshape(-1, 3)
    assert len(np.unique(shades, axis=0)) <= 3  # the ground, the line, the faces: nothing blurred between them


def test_keys_and_buttons_lead_from_stretch_to_stretch(window, qtbot, film):
    searched(window, qtbot, film)
    window.pipeline.pause()

    def shown() -> float:
        return window.view.result.frame.time_s

    window.timeline.go_to(0.0)
    qtbot.waitUntil(lambda: shown() == 0.0)
    qtbot.keyClick(window, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: shown() == pytest.approx(0.5, abs=0.01))
    qtbot.mouseClick(window.timeline.next, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: shown() == pytest.approx(2.75, abs=0.01))
    qtbot.keyClick(window, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)  # there is no further one
    qtbot.keyClick(window, Qt.Key.Key_Left, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: shown() == pytest.approx(0.5, abs=0.01))
    band = window.timeline.band
    left, width = window.timeline._slider.span()
    qtbot.mouseClick(band, Qt.MouseButton.LeftButton, pos=QPoint(left + width * 3 // 7, 5))
    qtbot.waitUntil(lambda: shown() == pytest.approx(1.5, abs=0.06))


def test_the_pointer_is_told_the_time_and_the_faces(window, qtbot, film):
    tip = searched(window, qtbot, film).timeline._tip
    assert tip(0.2) == "00:00 · no face"
    assert tip(1.1) == "00:01 · 1 face"
    assert tip(3.1) == "00:03 · 2 faces"
    window.timeline.show_counts(None)
    assert tip(3.1) == "00:03"


def test_it_can_be_cancelled_and_what_was_found_stays(window, qtbot, film, monkeypatch):
    opened(window, qtbot, film)
    count, hold = Counter.__call__, threading.Event()

    def some(self, image: np.ndarray, **thresholds: object) -> Detections:
        assert len(self.calls) < 30 or hold.wait(10)
        return count(self, image, **thresholds)

    monkeypatch.setattr(Counter, "__call__", some)
    qtbot.mouseClick(window.timeline.find_all, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(Counter.made) and len(Counter.made[0].calls) == 30)
    assert not window.timeline.find_all.isEnabled()
    assert window.scans.bar.cancel.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_A)  # leads to the button
    assert window.scans.bar.cancel.hasFocus()
    qtbot.keyClick(window.scans.bar.cancel, Qt.Key.Key_Space)
    hold.set()
    qtbot.waitUntil(lambda: window.scans.running is None, timeout=10_000)
    assert window.scans.bar.text == "Faces in 1 stretch, 00:01 in all · looked through up to 00:01"
    assert window.timeline.find_all.isEnabled()
    assert window.timeline.band.isVisible()


def test_the_picture_goes_on_meanwhile(window, qtbot, film):
    opened(window, qtbot, film)
    Counter.let.clear()
    window.find_all()
    qtbot.waitUntil(lambda: bool(Counter.made))
    window.timeline.go_to(1.0)
    qtbot.waitUntil(lambda: window.view.result.frame.time_s > 1.0)
    window.settings.put(Settings().changed(detector_score=0.9))
    assert window.scans.running.settings.detector.score == 0.6
    assert "Finding all faces" in window.scans.bar.text
    window.scans.cancel()


def test_another_source_does_not_end_it(window, qtbot, film, tmp_path):
    other = Path(shutil.copy(film, tmp_path / "other.mp4"))
    opened(window, qtbot, film)
    Counter.let.clear()
    window.find_all()
    opened(window, qtbot, other)
    qtbot.waitUntil(lambda: "film.mp4" in window.scans.bar.text)
    assert not window.timeline.band.isVisible()
    window.find_all()
    assert "still being looked through" in window.stage.banner.text
    Counter.let.set()
    qtbot.waitUntil(lambda: window.scans.running is None, timeout=20_000)
    assert "All faces of “film.mp4” are found" in window.stage.banner.text
    assert not window.scans.bar.isVisible()
    opened(window, qtbot, film)
    qtbot.waitUntil(window.timeline.band.isVisible)


def test_the_next_run_of_the_program_knows_it_still(make_window, qtbot, film):
    first = searched(make_window(), qtbot, film)
    first.close()
    made = len(Counter.made)
    second = opened(make_window(), qtbot, film)
    qtbot.waitUntil(second.timeline.band.isVisible)
    assert "Faces in 2 stretches" in second.scans.bar.text
    assert "mobilenet0.25" in second.scans.bar._text.toolTip()
    assert len(Counter.made) == made
    close = next(b for b in second.scans.bar.findChildren(QAbstractButton) if "away" in b.accessibleName())
    qtbot.mouseClick(close, Qt.MouseButton.LeftButton)
    assert not second.scans.bar.isVisible()
    assert second.timeline.band.isVisible()


def test_it_goes_on_where_it_was_cut_short(make_window, qtbot, film, tmp_path, monkeypatch):
    first = cut_short(make_window(), qtbot, film)
    assert first.timeline.find_all.text() == "Find the rest"
    first.close()
    second = opened(make_window(), qtbot, film)
    band, bar, button = second.timeline.band, second.scans.bar, second.timeline.find_all
    qtbot.waitUntil(band.isVisible)  # what is known of it is there at once
    assert bar.text == "Faces in 1 stretch, 00:01 in all · looked through up to 00:01"
    assert second.timeline._tip(1.1) == "00:01 · 1 face"
    assert second.timeline._tip(3.1) == "00:03 · not looked at yet"
    assert (button.text(), button.accessibleName()) == ("Find the rest", "Find the rest")
    assert "Go on" in button.toolTip()
    assert bar.over.isVisible()
    assert bar.save.isVisible()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: second.scans.running is None, timeout=20_000)
    assert len(Counter.made[1].calls) == len(FACES) - 30
    assert bar.text == "Faces in 2 stretches, 00:01 in all"
    assert not bar.over.isVisible()
    assert button.text() == "Find all faces"
    for name in ("joined", "straight"):
        monkeypatch.setattr("rfapp.gui.scan.dialogs.ask_results_file", lambda *_, name=name: tmp_path / name)
        second.scans.save()
        qtbot.waitUntil(lambda name=name: (tmp_path / name).exists())
        searched(second, qtbot, film)  # a whole one begins anew
        assert len(Counter.made[-1].calls) == len(FACES)
    assert (tmp_path / "joined").read_bytes() == (tmp_path / "straight").read_bytes()


def test_it_says_what_it_does_until_it_is_where_it_was(window, qtbot, film, monkeypatch):
    cut_short(window, qtbot, film)
    reached, hold, sums = threading.Event(), threading.Event(), []

    def sum_of(image: np.ndarray) -> int:
        sums.append(picture_sum(image))
        if len(sums) == 16:
            reached.set()
            assert hold.wait(10)
        return sums[-1]

    monkeypatch.setattr("rfapp.runtime.scan.picture_sum", sum_of)
    qtbot.keyClick(window, Qt.Key.Key_A)
    try:
        qtbot.waitUntil(reached.is_set)
        qtbot.waitUntil(lambda: "it stopped" in window.scans.bar.text)
        qtbot.waitUntil(lambda: window.scans.bar.text.endswith(": 50 %"))
        assert window.scans.bar.text == "Finding all faces · going to 00:01, where it stopped: 50 %"
        assert window.timeline._tip(1.1) == "00:01 · 1 face"
        assert window.timeline.find_all.text() == "Find the rest"
        assert not window.timeline.find_all.isEnabled()
        assert not window.scans.bar.over.isVisible()
        window.scans.cancel()  # nothing of what is known is lost
    finally:
        hold.set()
    qtbot.waitUntil(lambda: window.scans.running is None, timeout=10_000)
    assert "looked through up to 00:01" in window.scans.bar.text
    assert window.timeline.find_all.text() == "Find the rest"


def test_it_can_be_started_over(window, qtbot, film):
    cut_short(window, qtbot, film)
    qtbot.mouseClick(window.scans.bar.over, Qt.MouseButton.LeftButton)
    assert not window.scans.running.goes_on
    assert window.timeline.find_all.text() == "Find all faces"
    qtbot.waitUntil(lambda: window.scans.running is None, timeout=20_000)
    assert len(Counter.made[1].calls) == len(FACES)
    assert "Faces in 2 stretches" in window.scans.bar.text


def test_with_other_settings_it_begins_anew(window, qtbot, film):
    cut_short(window, qtbot, film)
    window.settings.change(detector_score=0.8)
    assert window.timeline.find_all.text() == "Find all faces"
    assert not window.scans.bar.over.isVisible()
    assert window.timeline.band.isVisible()  # what was found was found
    qtbot.keyClick(window, Qt.Key.Key_A)  # before it is looked up whether there is a part with these settings
    qtbot.waitUntil(lambda: window.scans.running is not None)
    qtbot.waitUntil(lambda: window.scans.running is None, timeout=20_000)
    assert len(Counter.made[1].calls) == len(FACES)


def test_settings_of_before_lead_back_to_their_part(window, qtbot, film):
    cut_short(window, qtbot, film)
    window.settings.change(detector_score=0.8)
    cut_short(window, qtbot, film, frames=20)
    assert window.scans.bar.text.endswith("looked through up to 00:01")
    assert "0.80" in window.scans.bar._text.toolTip()
    window.settings.change(detector_score=0.6, view_boxes=False)
    qtbot.waitUntil(lambda: window.timeline.find_all.text() == "Find the rest")
    assert "0.60" in window.scans.bar._text.toolTip()
    window.settings.change(hiding_how="blur")  # nothing that matters
    assert window.timeline.find_all.text() == "Find the rest"
    searched(window, qtbot, film)
    assert len(Counter.made[-1].calls) == len(FACES) - 30


def test_a_film_that_was_changed_begins_anew(window, qtbot, film, tmp_path):
    copy = Path(shutil.copy(film, tmp_path / "film.mp4"))
    cut_short(window, qtbot, copy)
    os.utime(copy, (1, 1))
    searched(window, qtbot, copy)
    assert len(Counter.made[1].calls) == len(FACES)


def test_results_are_saved_where_the_user_wants(window, qtbot, film, tmp_path, monkeypatch):
    searched(window, qtbot, film)
    for name, lines in (("faces.jsonl", len(FACES)), ("faces.csv", 1 + sum(FACES))):
        monkeypatch.setattr("rfapp.gui.scan.dialogs.ask_results_file", lambda *_, name=name: tmp_path / name)
        qtbot.mouseClick(window.scans.bar.save, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda name=name: name in window.stage.banner.text)
        assert len((tmp_path / name).read_text().splitlines()) == lines
    monkeypatch.setattr("rfapp.gui.scan.dialogs.ask_results_file", lambda *_: tmp_path / "nowhere" / "a.csv")
    qtbot.mouseClick(window.scans.bar.save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "can't be written" in window.stage.banner.text)


@pytest.mark.parametrize(
    ("typed", "kind", "path"),
    [
        ("a.csv", "JSON", "a.csv"),
        ("a", "Table", "a.csv"),
        ("a", "JSON", "a.jsonl"),
        ("film-faces.jsonl", "Table", "film-faces.csv"),
        ("", "", None),
    ],
)
def test_the_kind_of_the_results_is_that_of_the_name(window, monkeypatch, tmp_path, typed, kind, path):
    def ask(_parent, _title, _proposed, kinds):
        return (str(tmp_path / typed) if typed else ""), next((k for k in kinds.split(";;") if kind in k), "")

    monkeypatch.setattr("rfapp.gui.dialogs.QFileDialog.getSaveFileName", ask)
    assert ask_results_file(window, tmp_path / "film.mp4") == (None if path is None else tmp_path / path)


@pytest.mark.parametrize("answer", [QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No])
def test_a_file_that_was_not_named_is_not_replaced_unasked(window, monkeypatch, tmp_path, answer):
    """The system asks for “film-faces”, and not for the “film-faces.csv” that it becomes."""
    asked = []

    def ask(_parent, _title, text):
        asked.append(text)
        return answer

    def choose(_parent, _title, _proposed, kinds):
        return str(tmp_path / "film-faces"), kinds.split(";;")[1]

    monkeypatch.setattr("rfapp.gui.dialogs.QFileDialog.getSaveFileName", choose)
    monkeypatch.setattr("rfapp.gui.dialogs.QMessageBox.question", ask)
    path = tmp_path / "film-faces.csv"
    assert ask_results_file(window, tmp_path / "film.mp4") == path
    assert asked == []
    path.touch()
    chosen = ask_results_file(window, tmp_path / "film.mp4")
    assert chosen == (path if answer == QMessageBox.StandardButton.Yes else None)
    assert asked == ["“film-faces.csv” is there already. Replace it?"]


def test_closing_the_window_asks_and_leaves_no_thread(window, qtbot, film, monkeypatch):
    opened(window, qtbot, film)
    Counter.let.clear()
    window.find_all()
    qtbot.waitUntil(lambda: bool(Counter.made))
    asked = []

    def answer(box: QMessageBox) -> int:
        asked.append(box.text())
        wanted = "Cancel" if len(asked) == 1 else "Stop"
        next(button for button in box.buttons() if wanted in button.text()).click()
        return 0

    monkeypatch.setattr("rfapp.gui.dialogs.ask_about_scan", ask_about_scan)
    monkeypatch.setattr(QMessageBox, "exec", answer)
    assert not window.close()
    assert window.isVisible()
    assert "film.mp4" in asked[0]
    Counter.let.set()
    assert window.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "scan"]


def test_whoever_stays_for_it_has_no_training_stopped(window, qtbot, film, monkeypatch, tmp_path):
    opened(window, qtbot, film)
    Counter.let.clear()
    window.find_all()
    qtbot.waitUntil(lambda: bool(Counter.made))
    window.show_page(TRAIN)
    stopped = []
    with monkeypatch.context() as patch:
        patch.setattr(window.pages.training, "running", lambda: [tmp_path])
        patch.setattr("rfapp.gui.dialogs.ask_about_training", lambda *_: "stop")
        patch.setattr("rfapp.gui.dialogs.ask_about_scan", lambda *_: False)
        patch.setattr(RunFolder, "stop", stopped.append)
        assert not window.close()
    assert stopped == []
    Counter.let.set()


def test_a_live_source_has_nothing_to_look_through(window, qtbot):
    window.pipeline.open(lambda: Camera([0.02] * 2000))
    qtbot.waitUntil(lambda: window.view.result is not None)
    find = next(a for a in window.toolbar.menu.menu().actions() if "all faces" in a.text())
    assert not find.isEnabled()
    qtbot.keyClick(window, Qt.Key.Key_A)
    assert window.scans.running is None
    assert not window.scans.bar.isVisible()


def test_a_damaged_video_keeps_what_could_be_read(window, qtbot, test_data):
    searched(window, qtbot, test_data / "clips" / "broken" / "cut_short.mkv")
    assert "cut off" in window.scans.bar.text
    assert window.timeline.band.isVisible()


def test_a_failure_is_told(window, qtbot, film, monkeypatch):
    def broken(self, image: np.ndarray, **thresholds: object) -> Detections:
        raise KeyError("no such thing")

    monkeypatch.setattr(Counter, "__call__", broken)
    searched(window, qtbot, film)
    assert "That did not work" in window.scans.bar.text
    assert window.timeline.find_all.isEnabled()


def test_full_screen_shows_the_picture_alone(window, qtbot, film):
    searched(window, qtbot, film)
    window.toggle_full_screen()
    assert not window.scans.bar.isVisible()
    window.toggle_full_screen()
    assert window.scans.bar.isVisible()


@pytest.mark.parametrize("width", [360, 520, 1180])
def test_there_is_room_for_it_in_every_window(make_window, qtbot, film, width):
    window = make_window(width=width, height=480)
    searched(window, qtbot, film)
    check_room(window, window.scans.bar.save)


@pytest.mark.parametrize(("width", "language"), [(360, "de"), (360, "es"), (520, "de"), (1180, "de")])
def test_there_is_room_for_going_on_in_every_window(make_window, qtbot, qapp, film, width, language):
    try:
        speak(qapp, language)
        window = make_window(width=width, height=480)
        cut_short(window, qtbot, film)
        check_room(window, window.scans.bar.save, window.scans.bar.over)
    finally:
        speak(qapp, "en")


def check_room(window: Window, *buttons: QWidget) -> None:
    parts = [window.timeline.previous, window.timeline.next, window.timeline.find_all, *buttons]
    for part in (*parts, window.timeline.band):
        where = part.mapTo(window, QPoint(part.width(), 0)).x()
        assert part.isVisible()
        assert where <= window.width(), part.accessibleName()
        assert part is window.timeline.band or part.width() >= part.sizeHint().width(), part.accessibleName()
    assert window.timeline.band.width() > 60
    assert all(part.accessibleName() or part.text() for part in parts)

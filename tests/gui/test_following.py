"""Followed and hidden faces and recordings, as the user of the window has them."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QStandardPaths, Qt
from PySide6.QtWidgets import QAbstractButton

from rfapp.runtime import Ended, Paused, Running
from rfapp.settings import Settings
from rfapp.sources.video import Video
from tests.gui.test_window import count_colour, pixels, shown_texts
from tests.runtime.fakes import HEIGHT, WIDTH, Clip
from tests.runtime.test_following import FACES, Patterned, TwoFaces

FILLED = (54, 60, 66)  # the colour of a hidden face, RGB
HIDDEN = Settings().changed(hiding_how="fill", view_boxes=False, view_scores=False)


def play(window, qtbot, kind=Patterned, **about) -> None:
    window.player.address = "clip.mp4"
    window.pipeline.open(lambda: kind(**about), title="clip.mp4")
    qtbot.waitUntil(lambda: window.view.result is not None and window.view.result.fresh)


def pause(window, qtbot) -> None:
    qtbot.keyClick(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Paused))


def middle(window, face: int) -> QPoint:
    box = FACES[face]
    where = window.view.placement().point(float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
    return QPointF(where).toPoint()


def is_hidden(window, face: int) -> bool:
    point = middle(window, face)
    return all(abs(int(a) - b) < 6 for a, b in zip(pixels(window.view)[point.y(), point.x()], FILLED, strict=True))


def test_following_counts_people_and_writes_numbers(make_window, qtbot):
    window = make_window(Settings().changed(view_boxes=False, view_scores=False), detector=TwoFaces)
    play(window, qtbot, Clip, length=3000)
    assert count_colour(window.view, "#3be0c5") == 0
    qtbot.keyClick(window, Qt.Key.Key_T)
    box = next(b for b in window.pane.findChildren(QAbstractButton) if b.text() == "Follow faces")
    assert box.isChecked()
    qtbot.waitUntil(lambda: "2 faces · 2 people so far" in window.status.text(), timeout=8000)
    assert count_colour(window.view, "#3be0c5") > 50  # the labels
    qtbot.keyClick(window, Qt.Key.Key_T)
    qtbot.waitUntil(lambda: "people" not in window.status.text())


def test_hiding_at_a_click_and_by_key_in_the_way_that_was_last_chosen(make_window, qtbot):
    window = make_window(HIDDEN, detector=TwoFaces)
    play(window, qtbot, length=3000)
    pause(window, qtbot)
    assert window.toolbar.hide_faces.isChecked()
    assert is_hidden(window, 0)
    assert is_hidden(window, 1)
    qtbot.mouseClick(window.toolbar.hide_faces, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not is_hidden(window, 0))
    qtbot.keyClick(window, Qt.Key.Key_H)
    qtbot.waitUntil(lambda: is_hidden(window, 0))
    assert window.settings.now.hiding.how == "fill"


def test_a_click_on_a_face_shows_it_and_hides_it_again(make_window, qtbot):
    window = make_window(HIDDEN, detector=TwoFaces)
    play(window, qtbot, length=3000)
    pause(window, qtbot)
    qtbot.mouseClick(window.view, Qt.MouseButton.LeftButton, pos=middle(window, 1))
    qtbot.waitUntil(lambda: not is_hidden(window, 1))
    assert is_hidden(window, 0)
    qtbot.mouseClick(window.view, Qt.MouseButton.LeftButton, pos=middle(window, 1))
    qtbot.waitUntil(lambda: is_hidden(window, 1))
    qtbot.mouseClick(window.view, Qt.MouseButton.LeftButton, pos=QPoint(3, 3))
    assert window.pipeline.shown_faces == frozenset()


def test_the_keys_1_to_9_mean_the_faces_from_left_to_right_as_shown(make_window, qtbot):
    window = make_window(HIDDEN, detector=TwoFaces)
    play(window, qtbot, length=3000)
    pause(window, qtbot)
    qtbot.keyClick(window, Qt.Key.Key_2)
    qtbot.waitUntil(lambda: not is_hidden(window, 1))
    qtbot.keyClick(window, Qt.Key.Key_2)
    qtbot.waitUntil(lambda: is_hidden(window, 1))
    qtbot.keyClick(window, Qt.Key.Key_M)
    qtbot.keyClick(window, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: not is_hidden(window, 1))
    qtbot.keyClick(window, Qt.Key.Key_9)  # there is none
    assert is_hidden(window, 0)


def test_a_click_means_nothing_while_faces_are_shown_and_a_double_click_on_the_rest_is_full_screen(make_window, qtbot):
    window = make_window(detector=TwoFaces)
    play(window, qtbot, length=3000)
    qtbot.mouseClick(window.view, Qt.MouseButton.LeftButton, pos=middle(window, 0))
    assert window.pipeline.shown_faces == frozenset()
    qtbot.keyClick(window, Qt.Key.Key_H)
    qtbot.waitUntil(lambda: window.view.result.hidden is not None)
    qtbot.mouseDClick(window.view, Qt.MouseButton.LeftButton, pos=QPoint(3, 3))
    qtbot.waitUntil(window.isFullScreen)


def test_a_snapshot_hides_what_the_window_hides(make_window, qtbot, tmp_path, monkeypatch):
    from rfapp.sources import read_picture

    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda kind: str(tmp_path))
    window = make_window(HIDDEN, detector=TwoFaces)
    play(window, qtbot, length=3000)
    qtbot.keyClick(window, Qt.Key.Key_S)
    qtbot.waitUntil(lambda: "Saved as" in shown_texts(window), timeout=8000)
    (file,) = (tmp_path / "rfapp").glob("*.png")
    image = read_picture(file)
    for left, top, right, bottom in FACES.astype(int):
        assert (image[top:bottom, left:right, ::-1] == FILLED).all()


@pytest.fixture
def videos(tmp_path, monkeypatch):
    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda kind: str(tmp_path))
    return tmp_path / "rfapp"


def test_recording_at_a_click_until_the_next(make_window, qtbot, videos):
    window = make_window(detector=TwoFaces)
    assert not window.toolbar.record.isEnabled()
    play(window, qtbot, length=3000)
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Running))
    qtbot.mouseClick(window.toolbar.record, Qt.MouseButton.LeftButton)
    assert window.toolbar.record.isChecked()
    assert window.toolbar.record.accessibleName() == "Stop recording"
    qtbot.waitUntil(lambda: "● 00:01" in window.status.text(), timeout=8000)
    qtbot.keyClick(window, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: "Recorded " in shown_texts(window), timeout=8000)
    assert not window.toolbar.record.isChecked()
    (video,) = videos.glob("*.mp4")
    with Video(video) as source:
        source.open()
        frames = sum(1 for _ in iter(source.read, None))
    lines = [json.loads(line) for line in video.with_suffix(".jsonl").read_text().splitlines()]
    assert frames == len(lines) > 30
    assert str(video) in shown_texts(window)


def test_a_recording_that_fails_is_said_and_the_picture_goes_on(make_window, qtbot, videos):
    videos.write_text("a file where the folder would be")
    window = make_window(detector=TwoFaces)
    play(window, qtbot, length=3000)
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Running))
    qtbot.keyClick(window, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: "can't be written" in shown_texts(window), timeout=8000)
    assert not window.toolbar.record.isChecked()
    index = window.view.result.frame.index
    qtbot.waitUntil(lambda: window.view.result.frame.index > index)


def test_a_minimised_window_goes_on_recording(make_window, qtbot, videos):
    window = make_window(detector=TwoFaces)
    window.pipeline.open(lambda: Clip(length=5000), title="clip.mp4")
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Running) and window.view.result is not None)
    window.commands.toggle_recording()
    window.pipeline.sleep(True)
    before = window.pipeline.recording.frames
    qtbot.waitUntil(lambda: window.pipeline.recording.frames > before + 20, timeout=8000)
    window.pipeline.sleep(False)
    window.pipeline.stop_recording()
    qtbot.waitUntil(lambda: window.pipeline.recording is None, timeout=8000)


def test_closing_the_window_completes_the_recording(make_window, qtbot, videos):
    window = make_window(detector=TwoFaces)
    window.pipeline.open(lambda: Clip(length=5000), title="clip.mp4")
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Running) and window.view.result is not None)
    window.commands.toggle_recording()
    qtbot.waitUntil(lambda: window.pipeline.recording.frames > 20, timeout=8000)
    assert window.close()
    assert window.pipeline.close(10)
    (video,) = videos.glob("*.mp4")
    with Video(video) as source:
        assert source.open().duration_s
        assert sum(1 for _ in iter(source.read, None)) > 20


def test_new_controls_have_names(make_window):
    window = make_window()
    for button in (window.toolbar.record, window.toolbar.hide_faces):
        assert button.accessibleName()
        assert "(" in button.toolTip()  # its key
    for name in ("tracking_on", "tracking_smooth", "hiding_how", "view_numbers", "recording_content"):
        control = window.pane.control(name)
        assert any(child.accessibleName() for child in control.findChildren(object) if hasattr(child, "accessibleName"))


def test_the_faces_of_the_picture_are_cut_out_by_key(make_window, qtbot, videos):
    window = make_window(detector=TwoFaces)
    play(window, qtbot, length=3000)
    qtbot.keyClick(window, Qt.Key.Key_C)
    qtbot.waitUntil(lambda: "2 faces saved in" in shown_texts(window), timeout=8000)
    assert len(list((videos / "faces").glob("*.png"))) == 2


def test_steps_and_speed_by_key(make_window, qtbot):
    window = make_window(detector=TwoFaces)
    play(window, qtbot, Clip, length=3000, rate=30)
    pause(window, qtbot)
    at = window.view.result.frame.index
    qtbot.keyClick(window, Qt.Key.Key_Period)
    qtbot.waitUntil(lambda: window.view.result.frame.index == at + 1)
    qtbot.keyClick(window, Qt.Key.Key_Comma)
    qtbot.waitUntil(lambda: window.view.result.frame.index == at)
    qtbot.keyClick(window, Qt.Key.Key_BracketRight)
    assert window.pipeline.settings.source.speed == 2
    qtbot.keyClick(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: "video ×2" in window.status.text(), timeout=8000)
    qtbot.keyClick(window, Qt.Key.Key_BracketLeft)
    qtbot.keyClick(window, Qt.Key.Key_BracketLeft)
    assert window.pipeline.settings.source.speed == 0.5
    qtbot.keyClick(window, Qt.Key.Key_Backspace)
    assert window.pipeline.settings.source.speed == 1


def test_several_files_play_one_after_the_other(make_window, qtbot, tmp_path):
    from rfapp.frames import Detections, Frame
    from rfapp.sinks.video import VideoSink

    paths = []
    for number in range(3):
        paths.append(str(tmp_path / f"clip{number}.mp4"))
        with VideoSink(tmp_path / f"clip{number}.mp4", rate=25) as sink:
            for index in range(10):
                image = np.full((HEIGHT, WIDTH, 3), 60 * number, np.uint8)
                sink.append(Frame(image, index, index / 25, 0.0), Detections.empty())
    window = make_window(detector=TwoFaces)
    titles = []
    window.toolbar.picker.show_title = lambda address, title: titles.append(title)
    window.player.open_all(paths)
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Ended) and len(set(titles)) == 3, timeout=15_000)
    assert list(dict.fromkeys(titles)) == [f"clip{number}.mp4 ({number + 1} of 3)" for number in range(3)]
    qtbot.keyClick(window, Qt.Key.Key_P)
    qtbot.waitUntil(lambda: titles[-1] == "clip1.mp4 (2 of 3)")
    qtbot.keyClick(window, Qt.Key.Key_P)
    qtbot.keyClick(window, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: titles[-1] == "clip1.mp4 (2 of 3)")
    window.player.open(paths[2])
    qtbot.waitUntil(lambda: titles[-1] == "clip2.mp4")


def test_a_picture_of_a_list_is_shown_for_a_while(make_window, qtbot, tmp_path):
    import cv2

    for number in range(2):
        cv2.imwrite(str(tmp_path / f"p{number}.png"), np.full((HEIGHT, WIDTH, 3), 100, np.uint8))
    window = make_window(Settings().changed(source_picture_seconds=0.6), detector=TwoFaces)
    began = time.monotonic()
    window.player.open_all([str(tmp_path / f"p{number}.png") for number in range(2)])
    qtbot.waitUntil(lambda: window.player.address.endswith("p1.png"), timeout=10_000)
    assert time.monotonic() - began > 0.5

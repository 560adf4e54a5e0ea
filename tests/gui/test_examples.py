"""“Keep as an example”, as the user of the window has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QStandardPaths, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QApplication, QMenu

from rfapp.datasets import open_dataset
from rfapp.frames import Detections
from rfapp.gui.overlay import BOX_COLOUR
from rfapp.gui.toolbar import TRAIN
from rfapp.runtime import Ended
from rfapp.settings import Settings
from rfapp.sinks.examples import ExampleFolder
from rfapp.sources import read_picture
from tests.gui.test_following import FACES, HIDDEN, middle, pause, play
from tests.gui.test_window import pixels
from tests.runtime.fakes import Clip, FakeDetector, index_of
from tests.runtime.test_following import Patterned, TwoFaces

KEEP = "Keep as an example (K)"
NOT_A_FACE, AFTER_ALL = "Not a face: keep as an example", "A face after all: keep as an example"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where examples lie."""
    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda *_: str(tmp_path))
    return tmp_path / "rfapp" / "examples"


def press(window, qtbot, key, number: int) -> str:
    """Press *key* and wait until the window tells that *number* examples are kept; what it says."""
    window.stage.banner.tell("")
    window.activateWindow()  # which a desktop does by itself when a menu is closed
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window, key)
    return told(window, qtbot, number)


def told(window, qtbot, number: int) -> str:
    qtbot.waitUntil(lambda: f"{number} so far" in window.stage.banner.text)
    return window.stage.banner.text


def menu_at(window, qtbot, point: QPoint | None) -> QMenu:
    """The menu of a right click at *point* of the picture, or of the menu key."""
    reason = QContextMenuEvent.Reason
    place = window.view.rect().center() if point is None else point
    kind = reason.Keyboard if point is None else reason.Mouse
    QApplication.sendEvent(window.view, QContextMenuEvent(kind, place, window.view.mapToGlobal(place)))
    qtbot.waitUntil(lambda: QApplication.activePopupWidget() is not None)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def texts(menu: QMenu) -> list[str]:
    return [action.text() for action in menu.actions() if action.text()]


def offered(window, qtbot, point: QPoint | None) -> list[str]:
    menu = menu_at(window, qtbot, point)
    found = texts(menu)
    menu.close()
    qtbot.waitUntil(lambda: QApplication.activePopupWidget() is None)
    return found


def choose(window, qtbot, point: QPoint | None, text: str) -> None:
    window.stage.banner.tell("")
    menu = menu_at(window, qtbot, point)
    action = next(action for action in menu.actions() if action.text() == text)
    qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(action).center())
    qtbot.waitUntil(lambda: QApplication.activePopupWidget() is None)


def kept(folder: Path) -> dict[str, np.ndarray]:
    """Name of each picture → its boxes."""
    return {sample.picture.name: sample.boxes for sample in open_dataset(folder / "label.txt").samples}


def shown(make_window, qtbot, settings: Settings | None = None, *, detector=TwoFaces, **about):
    window = make_window(settings, detector=detector)
    play(window, qtbot, **{"length": 3000, **about})
    pause(window, qtbot)
    qtbot.waitUntil(lambda: window.view.result.fresh)
    return window


def test_the_key_keeps_the_bare_picture_and_its_faces_and_tells_it(make_window, qtbot, folder):
    window = shown(make_window, qtbot)
    text = press(window, qtbot, Qt.Key.Key_K, 1)
    ((name, boxes),) = kept(folder).items()
    assert "2 faces" in text
    assert str(folder / "images" / name) in text
    assert "hidden" not in text
    assert np.array_equal(read_picture(folder / "images" / name), window.view.result.frame.image)
    assert boxes.tolist() == FACES.tolist()


def test_again_is_the_same_example_with_the_faces_of_now(make_window, qtbot, folder):
    window = shown(make_window, qtbot)
    press(window, qtbot, Qt.Key.Key_K, 1)
    index = window.view.result.frame.index
    window.settings.put(window.settings.now.changed(detector_score=0.85))
    assert "1 face)" in press(window, qtbot, Qt.Key.Key_K, 1), "the second face has a score of 0.8"
    assert [boxes.tolist() for boxes in kept(folder).values()] == [FACES[:1].tolist()]
    qtbot.keyClick(window, Qt.Key.Key_Period)
    qtbot.waitUntil(lambda: window.view.result.frame.index == index + 1 and window.view.result.fresh)
    press(window, qtbot, Qt.Key.Key_K, 2)
    assert len(kept(folder)) == 2


def test_hidden_faces_can_be_seen_in_the_example_and_that_is_said(make_window, qtbot, folder):
    window = shown(make_window, qtbot, HIDDEN)
    assert "In the file faces are not hidden" in press(window, qtbot, Qt.Key.Key_K, 1)
    (name,) = kept(folder)
    image = read_picture(folder / "images" / name)
    assert np.array_equal(image, window.view.result.frame.image)
    assert np.ptp(image[12:26, 6:18]) > 200, "nothing is filled in"


def test_mirrored_and_drawn_over_is_only_the_view(make_window, qtbot, folder):
    window = shown(make_window, qtbot, Settings().changed(view_mirror=True))
    press(window, qtbot, Qt.Key.Key_K, 1)
    ((name, boxes),) = kept(folder).items()
    assert np.array_equal(read_picture(folder / "images" / name), window.view.result.frame.image)
    assert boxes.tolist() == FACES.tolist()


def test_faces_that_are_followed_below_the_score_are_no_labels(make_window, qtbot, folder):
    class Fading(TwoFaces):
        """The second face is sure at first, and then faint."""

        def __call__(self, image, **thresholds):
            faces = super().__call__(image, **thresholds)
            if len(self.calls) > 3:
                faces.scores[1] = 0.4
            return faces

    window = make_window(Settings().changed(tracking_on=True), detector=Fading)
    play(window, qtbot, length=40)
    qtbot.waitUntil(lambda: isinstance(window.pipeline.state, Ended) and window.view.result.frame.index == 39)
    assert len(window.view.result.detections) == 2
    assert window.view.result.detections.scores.min() < 0.5
    assert "1 face)" in press(window, qtbot, Qt.Key.Key_K, 1)


# ---------------------------------------------------------------------------------------------- the menu


def test_not_a_face_takes_out_that_one_and_again_another_one(make_window, qtbot, folder):
    window = shown(make_window, qtbot)
    choose(window, qtbot, middle(window, 0), NOT_A_FACE)
    assert "1 face)" in told(window, qtbot, 1)
    assert [boxes.tolist() for boxes in kept(folder).values()] == [FACES[1:].tolist()]
    choose(window, qtbot, middle(window, 1), NOT_A_FACE)
    assert "no face" in told(window, qtbot, 1)
    assert [len(boxes) for boxes in kept(folder).values()] == [0]
    assert len(list((folder / "images").iterdir())) == 1


def test_what_is_no_face_stays_none_and_can_be_taken_back(make_window, qtbot, folder):
    window = shown(make_window, qtbot)
    choose(window, qtbot, middle(window, 1), NOT_A_FACE)
    told(window, qtbot, 1)
    window.settings.put(window.settings.now.changed(detector_score=0.3))
    qtbot.waitUntil(lambda: window.view.result.repeated)
    press(window, qtbot, Qt.Key.Key_K, 1)
    assert [boxes.tolist() for boxes in kept(folder).values()] == [FACES[:1].tolist()], "the key forgot it"
    assert offered(window, qtbot, middle(window, 0)) == [NOT_A_FACE, KEEP]
    choose(window, qtbot, middle(window, 1), AFTER_ALL)
    assert "2 faces" in told(window, qtbot, 1)
    assert [boxes.tolist() for boxes in kept(folder).values()] == [FACES.tolist()]


def test_beside_the_faces_there_is_only_the_general_one(make_window, qtbot, folder):
    window = shown(make_window, qtbot)
    corner = window.view.placement().point(62, 46).toPoint()
    assert offered(window, qtbot, corner) == [KEEP]
    choose(window, qtbot, corner, KEEP)
    assert "2 faces" in told(window, qtbot, 1)


def test_the_face_under_the_mouse_is_meant_in_the_mirror_and_while_faces_are_hidden(make_window, qtbot, folder):
    window = shown(make_window, qtbot, HIDDEN.changed(view_mirror=True))
    choose(window, qtbot, middle(window, 0), NOT_A_FACE)
    told(window, qtbot, 1)
    assert [boxes.tolist() for boxes in kept(folder).values()] == [FACES[1:].tolist()]
    assert not window.pipeline.shown_faces, "the click showed a face"


def is_crossed_out(window, face: int) -> bool:
    point = middle(window, face)
    part = pixels(window.view)[point.y() - 3 : point.y() + 4, point.x() - 3 : point.x() + 4].astype(int)
    wanted = [int(BOX_COLOUR[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(part - wanted).max(axis=2) < 12).any())


def test_what_is_no_face_is_crossed_out_as_long_as_its_picture_is_shown(make_window, qtbot, folder):
    window = shown(make_window, qtbot, Settings().changed(view_mirror=True, view_landmarks=False, view_scores=False))
    choose(window, qtbot, middle(window, 1), NOT_A_FACE)
    assert [is_crossed_out(window, face) for face in (0, 1)] == [False, True]
    window.settings.put(window.settings.now.changed(detector_score=0.5))
    qtbot.waitUntil(lambda: window.view.result.repeated)
    assert is_crossed_out(window, 1), "the same picture, searched again"
    choose(window, qtbot, middle(window, 1), AFTER_ALL)
    assert not is_crossed_out(window, 1)
    choose(window, qtbot, middle(window, 0), NOT_A_FACE)
    index = window.view.result.frame.index
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window, Qt.Key.Key_Period)
    qtbot.waitUntil(lambda: window.view.result.frame.index == index + 1)
    assert not is_crossed_out(window, 0)
    qtbot.keyClick(window, Qt.Key.Key_Comma)
    qtbot.waitUntil(lambda: window.view.result.frame.index == index and window.view.result.fresh)
    qtbot.waitUntil(lambda: is_crossed_out(window, 0))
    assert not is_crossed_out(window, 1)


@pytest.mark.parametrize(("mirror", "first"), [(False, 0), (True, 1)])
def test_the_menu_key_offers_every_face_from_left_to_right(make_window, qtbot, folder, mirror, first):
    window = shown(make_window, qtbot, Settings().changed(view_mirror=mirror))
    names = [f"Face {number} from the left: not a face" for number in (1, 2)]
    assert offered(window, qtbot, None) == [*names, KEEP]
    choose(window, qtbot, None, names[0])
    told(window, qtbot, 1)
    assert [boxes.tolist() for boxes in kept(folder).values()] == [FACES[[1 - first]].tolist()]
    assert offered(window, qtbot, None) == ["Face 1 from the left: a face after all", names[1], KEEP]


def test_the_menu_means_the_picture_that_it_was_opened_over(make_window, qtbot, folder):
    class Moving(FakeDetector):
        def __call__(self, image, **thresholds):
            faces = super().__call__(image, **thresholds)
            faces.boxes[:] = (16, 8, 48, 40)
            return faces

    window = make_window(detector=Moving)
    play(window, qtbot, length=3000)
    menu = menu_at(window, qtbot, window.view.placement().point(32, 24).toPoint())
    index = window.view.result.frame.index
    qtbot.waitUntil(lambda: window.view.result.frame.index > index + 20)
    assert texts(menu) == [NOT_A_FACE, KEEP]
    qtbot.keyClick(menu, Qt.Key.Key_Down)
    qtbot.keyClick(menu, Qt.Key.Key_Return)
    told(window, qtbot, 1)
    ((name, boxes),) = kept(folder).items()
    assert not len(boxes)
    assert index_of(read_picture(folder / "images" / name)) <= index


def test_without_a_picture_there_is_neither_command_nor_menu(window, qtbot, folder):
    (action,) = [action for action in window.toolbar.menu.menu().actions() if action.text() == KEEP]
    assert not action.isEnabled()
    qtbot.keyClick(window, Qt.Key.Key_K)
    place = window.view.rect().center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, window.view.mapToGlobal(place))
    QApplication.sendEvent(window.view, event)
    assert QApplication.activePopupWidget() is None
    play(window, qtbot, length=3000)
    assert action.isEnabled()
    action.trigger()
    told(window, qtbot, 1)
    window.pipeline.stop()
    qtbot.waitUntil(lambda: not action.isEnabled())
    assert len(kept(folder)) == 1


def test_a_picture_that_was_not_searched_yet_is_not_kept_as_one_without_faces(make_window, qtbot, folder):
    window = make_window(detector=lambda settings: TwoFaces(settings, seconds=0.8))
    window.player.address = "pictures"
    window.pipeline.open(lambda: Clip(length=2, rate=0.5, stills=True), title="pictures")
    qtbot.waitUntil(lambda: window.view.result is not None and window.view.result.frame.index == 1)
    assert window.view.result.detections is not None, "the boxes of the last picture"
    assert not window.view.result.fresh
    qtbot.keyClick(window, Qt.Key.Key_K)
    assert "not known yet" in window.stage.banner.text
    menu = menu_at(window, qtbot, middle(window, 0))
    assert [(action.text(), action.isEnabled()) for action in menu.actions()] == [(KEEP, False)]
    menu.close()
    qtbot.waitUntil(lambda: window.view.result.fresh)
    press(window, qtbot, Qt.Key.Key_K, 1)
    assert len(list((folder / "images").iterdir())) == 1


def test_while_a_film_is_faster_than_the_detection_the_last_searched_picture_is_kept(make_window, qtbot, folder):
    window = make_window(detector=lambda settings: TwoFaces(settings, seconds=0.4))
    window.pipeline.open(lambda: Patterned(length=3000, rate=50.0), title="clip.mp4")
    qtbot.waitUntil(lambda: window.view.result is not None and window.view.result.detections is not None)
    assert "2 faces" in press(window, qtbot, Qt.Key.Key_K, 1)
    ((name, boxes),) = kept(folder).items()
    assert boxes.tolist() == FACES.tolist()
    assert index_of(read_picture(folder / "images" / name)) < window.view.result.frame.index


def test_an_example_that_can_not_be_written_is_told(make_window, qtbot, folder):
    folder.parent.mkdir(parents=True)
    folder.touch()
    window = shown(make_window, qtbot)
    qtbot.keyClick(window, Qt.Key.Key_K)
    qtbot.waitUntil(lambda: "can't be written" in window.stage.banner.text)


# ---------------------------------------------------------------------------------------------- learning from them


def keep(folder: Path, seed: int, faces: int) -> None:
    frame = Patterned(length=1).read()
    frame.image.flags.writeable = True
    frame.image[1, 1] = seed
    points = np.repeat(FACES[:, None, :2] + 4, 5, axis=1)
    detections = Detections(FACES, np.array([0.9, 0.8], np.float32), points)
    ExampleFolder(folder).keep(frame, detections[:faces])


def test_the_page_of_training_offers_examples_until_pictures_are_chosen(make_window, qtbot, folder):
    window = make_window()
    window.show_page(TRAIN)
    form = window.pages.training.form
    assert not form.use_examples.isVisible(), "there are none"
    keep(folder, 1, faces=2)
    keep(folder, 2, faces=0)
    window.show_page(0)
    window.show_page(TRAIN)
    assert form.use_examples.isVisible()
    assert form.use_examples.text() == "Use my examples (2)"
    assert not form.use_as_empty.isVisible()
    qtbot.mouseClick(form.use_examples, Qt.MouseButton.LeftButton)
    assert not form.use_examples.isVisible()
    qtbot.waitUntil(lambda: "2 of 2 pictures can be used, 2 faces" in form.findings.text(), timeout=10_000)
    words = form.command(folder / "run")
    assert words[:3] == ["train", "--data", str(folder)]
    assert "--negatives" not in words


def test_examples_without_any_face_are_offered_as_pictures_without_faces(make_window, qtbot, folder):
    keep(folder, 1, faces=0)
    window = make_window()
    window.show_page(TRAIN)
    form = window.pages.training.form
    assert not form.use_examples.isVisible()
    assert form.use_as_empty.text() == "Use my examples (1)"
    qtbot.mouseClick(form.use_as_empty, Qt.MouseButton.LeftButton)
    assert not form.use_as_empty.isVisible()
    assert form.data.path == ""
    words = form.command(folder / "run")
    assert words[words.index("--negatives") + 1] == str(folder)


def test_examples_are_not_offered_where_pictures_are_chosen(make_window, qtbot, folder, tmp_path):
    keep(folder, 1, faces=1)
    window = make_window()
    window.show_page(TRAIN)
    form = window.pages.training.form
    assert form.use_examples.isVisible()
    form.data.set_path(str(tmp_path))
    assert not form.use_examples.isVisible()
    qtbot.waitUntil(lambda: "Looking" not in form.findings.text(), timeout=10_000)

"""What the window writes: pictures, settings, reports."""

import zipfile

import cv2
import pytest
from PySide6.QtCore import QStandardPaths, Qt

from rfapp import settings as settings_store
from rfapp.errors import OutputError
from rfapp.gui import memory
from rfapp.gui.report import write_report
from rfapp.settings import Settings
from tests.gui.test_window import BigFace, open_clip


def test_settings_that_can_not_be_saved_are_told_and_the_window_goes_on(window, qtbot, monkeypatch):
    def full(settings, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(settings_store, "save", full)
    window.pane.control("detector_nms")._box.setValue(0.5)
    qtbot.waitUntil(lambda: "No space left" in window.stage.banner.text, timeout=3000)
    assert window.pipeline.settings.detector.nms == 0.5


def test_a_snapshot_has_the_picture_s_own_size_and_what_is_painted_over_it(make_window, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda *_: str(tmp_path))
    window = make_window(detector=BigFace)
    open_clip(window, length=1)
    qtbot.waitUntil(lambda: window.view.result is not None and window.view.result.fresh)
    window.player.address = ""
    qtbot.keyClick(window, Qt.Key.Key_S)
    qtbot.waitUntil(lambda: "Saved as" in window.stage.banner.text)
    (path,) = (tmp_path / "rfapp").glob("*.png")
    image = cv2.imread(str(path))
    assert image.shape == (48, 64, 3)
    assert (image[20, 14:18] != 90).any(), "the box is not in it"


def test_a_snapshot_that_can_not_be_written_is_told(make_window, qtbot, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda *_: str(blocked))
    window = make_window()
    open_clip(window, length=1)
    qtbot.waitUntil(lambda: window.view.result is not None)
    qtbot.mouseClick(window.toolbar.snapshot, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "could not be saved" in window.stage.banner.text)


def test_a_problem_report_holds_versions_and_settings_and_no_picture(own_folders, tmp_path):
    settings_store.save(Settings().changed(detector_score=0.5), settings_store.settings_file())
    memory.save(memory.Memory(recent=("rtsp://me:secret@camera/1",)), memory.memory_file())
    path = write_report(tmp_path / "report.zip")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert not [name for name in names if b"secret" in archive.read(name)]
        assert "doctor.json" in names
        assert "settings.toml" in names
        assert "PySide6" in archive.read("doctor.json").decode()
        assert not [name for name in names if name.endswith((".png", ".jpg"))]
    with pytest.raises(OutputError, match="can't be written"):
        write_report(tmp_path / "no folder" / "report.zip")

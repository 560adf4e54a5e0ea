"""The page of training, with a real run of `rfapp train` behind it."""

import shutil
import sys

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox

from rfapp.datasets.runs import RunFolder
from rfapp.gui.curves import Curves, Series, smoothed
from rfapp.gui.toolbar import TRAIN
from rfapp.gui.training_page import TrainingPage


@pytest.fixture
def few_labels(test_data, tmp_path):
    """Twelve labelled pictures."""
    source, target = test_data / "wider_train640", tmp_path / "pictures"
    kept, count = [], 0
    for line in (source / "label.txt").read_text().splitlines():
        if line.startswith("#"):
            count += 1
            if count > 12:
                break
            name = line[1:].strip()
            (target / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / "images" / name, target / "images" / name)
        kept.append(line)
    (target / "label.txt").write_text("\n".join(kept) + "\n")
    return target / "label.txt"


@pytest.fixture
def page(qtbot, theme, tmp_path):
    page = TrainingPage(theme)
    page.root = tmp_path / "runs"
    page.resize(1100, 700)
    qtbot.addWidget(page)
    page.show()
    return page


def test_without_pictures_it_says_what_is_missing(page, qtbot):
    qtbot.mouseClick(page.form.start_button, Qt.MouseButton.LeftButton)
    assert "Choose labelled pictures first" in page.form.findings.text()
    assert not page.stop_button.isEnabled()
    assert not page.use_button.isEnabled()


def test_labels_are_looked_at_when_they_are_chosen(page, qtbot, few_labels):
    page.form.data.set_path(str(few_labels))
    qtbot.waitUntil(lambda: "12 of 12 pictures can be used" in page.form.findings.text(), timeout=20_000)


def test_a_file_that_is_no_labels_is_told(page, qtbot, tmp_path):
    path = tmp_path / "novel.txt"
    path.write_text("It was a dark and stormy night.\n" * 20)
    page.form.data.set_path(str(path))
    qtbot.waitUntil(lambda: "novel.txt" in page.form.findings.text(), timeout=20_000)


def test_a_run_that_can_not_start_says_why(page, qtbot, few_labels):
    page.form.data.set_path(str(few_labels))
    page.form.model.addItem("no such network")
    page.form.model.setCurrentText("no such network")
    qtbot.mouseClick(page.form.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "failed" in page.status.text() and not page._processes, timeout=60_000)
    assert "no such network" in page.log_view.toPlainText()


def test_the_command_says_all_that_was_chosen(page, few_labels, tmp_path):
    page.form.data.set_path(str(few_labels))
    page.form.epochs.setValue(3)
    page.form.batch.setValue(4)
    words = page.form.command(tmp_path / "run")
    assert words[:3] == ["train", "--data", str(few_labels)]
    told = dict(zip(words[1::2], words[2::2], strict=True))
    assert told["--epochs"] == "3"
    assert told["--batch"] == "4"
    assert told["--output"] == str(tmp_path / "run")
    assert "--init" not in told


@pytest.mark.skipif(sys.platform == "win32", reason="spawns a training; run on Linux and macOS")
def test_a_run_is_started_watched_stopped_gone_on_with_and_used(
    make_window, qtbot, few_labels, tmp_path, monkeypatch, request
):
    pytest.importorskip("torch", reason="training needs torch")
    window = make_window()
    window.show_page(TRAIN)
    page = window.pages.training
    page.root = tmp_path / "runs"
    page.form.data.set_path(str(few_labels))
    page.form.batch.setValue(4)
    page.form.epochs.setValue(5000)
    qtbot.mouseClick(page.form.start_button, Qt.MouseButton.LeftButton)
    run = page._run

    def end() -> None:
        for process in page._processes:
            process.kill()
            process.wait()

    request.addfinalizer(end)
    qtbot.waitUntil(lambda: "running" in page.status.text(), timeout=60_000)
    qtbot.waitUntil(lambda: len(page._followed[run.path][1].steps) >= 3, timeout=60_000)
    assert "running" in page.status.text()
    assert page.stop_button.isEnabled()
    assert page.curves.losses.getPlotItem().listDataItems(), "no curve was drawn"

    # Closing asks; "cancel" keeps the window.
    monkeypatch.setattr(QMessageBox, "exec", lambda self: None)
    assert not window.close()

    qtbot.mouseClick(page.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "stopped" in page.status.text(), timeout=60_000)
    reached = page._followed[run.path][1].steps[-1]
    assert page.resume_button.isEnabled()
    qtbot.mouseClick(page.resume_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page._followed[run.path][1].steps[-1] > reached, timeout=60_000)
    RunFolder(run.path).stop()
    qtbot.waitUntil(lambda: "stopped" in page.status.text(), timeout=60_000)
    qtbot.waitUntil(lambda: not page._processes, timeout=60_000)

    qtbot.mouseClick(page.use_button, Qt.MouseButton.LeftButton)
    assert window.pages.live_is_shown
    assert window.pipeline.settings.detector.model == str(run.path)


def test_curves_take_events_and_leave_gaps_where_numbers_are_missing():
    series = Series("run")
    series.take([{"event": "step", "step": 1, "loss": 2.0}, {"event": "validation", "step": 1, "easy": 50.0}])
    assert series.steps == [1]
    assert series.values["loss"] == [2.0]
    assert series.values["loss_box"][0] != series.values["loss_box"][0]
    assert series.precision["easy"] == [50.0]


def test_smoothing_follows_and_does_not_lag_at_the_start():
    assert smoothed([3.0, 5.0], 0.0) == [3.0, 5.0]
    assert smoothed([4.0, 4.0, 4.0], 0.9) == pytest.approx([4.0, 4.0, 4.0])
    middle = smoothed([0.0, 10.0], 0.5)
    assert 0 < middle[1] < 10
    assert len(smoothed([1.0, float("nan"), 3.0], 0.5)) == 3


def test_losses_that_a_network_does_not_have_are_not_drawn(qtbot, theme):
    event = {"event": "step", "step": 1, "loss": 3.0, "loss_box": 1.0, "loss_class": 1.5, "loss_landmark": 0.5}
    event["learning_rate"] = 0.01
    one, two = Series("one step"), Series("two steps")
    one.take([event])
    two.take([{**event, "loss_first_box": 0.4, "loss_first_class": 0.7}])
    curves = Curves(theme)
    qtbot.addWidget(curves)
    drawn = []
    for series in (one, two):
        curves.show_runs([series])
        drawn.append(len(curves.losses.getPlotItem().listDataItems()))
    assert drawn == [4, 6]

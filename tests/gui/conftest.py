"""A window with a pipeline whose sources and detector are scripted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtWidgets import QApplication

from rfapp.gui.theme import Theme
from rfapp.gui.window import Window
from rfapp.runtime import LivePipeline
from rfapp.settings import Settings
from tests.runtime.fakes import FakeDetector


@pytest.fixture(scope="session")
def theme(qapp: QApplication) -> Theme:
    return Theme(qapp)


@pytest.fixture
def make_window(qtbot, theme: Theme) -> Iterator[Callable[..., Window]]:
    pipelines = []

    def make(
        settings: Settings | None = None, *, detector=FakeDetector, width: int = 1000, height: int = 640
    ) -> Window:
        pipeline = LivePipeline(None, settings or Settings(), make_detector=detector)
        window = Window(pipeline, theme, models=(("mobilenet0.25", "mobilenet0.25"), ("other", "other")))
        window.resize(width, height)
        qtbot.addWidget(window)
        window.pipeline = pipeline
        pipelines.append(pipeline)
        pipeline.start()
        window.show()
        qtbot.waitExposed(window)
        return window

    yield make
    theme.want("system")
    for pipeline in pipelines:
        assert pipeline.close(5)


@pytest.fixture
def window(make_window) -> Window:
    return make_window()

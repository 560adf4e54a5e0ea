"""The pages of the window: the live picture, training, models. One of them is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from rfapp.gui.live_page import LivePage
from rfapp.gui.models_page import ModelsPage
from rfapp.gui.theme import Theme
from rfapp.gui.toolbar import LIVE, MODELS, TRAIN

if TYPE_CHECKING:
    from rfapp.gui.training_page import TrainingPage


class Pages(QStackedWidget):
    """``run_chosen`` carries the folder of a training run whose model is to be used.

    ``training`` is None until somebody turns to it: the library that draws its curves takes its time to load.
    """

    run_chosen = Signal(str)

    def __init__(self, theme: Theme, live: LivePage) -> None:
        super().__init__()
        self._theme = theme
        self.models = ModelsPage(theme)
        self.training: TrainingPage | None = None
        self._training_holder = QWidget(objectName="page")
        self._training_column = QVBoxLayout(self._training_holder)
        self._training_column.setContentsMargins(0, 0, 0, 0)
        for number, page in ((LIVE, live), (TRAIN, self._training_holder), (MODELS, self.models)):
            self.insertWidget(number, page)

    @property
    def live_is_shown(self) -> bool:
        """Whether the live picture is the page that is shown."""
        return self.currentIndex() == LIVE

    def turn_to(self, number: int) -> None:
        """Show the live picture (LIVE), training (TRAIN) or the models (MODELS)."""
        if number == TRAIN:
            self._make_training()
        self.setCurrentIndex(number)
        if number == MODELS:
            self.models.refresh()

    def _make_training(self) -> None:
        if self.training is None:
            from rfapp.gui.training_page import TrainingPage

            self.training = TrainingPage(self._theme)
            self.training.chosen.connect(self.run_chosen)
            self._training_column.addWidget(self.training)

    def may_close(self) -> bool:
        """Ask what becomes of a training that is under way. False: the window is to stay."""
        return self.training is None or self.training.may_close()

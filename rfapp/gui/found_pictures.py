"""What a run's latest validation found in some held-out pictures, side by side."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QImageReader, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QScrollArea, QWidget

from rfapp.datasets.runs import FOUND, RunFolder

HEIGHT, MOST = 110, 12


class FoundPictures(QScrollArea):
    """Hidden as long as there are none; a click on a picture opens it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="found", widgetResizable=True)
        self.setAccessibleName(self.tr("Held-out pictures and the faces found in them"))
        self.setToolTip(self.tr("What the run finds in pictures that it does not learn from; a click opens one"))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(HEIGHT + 22)
        self._row = QHBoxLayout()
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(6)
        holder = QWidget(objectName="foundRow")
        outer = QHBoxLayout(holder)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addLayout(self._row)
        outer.addStretch(1)
        self.setWidget(holder)
        self._shown: list[tuple[Path, int]] = []
        self.hide()

    def show_run(self, run: RunFolder | None) -> None:
        """Show the pictures of *run*; they are read again only when they have changed."""
        there: list[tuple[Path, int]] = []
        for number in range(MOST if run is not None else 0):
            assert run is not None
            file = run / FOUND.format(number=number)
            try:
                there.append((file, file.stat().st_mtime_ns))
            except OSError:
                break
        if there == self._shown:
            return
        self._shown = there
        while (item := self._row.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.deleteLater()
        for file, _ in there:
            if (button := self._picture(file)) is not None:
                self._row.addWidget(button)
        self.setVisible(bool(there))

    def _picture(self, file: Path) -> QPushButton | None:
        reader = QImageReader(str(file))
        size = reader.size()
        if not size.isValid():
            return None
        ratio = self.devicePixelRatio()
        wanted = size.scaled(QSize(16 * HEIGHT, HEIGHT), Qt.AspectRatioMode.KeepAspectRatio)
        reader.setScaledSize(wanted * ratio)
        pixmap = QPixmap.fromImage(reader.read())
        if pixmap.isNull():
            return None
        pixmap.setDevicePixelRatio(ratio)
        button = QPushButton(objectName="picture", flat=True, icon=pixmap, iconSize=wanted)
        button.setFixedSize(wanted)
        button.setAccessibleName(file.stem)
        button.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(file))))
        return button

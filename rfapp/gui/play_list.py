"""Several files, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Signal


class PlayList(QObject):
    """Which of several addresses is open. ``wanted`` carries the one that is to be opened next."""

    wanted = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._addresses: tuple[str, ...] = ()
        self._place = 0
        self._later = QTimer(self, singleShot=True)
        self._later.timeout.connect(self.next)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them; empty where only one thing was opened."""
        return self._addresses

    @property
    def place(self) -> int:
        """Which of them is open, from 0."""
        return self._place

    def start(self, addresses: Sequence[str]) -> None:
        """Begin a new list, with its first address."""
        self._addresses = tuple(addresses)
        self.go(0)

    def forget(self) -> None:
        """Something else was opened."""
        self._later.stop()
        self._addresses = ()

    def next(self) -> None:
        """Go to the next one, if there is one."""
        self.go(self._place + 1)

    def previous(self) -> None:
        """Go to the one before, if there is one."""
        self.go(self._place - 1)

    def ended(self, seconds: float) -> None:
        """The present one has come to its end; the next one follows in so many *seconds*."""
        if self._place + 1 < len(self._addresses):
            self._later.start(round(seconds * 1000))

    def stopped(self) -> None:
        """The present one goes on after all, or another one plays."""
        self._later.stop()

    def numbered(self, title: str) -> str:
        """*title* with its place in a list of several."""
        if len(self._addresses) < 2:
            return title
        return self.tr("{title} ({place} of {count})").format(
            title=title, place=self._place + 1, count=len(self._addresses)
        )

    def go(self, place: int) -> None:
        """Open the one at *place*, if there is one."""
        self._later.stop()
        if 0 <= place < len(self._addresses):
            self._place = place
            self.wanted.emit(self._addresses[place])

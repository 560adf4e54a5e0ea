"""Reads thumbnails beside Qt's thread: only what is looked at just now, and never more than a bounded number kept."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QImage

from rfapp.errors import RfappError
from rfapp.gui.source_picker import icon_for
from rfapp.gui.texts import sentence_of
from rfapp.runtime.priority import give_way
from rfapp.settings import HidingSettings

log = logging.getLogger(__name__)

#: At most so many are kept: of 144×96 pixels each some 16 MB.
MOST_KEPT = 400

#: A picture, the reason why there is none, or None for what has no picture (a camera, a folder).
Thumbnail = QImage | str | None


class Thumbnailer(QObject):
    """``ready`` carries a name for which there is something new in ``get``.

    There is no queue: each ``want`` takes the place of the one before, so that what was scrolled past is never read.
    The thread ends when nothing is wanted.
    """

    ready = Signal(str)
    _made = Signal(str, object, int)

    def __init__(self, width: int, height: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._size = width, height
        self._hiding: HidingSettings | None = None
        self._kept: OrderedDict[str, Thumbnail] = OrderedDict()
        self._lock = threading.Lock()
        self._wanted: list[str] = []
        self._working = False
        self._round = 0
        self._made.connect(self._keep)

    def want(self, names: Sequence[str]) -> None:
        """Read the thumbnails of the files *names*, the first one first, and nothing else any more."""
        with self._lock:
            self._wanted = [name for name in names if name not in self._kept]
            start = bool(self._wanted) and not self._working
            self._working = self._working or start
        if start:
            threading.Thread(target=self._work, name="thumbnails", daemon=True).start()

    def get(self, name: str) -> tuple[bool, Thumbnail]:
        """Whether it is there already, and the thumbnail."""
        if name not in self._kept:
            return False, None
        self._kept.move_to_end(name)
        return True, self._kept[name]

    def hide(self, hiding: HidingSettings | None) -> None:
        """Make everything in thumbnails unrecognisable from now on, or (None) show it: where the faces in them are is
        not known."""
        if hiding != self._hiding:
            with self._lock:
                self._round += 1
                self._hiding = hiding
                self._wanted = []
            self._kept.clear()

    @Slot(str, object, int)
    def _keep(self, name: str, made: Thumbnail, number: int) -> None:
        if number != self._round:
            return  # made before it was said whether it may be seen
        self._kept[name] = made
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        self.ready.emit(name)

    # ------------------------------------------------------------------------------ its own thread

    def _work(self) -> None:
        give_way(10)
        while True:
            with self._lock:
                if not self._wanted:
                    self._working = False
                    return
                name, number, hiding = self._wanted.pop(0), self._round, self._hiding
            made = self._make(name, hiding)
            try:
                self._made.emit(name, made, number)
            except RuntimeError:  # the window has gone meanwhile
                return

    def _make(self, name: str, hiding: HidingSettings | None) -> Thumbnail:
        from rfapp.sinks.hiding import Hidden
        from rfapp.sources.thumbnails import thumbnail

        if icon_for(name) not in {"sample", "film"} or name == "sample":
            return None  # a camera, a stream, a folder
        try:
            image = thumbnail(Path(name), *self._size)
        except RfappError as error:
            return sentence_of(error)
        except Exception as error:  # a decoder's own, of a file that nobody tried before
            log.exception("thumbnail of %s", name)
            return str(error) or type(error).__name__
        if image is None:
            return None
        if hiding is not None:
            image = Hidden(None, hiding).applied(image)
        height, width = image.shape[:2]
        return QImage(image.tobytes(), width, height, 3 * width, QImage.Format.Format_BGR888).copy()

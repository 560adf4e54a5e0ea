"""Starts the window: the environment, the application object, what happens to uncaught exceptions."""

from __future__ import annotations

import ctypes
import logging
import logging.handlers
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rfapp import engines
from rfapp import settings as settings_store
from rfapp.engines.memory import share_one_heap
from rfapp.errors import RfappError
from rfapp.settings import Settings
from rfapp.text import mark

log = logging.getLogger(__name__)

#: What Qt needs for X11 and does not bring; library → Debian's package.
XCB_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
}


@dataclass(frozen=True, slots=True)
class Start:
    """How to start: what to open, what to record it to, whether to send it to a virtual camera, and whether to end
    with a screenshot. ``change`` puts the command line's options over the saved settings."""

    sources: tuple[str, ...]
    change: Callable[[Settings], Settings]
    screenshot: Path | None = None
    after_s: float = 5.0
    record: Path | None = None
    virtual_camera: bool = False


def run(start: Start) -> int:
    """Show the window and return the exit code when it is closed."""
    share_one_heap()
    check_screen()
    saved, problems = settings_store.load(settings_store.settings_file())
    settings = start.change(saved)
    engines.preload(settings.detector.engine, settings.detector.device)
    _log_to_file()
    # Only now: on Windows torch must be loaded before Qt is.
    from PySide6.QtWidgets import QApplication

    from rfapp.gui.languages import speak
    from rfapp.gui.models_page import model_choices
    from rfapp.gui.screenshot import Screenshot
    from rfapp.gui.texts import sentence_of
    from rfapp.gui.theme import Theme
    from rfapp.gui.window import Window
    from rfapp.runtime import LivePipeline

    undo_opencv_qt()  # after the imports above, which load OpenCV, and before Qt looks for its plug-ins
    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)
    application.setApplicationName("rfapp")
    application.setDesktopFileName("rfapp")
    speak(application, settings.view.language)
    theme = Theme(application)
    pipeline = LivePipeline(None, settings)
    # A run for a screenshot leaves no trace in what the window remembers.
    window = Window(pipeline, theme, models=model_choices(), remember=start.screenshot is None)
    catch_exceptions(window.tell)
    report = None if start.screenshot is None else Screenshot(window, pipeline, start.screenshot, start.after_s)

    def begin() -> None:
        pipeline.start()
        for problem in problems:
            window.tell(sentence_of(problem))
        if start.sources:
            window.player.open_all(start.sources)
            if start.record is not None:
                window.commands.record(start.record)
        else:
            window.look_for_cameras()
        if start.virtual_camera:
            window.commands.toggle_sending()

    window.first_painted.connect(begin)
    window.show()
    code = application.exec()
    if report is not None:
        code = report.code
    ended = pipeline.close()
    logging.shutdown()
    if not ended:
        # A driver hangs in a thread that nobody can end; everything of the user's is saved.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def undo_opencv_qt() -> None:
    """Take back what opencv-python for Linux does when imported: it points Qt at the plug-ins of its own, older Qt."""
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        if f"{os.sep}cv2{os.sep}" in os.environ.get(name, ""):
            del os.environ[name]


def check_screen() -> None:
    """Raise RfappError where Qt would end the process without a useful word: no screen, or a library missing."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM", "xcb").partition(":")[0] != "xcb":
        return
    if os.environ.get("WAYLAND_DISPLAY") and "QT_QPA_PLATFORM" not in os.environ:
        return
    if not os.environ.get("DISPLAY"):
        raise RfappError(
            mark("There is no screen to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set)."),
            mark("Log in to a desktop, or set QT_QPA_PLATFORM=offscreen to run without a screen."),
        )
    for library, package in XCB_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            raise RfappError(
                mark("The library {library} is missing, without which no window can be opened."),
                mark("Install it: on Debian and Ubuntu with “sudo apt install {package}”."),
                library=library,
                package=package,
            ) from None


def catch_exceptions(tell: Callable[[str], None]) -> None:
    """Log what nobody caught, in any thread, and say so once; the window goes on."""
    told: set[str] = set()

    from PySide6.QtCore import QObject, Signal

    class Teller(QObject):
        happened = Signal(str)

    teller = Teller()
    teller.happened.connect(tell)

    def caught(kind: type[BaseException], error: BaseException, trace: TracebackType | None, where: str) -> None:
        if issubclass(kind, KeyboardInterrupt | SystemExit):
            return
        log.error("uncaught in %s", where, exc_info=(kind, error, trace))
        text = f"{kind.__name__}: {error}"
        if text not in told:
            told.add(text)
            teller.happened.emit(
                teller.tr("Something went wrong ({error}). The log tells more.").replace("{error}", text)
            )

    sys.excepthook = lambda kind, error, trace: caught(kind, error, trace, "the window")
    threading.excepthook = lambda args: caught(
        args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback, getattr(args.thread, "name", "a thread")
    )


def _log_to_file() -> None:
    from rfapp.places import log_dir

    try:
        log_dir().mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            log_dir() / "rfapp.log", maxBytes=1_000_000, backupCount=2, encoding="utf-8", delay=True
        )
    except OSError:
        return  # a log is a convenience; a full or read-only disk must not keep the window from opening
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"))
    root = logging.getLogger("rfapp")
    root.setLevel(min(logging.INFO, root.getEffectiveLevel()))
    root.addHandler(handler)

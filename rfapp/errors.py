"""Every error that a user of rfapp can meet.

::

    RfappError                      one sentence and what to do about it
    ├── UsageError                  the command or call does not make sense as written
    ├── SettingsError               a setting has a value that it can't have
    ├── SourceError                 where frames come from
    │   ├── SourceNotFound          no such file, folder or pattern
    │   ├── SourceUnreadable        there, but may not be read, or is no picture or video
    │   │   └── PictureUnreadable   one picture of several; the next ones follow
    │   ├── SourceEmpty             a folder without pictures, a file without a video stream
    │   ├── SourceDamaged           some of it could be read; what could be had was delivered
    │   ├── CameraNotFound          no camera of that name
    │   ├── CameraFailed            there, but it can't be opened or delivers nothing
    │   ├── CameraBlack             it delivers only black pictures
    │   ├── CameraLost              it was there and went away
    │   ├── StreamFailed            a network stream can't be opened
    │   └── StreamLost              it delivered pictures and stopped
    ├── OutputError                 where results go
    │   └── OutputExists            it is there already and --force was not given
    ├── WeightsError                the numbers of a network
    │   ├── UnknownModel            no model of that name
    │   ├── WeightsMissing          a known model whose file is not there
    │   ├── WeightsAltered          the file is cut, changed, or not what its name says
    │   └── WeightsUnsafe           a checkpoint that could run code when loaded
    └── EngineError                 what runs the network
        ├── EngineMissing           the library for it is not installed
        ├── DeviceMissing           no such device in this computer
        └── EngineFailed            it stopped while running

An error carries its message and hint as templates and values, so that the window can translate the template and
fill in the values afterwards.
"""

from __future__ import annotations

from typing import Any


class RfappError(Exception):
    """What went wrong with which thing (*message*), and what the user can do about it (*hint*).

    Both are templates in the manner of :meth:`str.format`; *values* fill them.
    """

    #: False when the thing that raised it can go on afterwards (the next picture of a folder, say).
    fatal = True

    def __init__(self, message: str, hint: str = "", **values: Any) -> None:
        self.message_template = message
        self.hint_template = hint
        self.values = values
        super().__init__(self.message)

    @property
    def message(self) -> str:
        return self.message_template.format(**self.values)

    @property
    def hint(self) -> str:
        return self.hint_template.format(**self.values)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message_template, self.hint_template, self.values)


def _rebuild(kind: type[RfappError], message: str, hint: str, values: dict[str, Any]) -> RfappError:
    return kind(message, hint, **values)


class UsageError(RfappError):
    """The command or call does not make sense as written."""


class SettingsError(RfappError):
    """A setting has a value that it can't have."""


class SourceError(RfappError):
    """Something about where frames come from."""


class SourceNotFound(SourceError):
    """No such file, folder or pattern."""


class SourceUnreadable(SourceError):
    """It is there, but may not be read, or is no picture or video."""


class PictureUnreadable(SourceUnreadable):
    """One picture of several can't be read; the next ones can."""

    fatal = False


class SourceEmpty(SourceError):
    """A folder without pictures, a file without a video stream."""


class SourceDamaged(SourceError):
    """Only part of it could be read. Raised after every frame that could be had was delivered."""


class CameraNotFound(SourceError):
    """No camera of that name."""


class CameraFailed(SourceError):
    """The camera is there, but can't be opened or delivers nothing."""


class CameraBlack(SourceError):
    """The camera delivers only black pictures."""


class CameraLost(SourceError):
    """The camera was there and went away."""


class StreamFailed(SourceError):
    """The network stream can't be opened."""


class StreamLost(SourceError):
    """The network stream delivered pictures and stopped."""


class OutputError(RfappError):
    """Something about where results go."""


class OutputExists(OutputError):
    """The output is there already."""


class WeightsError(RfappError):
    """Something about the numbers of a network."""


class UnknownModel(WeightsError):
    """No model of that name."""


class WeightsMissing(WeightsError):
    """A known model whose file is not there."""


class WeightsAltered(WeightsError):
    """The file is cut, changed, or not what its name says."""


class WeightsUnsafe(WeightsError):
    """A checkpoint that could run code when loaded."""


class EngineError(RfappError):
    """Something about what runs the network."""


class EngineMissing(EngineError):
    """The library for it is not installed."""


class DeviceMissing(EngineError):
    """No such device in this computer."""


class EngineFailed(EngineError):
    """It stopped while running."""

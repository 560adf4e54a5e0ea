"""What every source of frames promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rfapp.frames import Frame


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What an opened source says of itself.

    ``title`` is what a person would call it. ``live``: time passes by itself (camera, stream, screen); such a source
    can't be paused or sought, and what is not read in time is gone. ``stills``: each frame stands for itself
    (pictures); ``width`` and ``height`` are then those of the first. ``rate`` is in frames a second and
    ``duration_s`` in seconds, None where unknown or endless. ``seekable`` says that ``seek`` works. ``details`` adds
    what is worth knowing, such as what a camera was asked for and what came. ``files``: of pictures, each one's file in
    the order of ``Frame.index``.
    """

    title: str
    width: int
    height: int
    live: bool = False
    stills: bool = False
    rate: float | None = None
    duration_s: float | None = None
    seekable: bool = False
    details: str = ""
    files: tuple[Path, ...] = field(default=(), repr=False, compare=False)


class Source(ABC):
    """Where frames come from. Used as open → read … → close, or as a context manager.

    One thread opens and reads; ``close`` may be called from any thread, at any time and more than once, and a read
    that is under way then returns None or raises a SourceError. Neither ``open`` nor ``read`` is called after
    ``close``: whoever wants the source again makes a new one.
    """

    @abstractmethod
    def open(self) -> SourceInfo:
        """Open it, which may take seconds. Raises SourceError."""

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame, or None at the end (and from then on).

        Raises SourceError. When ``error.fatal`` is False the next read goes on behind the thing that failed.
        SourceDamaged is raised once, in place of the end, after everything that could be had was delivered.
        A frame carries its time on the source's clock, upright (rotation applied), generation 0.
        """

    def seek(self, time_s: float) -> None:
        """Make the next read return the first frame at or after *time_s* (the last one if it is beyond the end).

        Only where ``SourceInfo.seekable``; works after the end was reached, too. Where a source can't know how many
        frames come before that time, ``Frame.index`` goes on from *time_s* × rate.
        """
        raise NotImplementedError(f"{type(self).__name__} can't seek")

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

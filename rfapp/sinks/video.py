"""Videos with drawn or hidden faces: H.264 in MP4, with the sound of the original."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.container
import av.error

from rfapp.errors import OutputError
from rfapp.frames import ByteImage, Detections, Frame
from rfapp.sinks.drawing import draw
from rfapp.sinks.encoding import Encoder
from rfapp.sinks.hiding import Hidden
from rfapp.sinks.pictures import cannot_write
from rfapp.sinks.sound import Sound
from rfapp.text import mark

#: Without B-frames a fifth of the work is saved for a fifth more of space; weighted prediction costs one part in twenty
#: and saves next to nothing. 23 is x264's own default: on a street in 720p a copy is 41 dB from what was encoded.
_OPTIONS = {"preset": "superfast", "crf": "23", "bf": "0", "weightp": "0"}
#: The picture is this much behind, at most, when the sound is written along.
_SOUND_AHEAD_S = 0.5


class VideoSink:
    """A copy of a video with drawn or hidden faces.

    Frames keep their times (to 1/120000 s), whatever their rate. The size is that of the first frame; an odd width
    or height gets one more row or column, for H.264 wants even ones. *sound*: the file whose sound goes along.
    *rate* in frames a second helps the encoder to plan. The file gets its name when it is complete; when the sink is
    left by an exception, the frames so far and the sound up to there are still made a complete file. Without a single
    frame no file is made.
    """

    def __init__(self, path: Path, *, sound: Path | None = None, rate: float | None = None) -> None:
        self._path = path
        self._sound_from = sound
        self._rate = rate
        self._temporary: Path | None = None
        self._container: av.container.OutputContainer | None = None
        self._sound: Sound | None = None
        self._encoder: Encoder | None = None
        self._memory: ByteImage | None = None

    def append(self, frame: Frame, faces: Detections, hidden: Hidden | None = None) -> None:
        """Encode *frame* with *faces* drawn in, or without what is *hidden*. Raises OutputError."""
        try:
            encoder = self._encoder or self._begin(frame.width, frame.height)
            if hidden is None:
                image = draw(frame.image, faces, into=self._memory)
            else:
                image = hidden.applied(frame.image, self._memory)
            self._memory = image
            encoder.append(image, frame.time_s)
            if self._sound is not None:
                self._sound.up_to(frame.time_s - _SOUND_AHEAD_S)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from None

    def _begin(self, width: int, height: int) -> Encoder:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        self._container = av.open(f"file:{self._temporary}", "w", format="mp4", options={"movflags": "+faststart"})
        self._encoder = Encoder(self._container, width, height, rate=self._rate, options=_OPTIONS)
        if self._sound_from is not None:
            try:
                self._sound = Sound(self._sound_from, self._container)
            except (av.error.FFmpegError, OSError):
                self._sound = None  # the pictures were read from another kind of file
        return self._encoder

    def finish(self, *, whole: bool) -> None:
        """Complete the file. *whole*: all the rest of the sound goes in; else it ends with the pictures."""
        container, self._container = self._container, None
        temporary, self._temporary = self._temporary, None
        sound, self._sound = self._sound, None
        encoder, self._encoder = self._encoder, None
        if container is None or temporary is None or encoder is None:
            return
        try:
            encoder.finish()
            if sound is not None:
                sound.up_to(None if whole else encoder.end_s)
            container.close()
            os.replace(temporary, self._path)
        except (av.error.FFmpegError, OSError) as error:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                container.close()
            raise self._failed(error) from None
        finally:
            if sound is not None:
                sound.close()
            temporary.unlink(missing_ok=True)

    def _failed(self, error: Exception) -> OutputError:
        if isinstance(error, OSError):
            return cannot_write(self._path, error)
        return OutputError(
            mark("The video “{path}” can't be written: {reason}."), path=str(self._path), reason=str(error)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(whole=kind is None)

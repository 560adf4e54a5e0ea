"""FaceDetector: pictures in, faces out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import numpy as np

from rfapp import weights
from rfapp.engines import Candidates, Engine
from rfapp.errors import UsageError
from rfapp.frames import ByteImage, Detections
from rfapp.looking import Prepared, built_in_picture, decode, joined, prepare, second_size, valid
from rfapp.proving import proved
from rfapp.settings import DetectorSettings, Size, check
from rfapp.text import mark
from rfapp.weights import Model
from rfapp.weights.catalogue import sha256_of, unreadable


class _Shared:
    """An engine that several detectors use; the last one to let go closes it."""

    def __init__(self, engine: Engine, notes: tuple[str, ...]) -> None:
        self.engine = engine
        self.notes = notes
        self._lock = threading.Lock()
        self._users = 0

    def join(self) -> Self:
        with self._lock:
            self._users += 1
        return self

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self.engine.close()

    def candidates(self, images: Sequence[ByteImage], score: float) -> list[Candidates]:
        with self._lock:
            return self.engine.candidates(images, score)


class FaceDetector:
    """Finds faces.

    >>> detector = FaceDetector()                  # doctest: +SKIP
    >>> faces = detector(image)                    # uint8 BGR, height × width × 3       # doctest: +SKIP

    *model*: a name (``rfapp weights list``), a weights file, or the folder of a training run. *size*: the picture's
    long side for the network in pixels, or "original". *score* and *nms*: how sure the network must be, and how much
    two boxes may overlap; both can be given with each call, too. The other arguments are those of
    :class:`rfapp.settings.DetectorSettings`. May be called from several threads; one picture is worked on at a time.

    ``model`` is the model's name and ``weights`` all that is known of it; ``engine``, ``device``, ``device_title``,
    ``precision`` and ``threads`` tell what runs it, and ``notes`` are sentences about what runs otherwise than asked
    for, and why. Raises RfappError.
    """

    def __init__(  # noqa: PLR0917
        self,
        model: str | Path | Model = "mobilenet0.25",
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        size: Size = 640,
        score: float = 0.6,
        nms: float = 0.4,
        min_face: int = 0,
        second_pass: str = "off",
        threads: int = 0,
    ) -> None:
        settings = _checked(
            DetectorSettings(),
            model=model.name if isinstance(model, Model) else str(model),
            engine=engine,
            device=device,
            precision=precision,
            size=size,
            score=score,
            nms=nms,
            min_face=min_face,
            second_pass=second_pass,
            threads=threads,
        )
        found = model if isinstance(model, Model) else weights.find(model)
        self._set(settings, found, _Shared(*proved(found, settings, try_out)))
        # A model that was handed over may go by no name under which it could be found again.
        self._handed_over = found if found is model else None

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> FaceDetector:
        """The detector that *settings* describe."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(settings)})

    def with_settings(self, settings: DetectorSettings | None = None, /, **changes: Any) -> FaceDetector:
        """A detector with other settings (all of *settings*, or the ones named), sharing the engine if it can.

        Both detectors stay usable, and each wants its own ``close()``.
        """
        new = _checked(self.settings if settings is None else settings, **changes)
        if engine_key(new) != engine_key(self.settings):
            values = {field.name: getattr(new, field.name) for field in fields(new)}
            if self._handed_over is not None and new.model == self.settings.model:
                values["model"] = self._handed_over
            return FaceDetector(**values)
        twin = FaceDetector.__new__(FaceDetector)
        twin._set(new, self.weights, self._running())
        twin._handed_over = self._handed_over
        return twin

    def _set(self, settings: DetectorSettings, model: Model, shared: _Shared) -> None:
        self.settings = settings
        self.model, self.weights = model.name, model
        self._shared: _Shared | None = shared.join()
        engine = shared.engine
        self.engine, self.device, self.device_title = engine.name, engine.device, engine.device_title
        self.precision, self.threads, self.notes = engine.precision, engine.threads, shared.notes

    @overload
    def __call__(
        self,
        image: ByteImage,
        *,
        score: float | None = None,
        nms: float | None = None,
        size: Size | None = None,
        min_face: int | None = None,
        second_pass: str | None = None,
    ) -> Detections: ...

    @overload
    def __call__(
        self,
        image: Sequence[ByteImage],
        *,
        score: float | None = None,
        nms: float | None = None,
        size: Size | None = None,
        min_face: int | None = None,
        second_pass: str | None = None,
    ) -> list[Detections]: ...

    def __call__(
        self,
        image: ByteImage | Sequence[ByteImage],
        *,
        score: float | None = None,
        nms: float | None = None,
        size: Size | None = None,
        min_face: int | None = None,
        second_pass: str | None = None,
    ) -> Detections | list[Detections]:
        """The faces of *image* (uint8 BGR, height × width × 3), or a list of them for a list of pictures.

        Coordinates are in pixels of the picture as given. Raises UsageError for another kind of array, SettingsError
        for a value outside its limits, EngineError when the network can't be run.
        """
        settings = self.settings
        given = {"score": score, "nms": nms, "size": size, "min_face": min_face, "second_pass": second_pass}
        changes = {key: value for key, value in given.items() if value is not None}
        if changes:
            settings = _checked(settings, **changes)
        if isinstance(image, list | tuple):
            return self._detect([valid(item) for item in image], settings)
        picture = valid(image)
        faces = self._look(picture, settings.size, settings)
        again = second_size(picture, settings)
        if again is None:
            return faces
        return joined(faces, self._look(picture, again, settings), picture, again, settings)

    def _look(self, image: ByteImage, size: Size, settings: DetectorSettings) -> Detections:
        item = prepare(image, size, self.weights.config)
        return decode(self._running().candidates([item.image], settings.score)[0], item, self.weights.config, settings)

    def _detect(self, images: Sequence[ByteImage], settings: DetectorSettings) -> list[Detections]:
        results = self._look_at_all(images, [settings.size] * len(images), settings)
        sizes = [second_size(image, settings) for image in images]
        wanted = [index for index, size in enumerate(sizes) if size is not None]
        again = [(images[index], size) for index, size in enumerate(sizes) if size is not None]
        seen = self._look_at_all([image for image, _ in again], [size for _, size in again], settings)
        for index, (image, size), faces in zip(wanted, again, seen, strict=True):
            results[index] = joined(results[index], faces, image, size, settings)
        return results

    def _look_at_all(
        self, images: Sequence[ByteImage], sizes: Sequence[Size], settings: DetectorSettings
    ) -> list[Detections]:
        """Pictures that have one size once prepared go to the engine together."""
        shared = self._running()
        results: dict[int, Detections] = {}
        waiting: dict[tuple[int, ...], list[tuple[int, Prepared]]] = {}

        def run(group: list[tuple[int, Prepared]]) -> None:
            found = shared.candidates([item.image for _, item in group], settings.score)
            for (index, item), rows in zip(group, found, strict=True):
                results[index] = decode(rows, item, self.weights.config, settings)
            group.clear()

        for index, (image, size) in enumerate(zip(images, sizes, strict=True)):
            item = prepare(image, size, self.weights.config)
            group = waiting.setdefault(item.image.shape, [])
            group.append((index, item))
            if len(group) >= shared.engine.batch:
                run(group)
        for group in waiting.values():
            if group:
                run(group)
        return [results[index] for index in range(len(images))]

    def timed(self, image: ByteImage) -> tuple[Detections, dict[str, float]]:
        """The faces of one picture, and the seconds that each stage took: prepare, network, decode, whole. One look."""
        shared, picture = self._running(), valid(image)
        began = time.perf_counter()
        item = prepare(picture, self.settings.size, self.weights.config)
        prepared = time.perf_counter()
        rows = shared.candidates([item.image], self.settings.score)[0]
        ran = time.perf_counter()
        faces = decode(rows, item, self.weights.config, self.settings)
        done = time.perf_counter()
        return faces, {
            "prepare": prepared - began,
            "network": ran - prepared,
            "decode": done - ran,
            "whole": done - began,
        }

    def network_alone(self, image: ByteImage) -> Callable[[], None]:
        """For measurements: each call runs the network over *image*, prepared before, and nothing else."""
        return self._running().engine.network_alone(
            prepare(valid(image), self.settings.size, self.weights.config).image
        )

    def warm_up(self, width: int, height: int) -> None:
        """Do what the first picture of this size would otherwise wait for."""
        # Twice: engines record what they do in the first run and use it from the second on.
        for _ in range(2):
            self(np.zeros((height, width, 3), np.uint8))

    @property
    def fingerprint(self) -> str:
        """The network's numbers and what runs them. Two detectors with the same one find exactly the same with the same
        settings. Raises WeightsError where the weights file has gone."""
        model, version = self.weights, self._running().engine.version
        if self.precision == "int8":
            model = weights.int8_form(model)
        try:
            numbers = model.sha256 or sha256_of(model.path)
        except OSError as error:
            raise unreadable(model.path, error) from error
        runs = self.engine, version, self.device, self.device_title, self.precision
        return " ".join([numbers, model.bin_sha256, *runs])

    def close(self) -> None:
        """Let go of the engine; it is freed when no other detector shares it. Twice is allowed."""
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.leave()

    def _running(self) -> _Shared:
        if self._shared is None:
            raise UsageError(mark("The detector was closed."), mark("Make a new one."))
        return self._shared

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def try_out(model: Model, size: int = weights.TRIAL_SIZE) -> Detections:
    """What *model* finds in the built-in picture in float32 on the CPU at score 0.5: the yardstick of all else."""
    with FaceDetector(model, device="cpu", precision="float32", size=size, score=0.5) as detector:
        return detector(built_in_picture())


def _checked(settings: DetectorSettings, **changes: Any) -> DetectorSettings:
    """*settings* with *changes*. Raises SettingsError for a value outside its limits."""
    if not changes:
        return settings
    return replace(settings, **{key: check(DetectorSettings, key, value) for key, value in changes.items()})


def engine_key(settings: DetectorSettings) -> tuple[Any, ...]:
    """What detectors that share an engine have in common; all else is taken with each call."""
    return settings.model, settings.engine, settings.device, settings.precision, settings.threads

"""All that a user can set, said once.

Each setting is a dataclass field that carries its label, help, limits and unit. From these the settings pane, the
command line's options, the settings file and the settings page of the docs are made: a new setting is one field
here and nothing else. Choices that only a running program knows (models, devices) are handed in by the caller under
the name in ``choices_from``.

A :class:`Settings` object is an immutable snapshot; whoever changes something makes a new one with
:func:`dataclasses.replace` (or :meth:`Settings.changed`) and hands it on.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import os
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rfapp.errors import SettingsError
from rfapp.text import mark

log = logging.getLogger(__name__)

Size = int | Literal["original"]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the user interface says of one setting, and which values it takes."""

    label: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    choices: tuple[Any, ...] | None = None
    choices_from: str | None = None  # "models": the caller knows them
    words: bool = False  # numbers, and also the words in `choices`
    option: str | None = None  # the command line's name; None: not there
    advanced: bool = False  # folded away in the pane


def _setting(default: Any, label: str, help: str, **about: Any) -> Any:
    return field(default=default, metadata={"about": About(label=label, help=help, **about)})


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSettings:
    """Which network finds the faces, and how."""

    model: str = _setting(
        "mobilenet0.25",
        mark("Model"),
        mark("The network that finds faces: the name of a model, a weights file, or the folder of a training run."),
        choices_from="models",
        option="--model",
    )
    engine: str = _setting(
        "auto",
        mark("Engine"),
        mark("The library that runs the network. auto takes the fastest that is installed."),
        choices=("auto", "openvino", "torch"),
        option="--engine",
    )
    device: str = _setting(
        "auto",
        mark("Device"),
        mark("Where the network runs. auto takes a graphics card if there is one that can be used."),
        choices=("auto", "cpu", "cuda", "mps"),
        option="--device",
    )
    precision: str = _setting(
        "auto",
        mark("Precision"),
        mark(
            "The number format of the network. auto takes half precision where the hardware has it; int8 is quicker "
            "and less exact, for models of which an int8 form was made."
        ),
        choices=("auto", "float32", "bfloat16", "float16", "int8"),
        option="--precision",
    )
    size: Size = _setting(
        640,
        mark("Size"),
        mark("The picture's long side for the network. Larger finds smaller faces and takes longer."),
        minimum=64,
        maximum=8192,
        step=32,
        unit="px",
        choices=(320, 480, 640, 800, 960, 1280, "original"),
        words=True,
        option="--size",
    )
    score: float = _setting(
        0.6,
        mark("Score"),
        mark("How sure the network must be, from 0 to 1. Lower finds more faces and more things that are none."),
        minimum=0.02,
        maximum=0.99,
        step=0.01,
        option="--score",
    )
    nms: float = _setting(
        0.4,
        mark("Overlap"),
        mark("Two boxes that overlap by more than this are taken for one face (NMS, intersection over union)."),
        minimum=0.05,
        maximum=0.95,
        step=0.01,
        option="--nms",
    )
    min_face: int = _setting(
        0,
        mark("Smallest face"),
        mark("Faces whose longer side is below this are left out."),
        minimum=0,
        maximum=1000,
        step=1,
        unit="px",
        option="--min-face",
    )
    second_pass: str = _setting(
        "off",
        mark("Second look"),
        mark(
            "Look again at the picture's own size, for small faces in crowds, or at half the size, for faces that fill "
            "the picture. Takes the time of that size as well."
        ),
        choices=("off", "half", "original"),
        option="--second-pass",
        advanced=True,
    )
    threads: int = _setting(
        0,
        mark("Threads"),
        mark("Processor threads for the network. 0 takes the number that was measured to be fastest here."),
        minimum=0,
        maximum=256,
        step=1,
        option="--threads",
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings:
    """Faces over time."""

    on: bool = _setting(
        False,
        mark("Follow faces"),
        mark("Give each face a number that stays with it, and find it again after a moment."),
        option="--track",
    )
    smooth: bool = _setting(
        True,
        mark("Steady boxes"),
        mark("Followed faces: boxes and landmarks do not tremble; they follow a movement at once."),
        option="--smooth",
    )
    gap: float = _setting(
        1.0,
        mark("Keep lost faces"),
        mark("Followed faces: so long a face that is not found keeps its number, and stays hidden."),
        minimum=0.1,
        maximum=10.0,
        step=0.1,
        unit="s",
        option="--track-gap",
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HidingSettings:
    """How faces are made unrecognisable."""

    how: str = _setting(
        "off",
        mark("Hide faces"),
        mark(
            "Make faces unrecognisable, in the window and in what is saved of it; only faces that you cut out stay as "
            "they are. A click on a face shows it again."
        ),
        choices=("off", "blur", "pixelate", "fill"),
        option="--hide",
    )
    shape: str = _setting(
        "ellipse",
        mark("Shape"),
        mark("What is hidden: an ellipse, or a box."),
        choices=("ellipse", "box"),
        option="--hide-shape",
        advanced=True,
    )
    margin: int = _setting(
        25,
        mark("Hidden margin"),
        mark("How far it reaches beyond the face on each side, in parts of the face."),
        minimum=0,
        maximum=200,
        step=5,
        unit="%",
        option="--hide-margin",
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSettings:
    """What is drawn over the picture."""

    boxes: bool = _setting(True, mark("Boxes"), mark("Draw a box around each face."))
    landmarks: bool = _setting(True, mark("Landmarks"), mark("Draw eyes, nose and corners of the mouth."))
    scores: bool = _setting(True, mark("Scores"), mark("Write the score beside each box."))
    numbers: bool = _setting(True, mark("Numbers"), mark("Write the number of each followed face beside its box."))
    thumbnails: bool = _setting(
        True,
        mark("Thumbnails"),
        mark("Show small pictures of what else is in the folder, or on the list of files, under the picture."),
    )
    mirror: bool = _setting(
        False, mark("Mirror"), mark("Show the picture as a mirror does. Results and files are not mirrored.")
    )
    theme: str = _setting(
        "system",
        mark("Colours"),
        mark("Light or dark window; system follows your desktop."),
        choices=("system", "light", "dark"),
        option="--theme",
        advanced=True,
    )
    language: str = _setting(
        "auto",
        mark("Language"),
        mark("The language of the window, from its next start on; auto follows your desktop."),
        choices=("auto", "en", "de", "es", "zh_CN"),
        option="--language",
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """How cameras and folders are opened."""

    camera_width: int = _setting(
        1280,
        mark("Camera width"),
        mark("The width that the camera is asked for. It may answer with another."),
        minimum=160,
        maximum=7680,
        step=16,
        unit="px",
        option="--camera-width",
        advanced=True,
    )
    camera_height: int = _setting(
        720,
        mark("Camera height"),
        mark("The height that the camera is asked for. It may answer with another."),
        minimum=120,
        maximum=4320,
        step=8,
        unit="px",
        option="--camera-height",
        advanced=True,
    )
    camera_rate: int = _setting(
        30,
        mark("Camera rate"),
        mark("The pictures a second that the camera is asked for."),
        minimum=1,
        maximum=240,
        step=1,
        unit="/s",
        option="--camera-rate",
        advanced=True,
    )
    camera_driver: str = _setting(
        "auto",
        mark("Camera driver"),
        mark("The system interface to the camera. Try another one when the picture stays black."),
        choices=("auto", "v4l2", "dshow", "msmf", "avfoundation"),
        option="--camera-driver",
        advanced=True,
    )
    picture_seconds: float = _setting(
        2.0,
        mark("Seconds a picture"),
        mark("How long each picture of a folder is shown."),
        minimum=0.1,
        maximum=60.0,
        step=0.1,
        unit="s",
        option="--picture-seconds",
        advanced=True,
    )
    speed: float = _setting(
        1.0,
        mark("Speed"),
        mark("How many times as fast as usual a video is played. Cameras and streams have their own speed."),
        minimum=0.1,
        maximum=8.0,
        step=0.05,
        unit="×",
        option="--speed",
        advanced=True,
    )
    loop: bool = _setting(
        False, mark("Loop"), mark("Start a file again when it has ended."), option="--loop", advanced=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """How much of the computer live pictures may take."""

    max_rate: int = _setting(
        0,
        mark("Detections a second"),
        mark(
            "At most so many pictures a second are looked at, which spares the processor; the others are shown with "
            "the boxes of before, or left out while faces are hidden. 0 looks at every picture."
        ),
        minimum=0,
        maximum=240,
        step=1,
        unit="/s",
        option="--max-rate",
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSettings:
    """What goes into a recording."""

    content: str = _setting(
        "annotated",
        mark("Recording"),
        mark("What is recorded: the picture as shown, the bare picture (with all faces), or one with hidden faces."),
        choices=("annotated", "clean", "hidden"),
        option="--record-content",
    )
    virtual_camera: str = _setting(
        "annotated",
        mark("Virtual camera"),
        mark("What is sent: the picture as shown, the bare picture (with all faces), or one with hidden faces."),
        choices=("annotated", "clean", "hidden"),
        option="--virtual-camera-content",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A snapshot of everything. The groups are the tables of the settings file."""

    detector: DetectorSettings = DetectorSettings()
    tracking: TrackingSettings = TrackingSettings()
    hiding: HidingSettings = HidingSettings()
    view: ViewSettings = ViewSettings()
    source: SourceSettings = SourceSettings()
    live: LiveSettings = LiveSettings()
    recording: RecordingSettings = RecordingSettings()

    @property
    def drawn(self) -> ViewSettings:
        """What is drawn over the picture: numbers only while faces are followed for their own sake."""
        return dataclasses.replace(self.view, numbers=self.view.numbers and self.tracking.on)

    def changed(self, **values: Any) -> Settings:
        """A snapshot with some settings changed, named as in ``changed(detector_score=0.5)``.

        Raises SettingsError for a value outside its limits.
        """
        groups: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            group, _, key = name.partition("_")
            groups.setdefault(group, {})[key] = value
        result = self
        for group, changes in groups.items():
            part = getattr(result, group)
            checked = {key: check(type(part), key, value) for key, value in changes.items()}
            result = dataclasses.replace(result, **{group: dataclasses.replace(part, **checked)})
        return result


_Group = (
    DetectorSettings
    | TrackingSettings
    | HidingSettings
    | ViewSettings
    | SourceSettings
    | LiveSettings
    | RecordingSettings
)
_GROUPS: dict[str, type[_Group]] = {
    "detector": DetectorSettings,
    "tracking": TrackingSettings,
    "hiding": HidingSettings,
    "view": ViewSettings,
    "source": SourceSettings,
    "live": LiveSettings,
    "recording": RecordingSettings,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the user interface sees it: ``group`` and ``key`` name it, ``about`` describes it."""

    group: str
    key: str
    default: Any
    about: About

    @property
    def name(self) -> str:
        return f"{self.group}_{self.key}"


def all_settings(groups: Iterable[str] | None = None) -> Iterator[Setting]:
    """Every setting (of *groups*), in the order in which a user should meet them."""
    for group in dataclasses.fields(Settings):
        if groups is not None and group.name not in groups:
            continue
        for item in dataclasses.fields(_GROUPS[group.name]):
            yield Setting(group.name, item.name, item.default, item.metadata["about"])


def check(group: type[_Group], key: str, value: Any) -> Any:
    """*value* in the setting's own type, or SettingsError with a sentence that names the setting and its limits."""
    item = {f.name: f for f in dataclasses.fields(group)}.get(key)
    if item is None:
        raise SettingsError(mark("There is no setting “{key}”."), key=key)
    about: About = item.metadata["about"]
    default = item.default
    number: float | None
    if about.words:
        words = tuple(choice for choice in about.choices or () if isinstance(choice, str))
        if value in words:
            return value
        number = _whole(value)
    elif isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise SettingsError(
            mark("“{label}” is either on or off, not {value!r}."),
            mark("Use true or false."),
            label=about.label,
            value=value,
        )
    elif isinstance(default, int):
        number = _whole(value)
    elif isinstance(default, float):
        number = _number(value)
    else:
        if about.choices is not None and value not in about.choices:
            raise SettingsError(
                mark("“{label}” can't be {value!r}."),
                mark("Choose one of: {choices}."),
                label=about.label,
                value=value,
                choices=", ".join(about.choices),
            )
        if not isinstance(value, str) or not value:
            raise SettingsError(mark("“{label}” can't be {value!r}."), label=about.label, value=value)
        return value
    low, high = about.minimum, about.maximum
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        hint = mark("Use a number from {low} to {high}.")
        if about.words:
            hint = mark("Use a number from {low} to {high}, or {words}.")
        raise SettingsError(
            mark("“{label}” can't be {value!r}."),
            hint,
            label=about.label,
            value=value,
            low=low,
            high=high,
            words=", ".join(words) if about.words else "",
        )
    return number


def check_setting(setting: Setting, value: Any) -> Any:
    """*value* as :func:`check` would take it for *setting*."""
    return check(_GROUPS[setting.group], setting.key, value)


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value) if float(value) == int(value) else None
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return int(str(value), 10)
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


# ---------------------------------------------------------------------------------------------- the command line


def add_arguments(parser: argparse.ArgumentParser, groups: Iterable[str]) -> None:
    """Give *parser* an option for every setting of *groups* that has one."""
    for group in groups:
        section = parser.add_argument_group(group)
        for setting in all_settings([group]):
            about = setting.about
            if about.option is None:
                continue
            text = about.help.replace("%", "%%")
            if isinstance(setting.default, bool):
                section.add_argument(
                    about.option, dest=setting.name, action=argparse.BooleanOptionalAction, default=None, help=text
                )
                continue
            if about.words:
                metavar = "PX|" + "|".join(c for c in about.choices or () if isinstance(c, str))
            elif about.choices:
                metavar = "{" + ",".join(map(str, about.choices)) + "}"
            else:
                metavar = {"px": "PX", "s": "SECONDS", "/s": "N", "%": "PERCENT"}.get(
                    about.unit, "NAME" if about.choices_from else "X"
                )
            unit = f" {about.unit}".rstrip().replace("%", "%%")
            shown = f"{text} (default: {setting.default}{unit})"
            section.add_argument(about.option, dest=setting.name, metavar=metavar, default=None, help=shown)


def from_arguments(arguments: argparse.Namespace, base: Settings) -> Settings:
    """*base* with what was given on the command line; SettingsError for a value outside its limits."""
    given = {
        setting.name: value
        for setting in all_settings()
        if (value := getattr(arguments, setting.name, None)) is not None
    }
    return base.changed(**given)


# ---------------------------------------------------------------------------------------------- the settings file


def settings_file() -> Path:
    """Where this user's settings are kept."""
    from rfapp.places import config_dir

    return config_dir() / "settings.toml"


def load(path: Path) -> tuple[Settings, list[SettingsError]]:
    """The settings in *path*, and an error (not raised) for each thing in it that could not be used.

    Never fails: a missing file gives the defaults, a single bad value its default, and a file that is no TOML is
    renamed (``settings.broken-….toml``, so that nothing is lost) and gives the defaults.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings(), []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        log.warning("settings file %s: %s", path, error)
        aside = path.with_name(f"{path.stem}.broken-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
        try:
            path.replace(aside)
        except OSError:
            return Settings(), [
                SettingsError(mark("The settings file {path} can't be read; defaults are used."), path=path)
            ]
        return Settings(), [
            SettingsError(
                mark("The settings file was damaged; defaults are used."),
                mark("The old file is kept as {path}."),
                path=aside,
            )
        ]
    return from_mapping(data)


def from_mapping(data: Mapping[str, Any]) -> tuple[Settings, list[SettingsError]]:
    """Settings from nested mappings as in the settings file; what can't be used is said and left at its default."""
    settings, problems = Settings(), list[SettingsError]()
    for setting in all_settings():
        table = data.get(setting.group)
        if not isinstance(table, Mapping) or setting.key not in table:
            continue
        try:
            settings = settings.changed(**{setting.name: table[setting.key]})
        except SettingsError as error:
            problems.append(SettingsError(error.message_template, mark("The default is used."), **error.values))
    return settings, problems


def to_mapping(settings: Settings) -> dict[str, dict[str, Any]]:
    """The nested mapping that the settings file holds: only what differs from the defaults."""
    result: dict[str, dict[str, Any]] = {}
    for setting in all_settings():
        value = getattr(getattr(settings, setting.group), setting.key)
        if value != setting.default:
            result.setdefault(setting.group, {})[setting.key] = value
    return result


def save(settings: Settings, path: Path) -> None:
    """Write *settings* to *path*: to a temporary name first, then renamed, so that a cut never leaves half a file."""
    import tomli_w

    write_whole(path, tomli_w.dumps(to_mapping(settings)).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Put *content* at *path* so that at any moment the old or the new file is there whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

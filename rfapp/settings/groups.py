"""The settings themselves: one field each, in the order in which a user should meet them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rfapp.settings.about import setting
from rfapp.text import mark

Size = int | Literal["original"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSettings:
    """Which network finds the faces, and how."""

    model: str = setting(
        "mobilenet0.25",
        mark("Model"),
        mark("The network that finds faces: the name of a model, a weights file, or the folder of a training run."),
        choices_from="models",
        option="--model",
    )
    engine: str = setting(
        "auto",
        mark("Engine"),
        mark("The library that runs the network. auto takes the fastest that is installed."),
        choices=("auto", "openvino", "torch"),
        option="--engine",
    )
    device: str = setting(
        "auto",
        mark("Device"),
        mark("Where the network runs. auto takes a graphics card if there is one that can be used."),
        choices=("auto", "cpu", "cuda", "mps"),
        option="--device",
    )
    precision: str = setting(
        "auto",
        mark("Precision"),
        mark(
            "The number format of the network. auto takes half precision where the hardware has it; int8 is quicker "
            "and less exact, for models of which an int8 form was made."
        ),
        choices=("auto", "float32", "bfloat16", "float16", "int8"),
        option="--precision",
    )
    size: Size = setting(
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
    score: float = setting(
        0.6,
        mark("Score"),
        mark("How sure the network must be, from 0 to 1. Lower finds more faces and more things that are none."),
        minimum=0.02,
        maximum=0.99,
        step=0.01,
        option="--score",
    )
    nms: float = setting(
        0.4,
        mark("Overlap"),
        mark("Two boxes that overlap by more than this are taken for one face (NMS, intersection over union)."),
        minimum=0.05,
        maximum=0.95,
        step=0.01,
        option="--nms",
    )
    min_face: int = setting(
        0,
        mark("Smallest face"),
        mark("Faces whose longer side is below this are left out."),
        minimum=0,
        maximum=1000,
        step=1,
        unit="px",
        option="--min-face",
    )
    second_pass: str = setting(
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
    threads: int = setting(
        0,
        mark("Threads"),
        mark("Processor threads for the network. 0 takes what serves best here, as measured; live, as few as keep up."),
        minimum=0,
        maximum=256,
        step=1,
        option="--threads",
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings:
    """Faces over time."""

    on: bool = setting(
        False,
        mark("Follow faces"),
        mark("Give each face a number that stays with it, and find it again after a moment."),
        option="--track",
    )
    smooth: bool = setting(
        True,
        mark("Steady boxes"),
        mark("Followed faces: boxes and landmarks do not tremble; they follow a movement at once."),
        option="--smooth",
    )
    gap: float = setting(
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

    how: str = setting(
        "off",
        mark("Hide faces"),
        mark(
            "Make faces unrecognisable, in the window and in what is saved of it; only faces that you cut out stay as "
            "they are. A click on a face shows it again."
        ),
        choices=("off", "blur", "pixelate", "fill"),
        option="--hide",
    )
    shape: str = setting(
        "ellipse",
        mark("Shape"),
        mark("What is hidden: an ellipse, or a box."),
        choices=("ellipse", "box"),
        option="--hide-shape",
        advanced=True,
    )
    margin: int = setting(
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

    boxes: bool = setting(True, mark("Boxes"), mark("Draw a box around each face."))
    landmarks: bool = setting(True, mark("Landmarks"), mark("Draw eyes, nose and corners of the mouth."))
    scores: bool = setting(True, mark("Scores"), mark("Write the score beside each box."))
    numbers: bool = setting(True, mark("Numbers"), mark("Write the number of each followed face beside its box."))
    thumbnails: bool = setting(
        True,
        mark("Thumbnails"),
        mark("Show small pictures of what else is in the folder, or on the list of files, under the picture."),
    )
    mirror: bool = setting(
        False, mark("Mirror"), mark("Show the picture as a mirror does. Results and files are not mirrored.")
    )
    theme: str = setting(
        "system",
        mark("Colours"),
        mark("Light or dark window; system follows your desktop."),
        choices=("system", "light", "dark"),
        option="--theme",
        advanced=True,
    )
    language: str = setting(
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

    camera_width: int = setting(
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
    camera_height: int = setting(
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
    camera_rate: int = setting(
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
    camera_driver: str = setting(
        "auto",
        mark("Camera driver"),
        mark("The system interface to the camera. Try another one when the picture stays black."),
        choices=("auto", "v4l2", "dshow", "msmf", "avfoundation"),
        option="--camera-driver",
        advanced=True,
    )
    picture_seconds: float = setting(
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
    speed: float = setting(
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
    loop: bool = setting(
        False, mark("Loop"), mark("Start a file again when it has ended."), option="--loop", advanced=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """How much of the computer live pictures may take."""

    max_rate: int = setting(
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

    content: str = setting(
        "annotated",
        mark("Recording"),
        mark("What is recorded: the picture as shown, the bare picture (with all faces), or one with hidden faces."),
        choices=("annotated", "clean", "hidden"),
        option="--record-content",
    )
    virtual_camera: str = setting(
        "annotated",
        mark("Virtual camera"),
        mark("What is sent: the picture as shown, the bare picture (with all faces), or one with hidden faces."),
        choices=("annotated", "clean", "hidden"),
        option="--virtual-camera-content",
    )

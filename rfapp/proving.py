"""An engine whose answer is right: in the precision that was asked for, or else in float32, and why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rfapp import engines, weights
from rfapp.engines import Engine, machine
from rfapp.engines.rows import logit
from rfapp.errors import EngineFailed
from rfapp.frames import Detections
from rfapp.looking import built_in_picture, decode, prepare
from rfapp.settings import DetectorSettings
from rfapp.text import mark
from rfapp.weights import Answer, Model

log = logging.getLogger(__name__)

#: How far a precision may be off on the built-in picture: pixels of box and landmarks, and score.
_TOLERANCE = 1.0, 0.02
#: int8 is rougher by nature; its face there is a hundred pixels wide.
_TOLERANCE_INT8 = 5.0, 0.05

#: Face logits that differ by less may change places by rounding.
_EQUAL = 0.25

#: What a model finds in the built-in picture in float32 on the CPU.
TryOut = Callable[[Model], Detections]


def proved(model: Model, settings: DetectorSettings, try_out: TryOut) -> tuple[Engine, tuple[str, ...]]:
    """An engine whose answer on the built-in picture is that of float32, in float32 itself if need be, and sentences
    about what runs otherwise than asked for. Raises as :func:`rfapp.engines.create` does, and EngineFailed for an int8
    form that is wrong here. *try_out*: for a model that brings no answer."""

    def make(precision: str) -> Engine:
        return engines.create(model, settings.engine, settings.device, precision, settings.threads)

    precision = settings.precision
    engine = make(precision)
    notes = list(engine.notes)
    form = weights.int8_form(model) if engine.precision == "int8" else model
    problem = "" if engine.precision == "float32" else _problem(engine, form, try_out)
    if problem and model.int8_of:
        engine.close()
        raise EngineFailed(
            mark("The int8 form {name} gives wrong results here: {problem}."),
            mark("Use the model that it was made from."),
            name=model.name,
            problem=problem,
        )
    if problem:
        notes.append(
            mark("{precision} gives wrong results on {device} ({problem}); float32 is used.").format(
                precision=engine.precision, device=engine.device_title, problem=problem
            )
        )
        engine.close()
        precision = "float32"
        engine = make(precision)
    if engine.device == "cpu" and not settings.threads and _best_threads(engine, model) != engine.threads:
        engine.close()
        engine = make(precision)
    for note in notes:
        log.warning("%s", note)
    return engine, tuple(notes)


def _best_threads(engine: Engine, model: Model) -> int:
    """How many threads serve best: on first use half a second is spent on finding out."""
    facts = engine.name, model, engine.precision
    if machine.cores() > 1 and not machine.measured_times(*facts):
        engines.measure_threads(model, engine.name, engine.precision)
    return machine.threads_for(*facts)


def _problem(engine: Engine, model: Model, try_out: TryOut) -> str:
    """What is wrong with the engine's answer on the built-in picture, or ""; a CPU has to prove itself only once."""
    facts = engine.name, engine.version, model, engine.precision
    if engine.device == "cpu" and machine.has_proved(*facts):
        return ""
    problem = _deviation(engine, model, try_out)
    if not problem and engine.device == "cpu":
        machine.remember_proof(*facts)
    return problem


def _deviation(engine: Engine, model: Model, try_out: TryOut) -> str:
    """How the engine's answer on the built-in picture differs from float32's by too much, or ""."""
    answer = model.answer or _float32_answer(model, try_out)
    if answer is None:
        return ""
    try:
        face = on_trial(engine, model, answer)
    except EngineFailed as error:
        return error.message.rstrip(".")
    if face is None:
        return mark("no face found")
    off, score_off = _off(face, answer)
    most_px, most_score = _TOLERANCE_INT8 if engine.precision == "int8" else _TOLERANCE
    if off <= most_px and score_off <= most_score:
        return ""
    return mark("off by {off:.1f} px and {score:.3f} in score").format(off=off, score=score_off)


def on_trial(engine: Engine, model: Model, answer: Answer) -> Detections | None:
    """What *engine* says of the face in the built-in picture that *answer* tells of; None when it finds none.

    Neighbours often say the same of a face, with scores that are equal but for rounding. Which of them NMS leaves is
    chance then, and their boxes may lie two pixels apart. So of those the one counts that comes nearest. Raises
    EngineFailed.
    """
    picture = prepare(built_in_picture(), answer.size, model.config)
    settings = replace(DetectorSettings(), score=min(0.5, answer.score / 2), nms=1.0)  # nothing is sorted out
    faces = decode(engine.candidates([picture.image], settings.score)[0], picture, model.config, settings)
    if len(faces) == 0:
        return None
    best = logit(float(faces.scores[0]))  # the scores fall
    equal = [_row(faces, index) for index, score in enumerate(faces.scores) if logit(float(score)) >= best - _EQUAL]
    return min(equal, key=lambda face: _off(face, answer)[0])


def _row(faces: Detections, index: int) -> Detections:
    row = slice(index, index + 1)
    return Detections(faces.boxes[row], faces.scores[row], None if faces.landmarks is None else faces.landmarks[row])


def _off(face: Detections, answer: Answer) -> tuple[float, float]:
    """How far one face's box and landmarks are off *answer* in pixels, and its score."""
    off = float(np.abs(face.boxes[0] - np.array(answer.box, np.float32)).max())
    if face.landmarks is not None and answer.landmarks is not None:
        off = max(off, float(np.abs(face.landmarks[0] - np.array(answer.landmarks, np.float32)).max()))
    return off, abs(float(face.scores[0]) - answer.score)


def _float32_answer(model: Model, try_out: TryOut) -> Answer | None:
    """The yardstick for a file that brings none; None when float32 finds nothing either, and for an int8 form, which
    can't be run in float32."""
    if model.int8_of:
        return None
    faces = try_out(model)
    if len(faces) == 0:
        return None
    points = None if faces.landmarks is None else tuple((float(x), float(y)) for x, y in faces.landmarks[0])
    return Answer(
        size=weights.TRIAL_SIZE,
        score=float(faces.scores[0]),
        box=tuple(float(value) for value in faces.boxes[0]),
        landmarks=points,
    )

"""An engine that fails while it runs, and what stands in for it, with detectors that fail when they are told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import av
import numpy as np
import pytest

from rfapp.detector import FaceDetector
from rfapp.errors import DeviceMissing, EngineFailed, SettingsError
from rfapp.runtime import Ended, Failed, Paused, Running
from rfapp.settings import Settings
from tests.runtime.fakes import HEIGHT, WIDTH, Clip
from tests.runtime.test_following import FACES, HIDDEN, Patterned, TwoFaces, is_hidden
from tests.runtime.test_pipeline import of, playing

LOST = EngineFailed("The network stopped on {device}: it fell off the bus.", "Choose the device cpu.", device="Card 9")
CARD = Settings().changed(detector_engine="torch", detector_device="cuda", hiding_how="off")


class Engines:
    """Makes detectors that tell what they were asked for. *fails*: by engine, device and precision, what is raised
    when such a one is made (a class of error that is fatal there) or called for the n-th time (a number)."""

    def __init__(self, fails: dict[tuple[str, str, str], int | Exception]) -> None:
        self.fails = fails
        self.asked: list[tuple[str, str, str]] = []
        self.made: list[TwoFaces] = []
        self.before: Callable[[tuple[str, str, str]], object] = lambda asked: None

    def __call__(self, settings):
        asked = settings.engine, settings.device, settings.precision
        self.asked.append(asked)
        self.before(asked)
        fails = self.fails.get(asked)
        if isinstance(fails, Exception):
            raise fails
        detector = Fragile(settings, fails)
        detector.engine, detector.device = settings.engine, "cuda:0" if settings.device == "cuda" else "cpu"
        detector.precision = {"auto": "bfloat16"}.get(settings.precision, settings.precision)
        detector.device_title = "Card 9" if settings.device == "cuda" else "CPU"
        self.made.append(detector)
        return detector


class Fragile(TwoFaces):
    def __init__(self, settings, fails: int | None) -> None:
        super().__init__(settings)
        self.fails = fails

    def __call__(self, image, **thresholds):
        if self.fails is not None and len(self.calls) >= self.fails:
            raise LOST
        return super().__call__(image, **thresholds)

    def warm_up(self, width: int, height: int) -> None:
        assert (width, height) == (WIDTH, HEIGHT)


@pytest.fixture(autouse=True)
def both_engines(monkeypatch):
    monkeypatch.setattr("rfapp.engines.available", lambda: ("openvino", "torch"))


GPU, CPU, EXACT, OTHER = (
    ("torch", "cuda", "auto"),
    ("openvino", "cpu", "auto"),
    ("openvino", "cpu", "float32"),
    ("torch", "cpu", "float32"),
)


def test_a_card_that_is_lost_gives_way_to_the_processor_and_it_is_told_in_a_sentence():
    make, clip = Engines({GPU: 5}), Clip(length=2000)
    with playing(of(clip), CARD, make) as (pipeline, watcher):
        watcher.wait(lambda: watcher.fresh() and watcher.fresh()[-1].detector.engine == "openvino")
        title = watcher.fresh()[-1].detector
        assert (title.engine, title.device, title.precision) == ("openvino", "CPU", "bfloat16")
        watcher.wait(lambda: watcher.errors)
        assert [str(error) for error in watcher.errors] == [
            "The network stopped on Card 9: it fell off the bus. openvino stands in for it, on CPU with bfloat16. "
            "Your settings stay; choose another engine or device, or start rfapp again, to have them tried again."
        ]
        assert isinstance(pipeline.state, Running)
        assert clip.closed == 0, "the source was opened anew"
        assert pipeline.settings == CARD
        assert make.asked == [GPU, CPU]
        assert make.made[0].closed
    indices = [result.frame.index for result in watcher.results]
    assert indices == sorted(indices)
    assert not any(isinstance(state, Failed) for state in watcher.states)


def test_the_picture_runs_on_while_the_stand_in_is_loaded():
    make, go = Engines({GPU: 5}), threading.Event()
    make.before = lambda asked: asked == GPU or go.wait(10)
    with playing(of(Clip(length=5000)), CARD, make) as (pipeline, watcher):
        watcher.wait(lambda: len(make.asked) == 2)
        count = len(watcher.results)
        watcher.wait(lambda: len(watcher.results) > count + 20)
        assert pipeline.loading == "mobilenet0.25"
        assert pipeline.detector is None
        assert not watcher.errors
        assert all(result.detections is None for result in watcher.results[count + 2 :])
        go.set()
        watcher.wait(lambda: watcher.results[-1].fresh)


def test_half_precision_gives_way_to_float32_and_that_to_the_other_engine():
    make = Engines({CPU: 3, EXACT: 3})
    settings = Settings().changed(detector_engine="openvino", detector_device="cpu")
    with playing(of(Clip(length=5000)), settings, make) as (_, watcher):
        watcher.wait(lambda: watcher.fresh() and watcher.fresh()[-1].detector.engine == "torch")
        watcher.wait(lambda: len(watcher.errors) == 2)
    assert make.asked == [CPU, EXACT, OTHER]
    assert "openvino stands in" in str(watcher.errors[0])
    assert "torch stands in" in str(watcher.errors[1])


def test_what_can_not_even_be_loaded_is_passed_over():
    make = Engines({GPU: 3, CPU: DeviceMissing("no such thing"), EXACT: RuntimeError("nor this")})
    with playing(of(Clip(length=5000)), CARD, make) as (_, watcher):
        watcher.wait(lambda: watcher.errors)
        assert make.asked == [GPU, CPU, EXACT, OTHER]
        assert str(watcher.errors[0]).startswith("The network stopped on Card 9: it fell off the bus. torch stands in")


def test_when_nothing_can_stand_in_it_ends_with_what_happened_first_and_trying_again_begins_anew():
    make = Engines({GPU: 3, CPU: 3, EXACT: DeviceMissing("no such thing"), OTHER: 0})
    with playing(lambda: Clip(length=5000), CARD, make) as (pipeline, watcher):
        failed = watcher.wait_for_state(Failed)
        assert "fell off the bus" in str(failed.error)
        time.sleep(0.2)
        assert make.asked == [GPU, CPU, EXACT, OTHER], "each is tried once"
        make.fails.clear()
        pipeline.resume()
        watcher.wait(lambda: watcher.results[-1].fresh and watcher.results[-1].detector.device == "Card 9")
        assert make.asked[4:] == [GPU]
    assert all(detector.closed for detector in make.made)


def test_a_recording_is_completed_when_nothing_can_stand_in(tmp_path, monkeypatch):
    monkeypatch.setattr("rfapp.engines.available", lambda: ())
    ended = []
    path = tmp_path / "film.mp4"
    with playing(of(Clip(length=5000)), CARD, Engines({GPU: 30})) as (pipeline, watcher):
        pipeline.subscribe(on_recorded=ended.append)
        pipeline.record(path)
        watcher.wait_for_state(Failed)
        deadline = time.monotonic() + 5
        while not ended and time.monotonic() < deadline:
            time.sleep(0.02)
        assert pipeline.recording is None
    assert ended[0].error is None
    with av.open(str(path)) as film:
        assert sum(1 for _ in film.decode(video=0)) == ended[0].frames >= 20


def test_the_two_float32_engines_do_not_take_turns_for_ever():
    make = Engines({EXACT: 3, OTHER: 3})
    settings = Settings().changed(
        detector_engine="openvino", detector_device="cpu", detector_precision="float32", source_loop=True
    )
    with playing(of(Clip(length=500)), settings, make) as (_, watcher):
        watcher.wait_for_state(Failed)
        time.sleep(0.2)
    assert make.asked == [EXACT, OTHER]


def test_another_wish_is_tried_as_it_is_and_the_same_one_again():
    make = Engines({GPU: 3})
    with playing(of(Clip(length=50_000)), CARD, make) as (pipeline, watcher):
        watcher.wait(lambda: watcher.errors)
        pipeline.apply(CARD.changed(detector_score=0.5))
        pipeline.open(lambda: Clip(length=50_000))
        watcher.wait(lambda: watcher.results[-1].fresh)
        assert make.asked == [GPU, CPU], "another threshold or source is no reason to try the card again"
        pipeline.apply(CARD.changed(detector_model="other"))
        watcher.wait(lambda: len(watcher.errors) == 2)
        assert make.asked == [GPU, CPU, GPU, CPU]


def test_a_wish_that_comes_while_the_stand_in_is_loaded_wins():
    make, go = Engines({GPU: 3}), threading.Event()
    make.before = lambda asked: asked != CPU or go.wait(10)
    with playing(of(Clip(length=50_000)), CARD, make) as (pipeline, watcher):
        watcher.wait(lambda: len(make.asked) == 2)
        pipeline.apply(CARD.changed(detector_engine="torch", detector_device="cpu", detector_precision="float32"))
        go.set()
        watcher.wait(lambda: watcher.fresh()[-1].detector.device == "CPU")
        assert watcher.fresh()[-1].detector.engine == "torch"
        assert make.made[1].closed, "what nobody wants any more was kept"
        assert not watcher.errors


def test_a_picture_that_stands_still_is_looked_at_by_the_stand_in():
    make = Engines({GPU: 0})
    with playing(of(Clip(length=1)), CARD, make) as (_, watcher):
        watcher.wait_for_state(Ended)
        watcher.wait(watcher.fresh)
        assert watcher.fresh()[-1].detector.engine == "openvino"


def test_a_value_that_no_engine_likes_is_no_failure_of_the_engine():
    class Strict(TwoFaces):
        def __call__(self, image, **thresholds):
            raise SettingsError("“Size” can't be 7.")

    made = []

    def make(settings):
        made.append(Strict(settings))
        return made[-1]

    with playing(of(Clip(length=500)), make_detector=make) as (_, watcher):
        assert "can't be 7" in str(watcher.wait_for_state(Failed).error)
    assert len(made) == 1


def test_until_the_stand_in_has_found_the_hidden_faces_nothing_can_be_seen():
    make, go = Engines({GPU: 5}), threading.Event()
    make.before = lambda asked: asked == GPU or go.wait(10)
    settings = CARD.changed(hiding_how="fill", hiding_margin=0, hiding_shape="box")
    with playing(of(Patterned(length=5000)), settings, make) as (pipeline, watcher):
        watcher.wait(lambda: len(make.asked) == 2)
        count = len(watcher.results) + 1  # one may be under way
        watcher.wait(lambda: len(watcher.results) > count + 80)
        blind = watcher.results[count:]
        go.set()
        watcher.wait(lambda: watcher.results[-1].fresh)
        pipeline.pause()
        watcher.wait_for_state(Paused)
    assert all(is_hidden(result.picture, np.array([0, 0, WIDTH, HEIGHT])) for result in blind if not result.fresh)
    assert all(is_hidden(result.picture, box) for result in watcher.results for box in FACES)
    assert watcher.fresh()[-1].detections.tracks.tolist() == [1, 2], "faces that stayed keep their numbers"


@pytest.mark.parametrize("content", ["annotated", "hidden", "clean"])
def test_a_recording_goes_on_and_shows_no_face_that_is_to_be_hidden(tmp_path, content):
    make, go = Engines({GPU: 10}), threading.Event()
    make.before = lambda asked: asked == GPU or go.wait(10)
    path = tmp_path / "film.mp4"
    ended = threading.Event()
    hidden = HIDDEN.changed(detector_engine="torch", detector_device="cuda", recording_content=content)
    with playing(of(Patterned(length=5000)), hidden, make) as (pipeline, watcher):
        pipeline.subscribe(on_recorded=lambda recording: ended.set())
        pipeline.record(path)
        watcher.wait(lambda: make.asked == [GPU, CPU])
        time.sleep(0.3)
        go.set()
        count = len(watcher.fresh())
        watcher.wait(lambda: len(watcher.fresh()) > count + 20)
        assert pipeline.recording is not None
        pipeline.stop_recording()
        assert ended.wait(10)
    with av.open(str(path)) as film:
        pictures = [frame.to_ndarray(format="bgr24") for frame in film.decode(video=0)]
    assert len(pictures) > 20
    assert len(pictures) >= len(path.with_suffix(".jsonl").read_text().splitlines()) > 20
    if content != "clean":
        for picture in pictures:
            for left, top, right, bottom in FACES.astype(int):
                inside = picture[top + 4 : bottom - 4, left + 4 : right - 4]
                assert np.ptp(inside.astype(int), axis=(0, 1)).max() < 40, "a face can be seen"


def test_the_faces_beside_a_recording_go_on_behind_the_gap(tmp_path):
    make = Engines({GPU: 10})
    path = tmp_path / "film.mp4"
    with playing(of(Clip(length=5000)), CARD, make) as (pipeline, watcher):
        pipeline.record(path)
        watcher.wait(lambda: watcher.errors)
        count = len(watcher.fresh())
        watcher.wait(lambda: len(watcher.fresh()) > count + 20)
    lines = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    assert [len(line["faces"]) for line in lines] == [2] * len(lines)
    assert len(lines) > 20


def test_a_real_engine_that_stops_is_stood_in_for_by_the_other_real_one(monkeypatch):
    pytest.importorskip("torch")
    openvino_engine = pytest.importorskip("rfapp.engines.openvino_engine")
    monkeypatch.undo()  # the engines that are really there
    run, gone = openvino_engine.OpenVinoEngine._run, threading.Event()

    def stops(engine, *given):
        if gone.is_set():
            raise RuntimeError("Exception from src/inference: device is gone\n[ GENERAL ]")
        return run(engine, *given)

    monkeypatch.setattr(openvino_engine.OpenVinoEngine, "_run", stops)
    settings = Settings().changed(
        detector_engine="openvino", detector_precision="float32", detector_size=320, source_loop=True
    )
    with playing("sample", settings, FaceDetector.from_settings) as (pipeline, watcher):
        watcher.wait(watcher.fresh, 60)  # loading runs the network, too, as often as there is something to measure
        gone.set()
        watcher.wait(lambda: watcher.fresh()[-1].detector.engine == "torch", 60)
        titles = {(r.detector.engine, r.detector.device, r.detector.precision) for r in watcher.fresh()}
        assert titles == {("openvino", "CPU", "float32"), ("torch", "CPU", "float32")}
        before, after = (
            next(r.detections for r in reversed(watcher.fresh()) if r.detector.engine == name)
            for name in ("openvino", "torch")
        )
        assert len(before) >= 1
        assert len(after) >= 1
        watcher.wait(lambda: watcher.errors)
        assert "torch stands in for it, on CPU with float32" in str(watcher.errors[0])
        assert isinstance(pipeline.state, Running)

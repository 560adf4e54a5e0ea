"""What is played, sent to a virtual camera: the newest picture, hidden where it has to be, and never in the way."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from rfapp.errors import OutputError
from rfapp.frames import Detections, Frame
from rfapp.runtime import Ended, Failed, Idle, Mailbox, Paused, Running
from rfapp.runtime.outgoing import hiding_for
from rfapp.runtime.sender import Sender
from rfapp.settings import Settings, ViewSettings
from rfapp.sinks.drawing import BOX
from rfapp.sinks.hiding import Hidden
from rfapp.sinks.virtual_camera import VirtualCamera
from tests.runtime.fakes import HEIGHT, WIDTH, Camera, Clip
from tests.runtime.test_following import FACES, Patterned, TwoFaces
from tests.runtime.test_pipeline import of, playing
from tests.sinks.fake_virtual_camera import Device

BARE = ViewSettings(boxes=False, landmarks=False, scores=False)
HIDING = Settings().changed(hiding_how="fill", hiding_shape="box", hiding_margin=0)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.005)


def frame(index: int, generation: int = 0) -> Frame:
    return Frame(np.full((480, 640, 3), index, np.uint8), index, index / 30, time.perf_counter(), generation)


NONE = Detections.empty()


@pytest.fixture
def sending(device: Device):
    senders = []

    def make(content: str, **more) -> Sender:
        senders.append(Sender(content, **more))
        return senders[-1]

    yield make
    for sender in senders:
        sender.stop()
        sender.thread.join(5)
        assert not sender.thread.is_alive()


def test_the_newest_picture_is_sent_and_sent_again_while_nothing_comes(device, sending):
    sender = sending("clean")
    for index in range(1, 100):
        sender.captured(frame(index))
    until(lambda: len(device.pictures) >= 3)
    assert (device.pictures[-1] == 99).all()
    assert sender.state.device == device.name
    assert sender.state.pictures < 10


def test_a_slow_device_holds_nobody_up(device, sending):
    class Slow(VirtualCamera):
        def append(self, image):
            time.sleep(0.3)
            super().append(image)

    sender = sending("clean", make_camera=Slow)
    began = time.perf_counter()
    for index in range(1, 200):
        sender.captured(frame(index))
        sender.detected(frame(index), NONE, ViewSettings(), None)
    assert time.perf_counter() - began < 0.2
    until(lambda: device.pictures and (device.pictures[-1] == 199).all())


def test_what_is_left_is_black_and_older_frames_stay_away(device, sending):
    sender = sending("annotated")
    sender.detected(frame(50, 1), NONE, BARE, None)
    until(lambda: device.pictures)
    sender.blank(2)
    sender.detected(frame(60, 1), NONE, BARE, None)  # a detection that was under way
    until(lambda: not device.pictures[-1].any())
    time.sleep(0.3)
    assert not any((picture == 60).all() for picture in device.pictures)
    sender.detected(frame(70, 2), NONE, BARE, None)
    until(lambda: bool((device.pictures[-1] == 70).all()))


def test_a_picture_that_was_taken_just_before_its_source_was_left_is_not_sent(device, sending, monkeypatch):
    take = Mailbox.take

    def take_and_leave(mailbox, timeout=None):
        item = take(mailbox, timeout)
        if item is not None and item.frame.index == 50:
            sender.blank(2)
            sender.captured(frame(70, 2))
        return item

    monkeypatch.setattr(Mailbox, "take", take_and_leave)
    sender = sending("clean")
    sender.captured(frame(50, 1))
    until(lambda: device.pictures)
    assert (device.pictures[0] == 70).all()


def test_with_hidden_faces_nothing_is_sent_of_which_they_are_not_known(device, sending):
    sender = sending("hidden")
    sender.captured(frame(10))
    sender.detected(frame(20), NONE, BARE, None)
    time.sleep(0.1)
    assert device.pictures == []
    sender.detected(frame(30), NONE, BARE, Hidden(np.array([[0, 0, 320, 480]], np.float32), HIDING.hiding))
    until(lambda: device.pictures)
    assert not (device.pictures[-1][:, :300] == 30).any()
    assert (device.pictures[-1][:, 330:] == 30).all()


def test_other_content_lets_the_last_picture_go(device, sending):
    sender = sending("clean")
    sender.captured(frame(40))
    until(lambda: device.pictures)
    sender.change("hidden", 0)
    until(lambda: not device.pictures[-1].any())
    sender.captured(frame(41))
    time.sleep(0.3)
    assert not device.pictures[-1].any()


def test_what_ends_it_is_told_once(device, sending):
    told = []
    sender = sending("clean", on_end=lambda who, error: told.append((who, error)))
    sender.captured(frame(1))
    until(lambda: device.pictures)
    device.broken = OSError("No such device")
    sender.captured(frame(2))
    until(lambda: told)
    assert told[0][0] is sender
    assert isinstance(told[0][1], OutputError)
    sender.captured(frame(3))
    sender.thread.join(5)
    assert len(told) == 1
    assert device.closed == 1


def test_settings_hide_for_whoever_wants_it_and_for_no_other(device, sending):
    hidden, annotated = sending("hidden"), sending("annotated")
    assert hiding_for([], Settings()).hiding.how == "off"
    assert hiding_for([annotated], Settings()).hiding.how == "off"
    assert hiding_for([annotated, hidden], Settings()).hiding.how == "blur"
    assert hiding_for([hidden], HIDING).hiding.how == "fill"


# ---------------------------------------------------------------------------------------------- in the pipeline


def enlarged(box: np.ndarray) -> tuple[slice, slice]:
    """Where a box of a 64×48 picture lies in the 640×480 that is sent of it, without its edges."""
    left, top, right, bottom = (box * 10).astype(int)
    return slice(top + 12, bottom - 12), slice(left + 12, right - 12)


def is_covered(picture: np.ndarray, box: np.ndarray) -> bool:
    return bool((np.ptp(picture[enlarged(box)], axis=(0, 1)) <= 1).all())


def test_the_picture_is_sent_as_it_is_shown(device):
    with playing(of(Clip(length=400)), None, TwoFaces) as (pipeline, watcher):
        pipeline.send()
        until(lambda: len(device.pictures) > 3)
        assert pipeline.sending is not None
        assert pipeline.sending.device == device.name
        pipeline.stop_sending()
        assert pipeline.sending is None
        until(lambda: device.closed == 1)
        wanted = np.array(BOX, int)
        near = np.abs(device.pictures[-1].astype(int) - wanted).max(axis=2) < 40
        assert near.sum() > 200
        watcher.wait_for_state(Running)


@pytest.mark.parametrize("content", ["annotated", "hidden"])
def test_hidden_faces_are_hidden_in_every_picture_that_is_sent(device, content):
    class Unsteady(TwoFaces):
        unfound = frozenset(range(20, 30))

    settings = HIDING.changed(
        recording_virtual_camera=content, view_boxes=False, view_landmarks=False, view_scores=False
    )
    if content == "hidden":
        settings = settings.changed(hiding_how="off")
    with playing(of(Patterned(length=100, rate=60)), settings, Unsteady) as (pipeline, watcher):
        pipeline.send()
        watcher.wait_for_state(Ended)
        until(lambda: len(device.pictures) > 10)
    shown = [picture for picture in device.pictures if picture.any()]
    assert shown
    smooth = 40 if content == "hidden" else 1  # blurred, or filled
    for picture in shown:
        for box in FACES:
            assert (np.ptp(picture[enlarged(box)].astype(int), axis=(0, 1)) <= smooth).all()


def test_one_that_wants_hidden_faces_hides_them_from_nobody_else(device, tmp_path):
    settings = Settings().changed(recording_virtual_camera="hidden", recording_content="annotated")
    with playing(of(Patterned(length=200)), settings, TwoFaces) as (pipeline, watcher):
        pipeline.send()
        watcher.wait(lambda: len(watcher.fresh()) > 5)
        assert all(result.hidden is None for result in watcher.fresh())


def test_another_source_goes_to_the_same_camera_and_stop_leaves_it_black(device):
    with playing(of(Clip(length=400)), Settings().changed(recording_virtual_camera="clean")) as (pipeline, watcher):
        pipeline.send()
        until(lambda: device.pictures)
        pipeline.open(of(Clip(length=400)))
        count = len(device.pictures)
        until(lambda: len(device.pictures) > count + 2 and device.pictures[-1].any())
        pipeline.stop()
        watcher.wait_for_state(Idle)
        until(lambda: not device.pictures[-1].any())
        assert pipeline.sending is not None
    assert len(device.opened) == device.closed == 1


def test_hiding_acts_on_a_picture_that_stands_still(device):
    settings = HIDING.changed(hiding_how="off", view_boxes=False, view_landmarks=False, view_scores=False)
    with playing(of(Patterned(length=400)), settings, TwoFaces) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.pause()
        watcher.wait_for_state(Paused)
        pipeline.send()
        until(lambda: device.pictures and not is_covered(device.pictures[-1], FACES[0]))
        pipeline.apply(settings.changed(hiding_how="fill"))
        until(lambda: device.pictures[-1].any() and is_covered(device.pictures[-1], FACES[0]))


def test_detection_does_not_sleep_while_something_is_sent(device):
    with playing(of(Clip(length=2000))) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.sleep(True)
        pipeline.send()
        until(lambda: len(device.pictures) > 5)


def test_without_the_library_it_is_said_and_playing_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with playing(of(Clip(length=2000))) as (pipeline, watcher):
        watcher.wait(watcher.fresh)
        pipeline.send()
        watcher.wait(lambda: watcher.errors)
        assert "pip install pyvirtualcam" in str(watcher.errors[0].hint)
        assert pipeline.sending is None
        count = len(watcher.results)
        watcher.wait(lambda: len(watcher.results) > count)


def test_a_device_that_goes_away_is_one_sentence_and_playing_goes_on(device):
    with playing(of(Clip(length=2000))) as (pipeline, watcher):
        pipeline.send()
        until(lambda: device.pictures)
        device.broken = OSError("No such device")
        until(lambda: pipeline.sending is None)
        assert [type(error) for error in watcher.errors] == [OutputError]
        count = len(watcher.results)
        watcher.wait(lambda: len(watcher.results) > count)
        device.broken = None
        pipeline.send()
        until(lambda: len(device.opened) == 2)


def test_when_nothing_finds_faces_any_more_black_is_sent_and_what_is_under_way_is_late(device, monkeypatch):
    monkeypatch.setattr("rfapp.engines.available", lambda: ())
    detector = TwoFaces()
    with playing(of(Patterned(length=2000)), HIDING, lambda settings: detector) as (pipeline, watcher):
        pipeline.send()
        until(lambda: device.pictures and device.pictures[-1].any())
        detector.broken = RuntimeError("it fell off the bus")
        watcher.wait_for_state(Failed)
        until(lambda: not device.pictures[-1].any())
        assert pipeline.generation > watcher.results[-1].frame.generation


def test_the_end_of_the_pipeline_lets_the_device_go(device):
    with playing(of(Camera([0.01] * 500))) as (pipeline, _):
        pipeline.send()
        until(lambda: device.pictures)
    assert device.closed == 1
    assert not any(thread.name == "virtual camera" for thread in threading.enumerate())


def test_the_fakes_are_as_large_as_these_tests_think():
    assert (WIDTH * 10, HEIGHT * 10) == (640, 480)

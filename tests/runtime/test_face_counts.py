"""How many faces there are, and where: at one time, in the slots of a time line, in stretches."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rfapp.runtime import FaceCounts, Stretch

#: Ten frames a second: nothing, one face, a short gap, two faces, a long gap, one face.
COUNTS = FaceCounts.of(np.arange(60) / 10, [0] * 5 + [1] * 5 + [0] * 5 + [2] * 5 + [0] * 20 + [1] * 5 + [0] * 15)


def test_stretches_bridge_what_is_short() -> None:
    assert COUNTS.stretches() == (Stretch(0.5, 2.0, 2), Stretch(4.0, 4.5, 1))
    assert [one.begin_s for one in COUNTS.stretches(0.0)] == [0.5, 1.5, 4.0]
    assert len(COUNTS.stretches(10.0)) == 1


def test_a_stretch_reaches_to_the_end_of_its_last_frame() -> None:
    counts = FaceCounts.of([0.0, 0.1, 0.2, 3.0, 5.0, 5.1], [0, 0, 1, 0, 1, 1])
    first, second = counts.stretches()
    assert (first.begin_s, first.end_s) == (0.2, 3.0)  # the frame stands on the screen until the next one comes
    assert (second.begin_s, second.end_s) == (5.0, pytest.approx(5.2))


def test_the_number_at_a_time_is_that_of_the_frame_on_the_screen() -> None:
    assert COUNTS.at(0.0) == 0
    assert COUNTS.at(0.55) == 1
    assert COUNTS.at(1.59) == 2
    assert COUNTS.at(5.99) == 0
    assert COUNTS.at(6.2) is None
    assert COUNTS.at(-1.0) is None


@pytest.mark.parametrize("slots", [1, 7, 60, 1000])
def test_slots_have_the_most_of_their_frames(slots: int) -> None:
    edges = np.linspace(0.0, 8.0, slots + 1)
    found = COUNTS.most_between(edges)
    for begin, end, most in zip(edges[:-1], edges[1:], found, strict=True):
        if begin == pytest.approx(6.0):
            continue  # the very end
        if begin > 6.0:
            assert most == -1
            continue
        shown = [
            faces
            for number, faces in enumerate(COUNTS.faces)
            if number / 10 < end - 1e-9 and (number + 1) / 10 > begin + 1e-9
        ]
        assert most == max(shown), (begin, end)


def test_where_nothing_was_looked_at_there_is_nothing() -> None:
    counts = FaceCounts.of([], [])
    assert not len(counts)
    assert counts.stretches() == ()
    assert counts.end_s == counts.most == 0
    assert counts.at(0.0) is None
    assert counts.most_between(np.array([0.0, 1.0, 2.0])).tolist() == [-1, -1]
    assert counts.next_stretch(0.0) is None
    assert counts.previous_stretch(9.0) is None


def test_one_frame_is_enough() -> None:
    counts = FaceCounts.of([0.0], [3])
    assert counts.stretches() == (Stretch(0.0, counts.end_s, 3),)
    assert counts.at(0.01) == 3


def test_the_way_from_stretch_to_stretch() -> None:
    def begin(stretch: Stretch | None) -> float | None:
        return None if stretch is None else stretch.begin_s

    assert begin(COUNTS.next_stretch(0.0)) == 0.5
    assert begin(COUNTS.next_stretch(0.5)) == 4.0  # who stands at the beginning of one wants the next
    assert COUNTS.next_stretch(4.0) is None
    assert begin(COUNTS.previous_stretch(5.9)) == 4.0
    assert begin(COUNTS.previous_stretch(4.3)) == 0.5  # just begun
    assert begin(COUNTS.previous_stretch(2.0)) == 0.5  # well within
    assert begin(COUNTS.previous_stretch(0.7)) == 0.5  # there is none before
    assert COUNTS.previous_stretch(0.5) is None


def test_results_are_read_back() -> None:
    def line(time_s: float, faces: int) -> bytes:
        return json.dumps({"source": "a", "time_s": time_s, "faces": [{}] * faces}).encode() + b"\n"

    lines = [line(0.0, 0), line(0.5, 2), b'{"source": "a", "people": 2, "tracks": []}\n', b'{"source": "a", "time']
    counts = FaceCounts.read(lines)
    assert counts.times.tolist() == [0.0, 0.5]
    assert counts.faces.tolist() == [0, 2]
    with pytest.raises(ValueError, match="object"):
        FaceCounts.read([b"[1, 2]\n"])

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from rfapp.errors import SourceNotFound, SourceUnreadable
from rfapp.sources import open_source, sample
from rfapp.sources.sample import HEIGHT, RATE, WIDTH, SampleScene


def test_a_frame_depends_on_its_index_only() -> None:
    one, other = SampleScene(), SampleScene()
    later = one.render(400)
    assert later.shape == (HEIGHT, WIDTH, 3)
    other.render(3)
    np.testing.assert_array_equal(other.render(400), later)
    assert (one.render(401) != later).any()


def test_portraits_keep_clear_of_one_another_and_of_the_edges() -> None:
    bubbles = sample._BUBBLES
    seconds = np.arange(0, 600, 0.1)

    def path(bubble: sample._Bubble) -> np.ndarray:
        turns = seconds[:, None] / np.array(bubble.periods)
        way = np.stack([np.sin(2 * np.pi * turns[:, 0]), np.cos(2 * np.pi * turns[:, 1])], 1)
        return np.array(bubble.centre) + way * np.array(bubble.sway)

    for place, bubble in enumerate(bubbles):
        centres, radius = path(bubble), bubble.diameter / 2
        assert (centres - radius >= 0).all(), bubble
        assert (centres + radius <= (WIDTH, HEIGHT)).all(), bubble
        for other in bubbles[place + 1 :]:
            distance = np.linalg.norm(centres - path(other), axis=1).min()
            assert distance > (bubble.diameter + other.diameter) / 2, (bubble, other)


def test_it_moves_and_does_not_jump() -> None:
    scene = SampleScene()
    frames = [cv2.cvtColor(scene.render(i), cv2.COLOR_BGR2GRAY).astype(int) for i in range(6)]
    changes = [np.abs(b - a).mean() for a, b in itertools.pairwise(frames)]
    assert all(0.05 < change < 5 for change in changes)


def test_source() -> None:
    with open_source("sample") as source:
        info = source.open()
        assert (info.width, info.height, info.rate) == (WIDTH, HEIGHT, RATE)
        assert not info.live
        frames = [source.read() for _ in range(3)]
    assert [frame.time_s for frame in frames if frame] == pytest.approx([0, 1 / 30, 2 / 30])


def test_damaged_and_missing_portrait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "resources", lambda: tmp_path)
    with pytest.raises(SourceNotFound):
        open_source("sample").open()
    (tmp_path / "astronaut.png").write_bytes(b"no picture")
    with pytest.raises(SourceUnreadable, match="built-in sample is damaged"):
        open_source("sample").open()

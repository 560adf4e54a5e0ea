from __future__ import annotations

from collections import Counter

import pytest

from rfapp.engines.quicker import Quicker


def go(quicker: Quicker, seconds: dict[int, float], runs: int) -> Counter[int]:
    ways: Counter[int] = Counter()
    for _ in range(runs):
        way = quicker.next()
        ways[way] += 1
        quicker.took(way, seconds[way])
    return ways


@pytest.mark.parametrize("quickest", [0, 1, 2])
def test_the_quickest_way_is_gone_and_the_others_are_looked_at(quickest):
    seconds = dict.fromkeys(range(3), 2.0) | {quickest: 1.0}
    ways = go(Quicker(3), seconds, 1000)
    assert ways[quickest] > 950
    assert min(ways.values()) >= 3 + 10


def test_a_change_is_noticed_in_either_direction():
    quicker = Quicker(2)
    go(quicker, {0: 1.0, 1: 1.5}, 100)
    # The way that is gone becomes slow: a few runs tell.
    assert go(quicker, {0: 2.0, 1: 1.5}, 100)[1] > 90
    # The other one becomes quick again: the next looks at it tell.
    assert go(quicker, {0: 1.0, 1: 1.5}, 200)[0] > 120


def test_one_disturbed_run_changes_nothing():
    quicker = Quicker(2)
    go(quicker, {0: 1.0, 1: 1.5}, 20)
    quicker.took(0, 50.0)
    assert quicker.next() == 0


def test_a_single_way_is_always_gone():
    assert go(Quicker(1), {0: 1.0}, 100) == {0: 100}

"""Pairs that cost least together, against trying every order."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfapp.tracking.assignment import assign


def best(costs: np.ndarray) -> tuple[int, float]:
    """How many pairs there can be at most, and what so many cost at least."""
    rows, columns = costs.shape
    if rows > columns:
        return best(costs.T)
    found = (0, 0.0)
    for order in permutations(range(columns), rows):
        chosen = costs[range(rows), order]
        pairs = np.isfinite(chosen)
        found = max(found, (int(pairs.sum()), -float(chosen[pairs].sum())))
    return found[0], -found[1]


@given(
    st.integers(1, 5).flatmap(
        lambda rows: st.integers(1, 5).flatmap(
            lambda columns: st.lists(
                st.one_of(st.just(np.inf), st.integers(0, 20).map(float)),
                min_size=rows * columns,
                max_size=rows * columns,
            ).map(lambda values: np.array(values).reshape(rows, columns))
        )
    )
)
def test_as_many_pairs_as_can_be_and_no_cheaper_ones(costs):
    pairs = assign(costs)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert (len(pairs), sum(costs[pair] for pair in pairs)) == best(costs)


def test_the_cheaper_pair_of_two_is_made():
    assert assign(np.array([[1.0, 0.2], [0.3, 0.1]])) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_assign(shape):
    assert assign(np.zeros(shape)) == []


def test_three_hundred_faces_at_random_places_are_paired_with_themselves():
    random = np.random.default_rng(1)
    places = random.uniform(0, 2000, (300, 2))
    order = random.permutation(300)
    moved = places[order] + random.normal(0, 2, (300, 2))
    costs = np.linalg.norm(places[:, None] - moved[None], axis=2)
    costs[costs > 200] = np.inf
    assert dict(assign(costs)) == {int(row): i for i, row in enumerate(order)}

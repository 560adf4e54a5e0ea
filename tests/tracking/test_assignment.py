"""Pairs that cost least together, against trying every order."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfapp.tracking.assignment import assign

ALONE = 12.0


def least(costs: np.ndarray) -> float:
    """What the best pairs cost, with rows that stay alone."""
    rows, columns = costs.shape
    wide = np.concatenate([costs, np.full((rows, rows), ALONE)], axis=1)
    return min(wide[range(rows), order].sum() for order in permutations(range(columns + rows), rows))


@given(
    st.integers(1, 4).flatmap(
        lambda rows: st.integers(1, 4).flatmap(
            lambda columns: st.lists(
                st.one_of(st.just(np.inf), st.integers(0, 20).map(float)),
                min_size=rows * columns,
                max_size=rows * columns,
            ).map(lambda values: np.array(values).reshape(rows, columns))
        )
    )
)
def test_no_other_pairs_cost_less(costs):
    pairs = assign(costs, ALONE)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert sum(costs[pair] for pair in pairs) + ALONE * (len(costs) - len(pairs)) == least(costs)


def test_the_cheaper_pair_of_two_is_made():
    assert assign(np.array([[1.0, 0.2], [0.3, 0.1]]), 2.0) == [(0, 1), (1, 0)]


def test_a_good_pair_is_not_given_up_for_two_bad_ones():
    assert assign(np.array([[0.1, 0.8], [0.8, np.inf]]), 0.9) == [(0, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_assign(shape):
    assert assign(np.zeros(shape), 1.0) == []


def test_three_hundred_faces_at_random_places_are_paired_with_themselves():
    random = np.random.default_rng(1)
    places = random.uniform(0, 2000, (300, 2))
    order = random.permutation(300)
    moved = places[order] + random.normal(0, 2, (300, 2))
    costs = np.linalg.norm(places[:, None] - moved[None], axis=2)
    assert dict(assign(costs, 200.0)) == {int(row): i for i, row in enumerate(order)}

"""Who belongs to whom: the pairs of rows and columns that cost least together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Costs = npt.NDArray[np.float64]


def assign(costs: Costs, alone: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of *costs* (rows × columns), each row and column at most once, so that the sum is smallest.

    A row without a pair costs *alone*, which is thus the most that a pair may add; so two bad pairs are not made at
    the expense of a good one. What costs infinitely much is no pair. Rows and columns that share no pair are solved
    apart: in a picture most faces have one candidate only.
    """
    allowed = costs < alone
    choices, rivals = allowed.sum(axis=1), allowed.sum(axis=0)
    single = allowed & (choices[:, None] == 1) & (rivals == 1)
    pairs = [(int(row), int(column)) for row, column in np.argwhere(single)]
    waiting = set(np.flatnonzero((choices > 0) & ~single.any(axis=1)).tolist())
    while waiting:
        rows, columns = _together(allowed, waiting.pop())
        waiting.difference_update(rows)
        if len(rows) == 1:
            pairs.append((rows[0], columns[int(np.argmin(costs[rows[0], columns]))]))
            continue
        # As many columns more as there are rows: for a row that stays alone.
        block = np.full((len(rows), len(columns) + len(rows)), alone)
        block[:, : len(columns)] = np.minimum(costs[np.ix_(rows, columns)], alone)
        pairs += [(rows[i], columns[j]) for i, j in _least(block) if j < len(columns) and allowed[rows[i], columns[j]]]
    return sorted(pairs)


def _together(allowed: npt.NDArray[np.bool_], row: int) -> tuple[list[int], list[int]]:
    """The rows and columns that can be reached from *row* over allowed pairs."""
    rows: npt.NDArray[np.bool_] = np.zeros(allowed.shape[0], np.bool_)
    rows[row] = True
    while True:
        columns = allowed[rows].any(axis=0)
        more = np.asarray(allowed[:, columns].any(axis=1), np.bool_)
        if (more == rows).all():
            return np.flatnonzero(rows).tolist(), np.flatnonzero(columns).tolist()
        rows = more


def _least(costs: Costs) -> list[tuple[int, int]]:
    """Every row of *costs*, which has no more rows than columns, in pairs that cost least together.

    Shortest augmenting paths with potentials (Jonker and Volgenant, "A shortest augmenting path algorithm for dense
    and sparse linear assignment problems", Computing 38, 1987), without its initial heuristics.
    """
    count, width = costs.shape
    of_row, of_column = np.zeros(count), np.zeros(width + 1)  # the potentials
    owner = np.full(width + 1, -1)  # the row of each column; the last column is where the paths begin
    for row in range(count):
        owner[width] = row
        column = width
        shortest, before = np.full(width, np.inf), np.full(width, width)
        done = np.zeros(width + 1, np.bool_)
        while owner[column] >= 0:
            done[column] = True
            here = owner[column]
            free = ~done[:width]
            length = costs[here] - of_row[here] - of_column[:width]
            closer = free & (length < shortest)
            shortest[closer], before[closer] = length[closer], column
            nearest = int(np.argmin(np.where(free, shortest, np.inf)))
            step = shortest[nearest]
            of_row[owner[done]] += step
            of_column[done] -= step
            shortest[free] -= step
            column = nearest
        while column != width:  # turn the path round
            previous = int(before[column])
            owner[column] = owner[previous]
            column = previous
    return [(int(owner[column]), column) for column in range(width) if owner[column] >= 0]

"""Who belongs to whom: the pairs of rows and columns that cost least together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Costs = npt.NDArray[np.float64]


def assign(costs: Costs) -> list[tuple[int, int]]:
    """Pairs (row, column) of *costs* (rows × columns), each row and column at most once.

    What costs infinitely much is no pair; of the others as many are made as can be, so that their sum is smallest.
    Rows and columns that share no pair are solved apart: in a picture most faces have one candidate only.
    """
    allowed = np.isfinite(costs)
    choices, rivals = allowed.sum(axis=1), allowed.sum(axis=0)
    alone = allowed & (choices[:, None] == 1) & (rivals == 1)
    pairs = [(int(row), int(column)) for row, column in np.argwhere(alone)]
    waiting = set(np.flatnonzero((choices > 0) & ~alone.any(axis=1)).tolist())
    while waiting:
        rows, columns = _together(allowed, waiting.pop())
        waiting.difference_update(rows)
        if len(rows) == 1:
            pairs.append((rows[0], columns[int(np.argmin(costs[rows[0], columns]))]))
            continue
        block = costs[np.ix_(rows, columns)]
        some = np.isfinite(block)
        # So dear that no number of pairs outweighs one that is none.
        block = np.where(some, block, (np.abs(block[some]).max() + 1) * 2 * len(rows))
        pairs += [(rows[i], columns[j]) for i, j in _least(block) if allowed[rows[i], columns[j]]]
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
    """All rows or all columns of *costs*, whichever are fewer, in pairs that cost least together.

    Shortest augmenting paths with potentials (Jonker and Volgenant, "A shortest augmenting path algorithm for dense
    and sparse linear assignment problems", Computing 38, 1987), without its initial heuristics.
    """
    if costs.shape[0] > costs.shape[1]:
        return [(row, column) for column, row in _least(costs.T)]
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

"""Which of several ways to do the same thing is the quickest just now, found out while it is done."""

from __future__ import annotations

#: The last times of each way that count, by their median: one run that was disturbed changes nothing.
_TIMES = 3
#: One run in so many goes to a way that is behind: what is quickest may change, and each such run costs a little.
_AGAIN = 32


class Quicker:
    """Chooses among *ways* (their count, at least 1): :meth:`next` tells which to go, :meth:`took` how long that was.

    Each way is tried three times; from then on the quickest one is gone, and the others in turn now and then.
    """

    def __init__(self, ways: int) -> None:
        self._times: list[list[float]] = [[] for _ in range(ways)]
        self._runs = 0

    def next(self) -> int:
        """The way to go this time, 0 … ways − 1."""
        untried = min(self._times, key=len)
        if len(untried) < _TIMES:
            return self._times.index(untried)
        ranking = sorted(range(len(self._times)), key=lambda way: sorted(self._times[way])[_TIMES // 2])
        self._runs += 1
        again, rest = divmod(self._runs, _AGAIN)
        return ranking[0] if rest or len(ranking) == 1 else ranking[1 + again % (len(ranking) - 1)]

    def took(self, way: int, seconds: float) -> None:
        """*way* was gone in *seconds*."""
        self._times[way] = [*self._times[way][1 - _TIMES :], seconds]

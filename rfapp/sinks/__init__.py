"""Where results go: drawn into pictures and videos, or written as lines.

Every sink is a context manager with one ``append``. Leaving it completes what was written, also when it is left by an
exception: what was done is kept.
"""

from __future__ import annotations

from rfapp.sinks.drawing import draw

__all__ = ["draw"]

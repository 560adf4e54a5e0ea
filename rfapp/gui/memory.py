"""What the window remembers from one start to the next besides the settings: its place, and what was opened."""

from __future__ import annotations

import base64
import binascii
import logging
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rfapp.places import config_dir
from rfapp.settings import write_whole

log = logging.getLogger(__name__)

MOST_RECENT = 10


@dataclass(frozen=True, slots=True)
class Memory:
    """``geometry`` is Qt's own description of the window's place and size. ``recent``: addresses, the newest first."""

    geometry: bytes = b""
    pane_open: bool = True
    recent: tuple[str, ...] = ()


def with_newest(recent: Sequence[str], address: str) -> tuple[str, ...]:
    """*recent* with *address* as the newest, and not longer than it may be."""
    rest = (other for other in recent if other != address)
    return (address, *rest)[:MOST_RECENT]


def memory_file() -> Path:
    return config_dir() / "window.toml"


def load(path: Path) -> Memory:
    """What *path* remembers; nothing at all when it is missing or damaged, since it is only a convenience."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        recent = data.get("recent", [])
        return Memory(
            geometry=base64.b64decode(str(data.get("geometry", "")), validate=True),
            pane_open=bool(data.get("pane_open", True)),
            recent=tuple(str(a) for a in recent if isinstance(a, str))[:MOST_RECENT] if _is_list(recent) else (),
        )
    except FileNotFoundError:
        return Memory()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, binascii.Error, ValueError) as error:
        log.warning("%s: %s", path, error)
        return Memory()


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def save(memory: Memory, path: Path) -> None:
    """Write it so that a cut leaves the old file whole."""
    import tomli_w

    content = {
        "geometry": base64.b64encode(memory.geometry).decode("ascii"),
        "pane_open": memory.pane_open,
        "recent": list(memory.recent),
    }
    write_whole(path, tomli_w.dumps(content).encode())

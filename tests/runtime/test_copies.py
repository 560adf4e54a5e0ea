from __future__ import annotations

from pathlib import Path

import pytest

from rfapp.errors import OutputExists, UsageError
from rfapp.runtime.copies import check_free, media_paths
from rfapp.sources.inputs import Input


def named(*names: str, root: str = "in") -> list[Input]:
    return [
        Input(f"{root}/{name}", Path(root) / name, Path(root), picture=not name.endswith((".mkv", ".mp4", ".avi")))
        for name in names
    ]


def test_names_are_kept_where_they_can_be() -> None:
    out = Path("out")
    paths = media_paths(named("a.jpg", "b/c.png", "d.mkv", "e.gif"), out)
    assert list(paths.values()) == [out / "a.jpg", out / "c.png", out / "d.mp4", out / "e.gif.png"]


def test_colliding_names_keep_their_path() -> None:
    out = Path("out")
    paths = media_paths([*named("x/a.jpg", "y/A.jpg", "b.jpg", "v.avi", "w/v.mkv")], out)
    assert list(paths.values()) == [out / "x/a.jpg", out / "y/A.jpg", out / "b.jpg", out / "v.mp4", out / "w/v.mp4"]
    paths = media_paths([*named("a.jpg", root="one"), *named("a.jpg", root="two")], out)
    assert list(paths.values()) == [out / "one/a.jpg", out / "two/a.jpg"]
    paths = media_paths([*named("v.avi", "v.mkv", "v.mp4")], out)
    assert len({str(path).casefold() for path in paths.values()}) == 3


def test_originals_are_never_replaced(tmp_path: Path) -> None:
    original = tmp_path / "a.jpg"
    original.touch()
    inputs = [Input(str(original), original, tmp_path, picture=True)]
    with pytest.raises(UsageError, match="over the original"):
        check_free([tmp_path / "x" / ".." / "a.jpg"], inputs, replace=True)
    with pytest.raises(OutputExists, match="--force"):
        check_free([original], [], replace=False)
    check_free([original], [], replace=True)

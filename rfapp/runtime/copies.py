"""Which name the annotated copy of each file gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rfapp.errors import OutputExists, UsageError
from rfapp.sinks.pictures import picture_name
from rfapp.sources.inputs import Input
from rfapp.text import mark


def media_paths(inputs: Sequence[Input], folder: Path) -> dict[str, Path]:
    """Where in *folder* the annotated copy of each input goes, by the input's name.

    A file keeps its name (videos become .mp4). Where names collide, those files keep their path below the folder that
    was named; where these collide, too, that folder's name goes before it, and then a number behind.
    """
    level = dict.fromkeys((item.name for item in inputs), 0)
    while True:
        names = {item.name: _name(item, level[item.name]) for item in inputs}
        count = Counter(_same(name) for name in names.values())
        colliding = [item.name for item in inputs if count[_same(names[item.name])] > 1 and level[item.name] < 2]
        if not colliding:
            break
        for source in colliding:
            level[source] += 1
    taken: set[str] = set()
    paths = {}
    for source, name in names.items():
        number, free = 1, name
        while _same(free) in taken:
            number += 1
            free = name.with_stem(f"{name.stem} ({number})")
        taken.add(_same(free))
        paths[source] = folder / free
    return paths


def _name(item: Input, level: int) -> Path:
    if level == 0:
        name = Path(item.path.name)
    else:
        try:
            name = item.path.relative_to(item.root)
        except ValueError:
            name = Path(item.path.name)
        if level == 2:
            name = Path(item.root.resolve().name) / name
    return name.with_name(picture_name(name.name)) if item.picture else name.with_suffix(".mp4")


def _same(name: Path) -> str:
    return str(name).casefold()  # many file systems take "A.jpg" and "a.jpg" for one


def check_free(paths: Sequence[Path], inputs: Sequence[Input], *, replace: bool) -> None:
    """Raise UsageError where an output would replace an input, OutputExists where one is there and *replace* is not."""
    originals = {item.path.resolve() for item in inputs}
    for path in paths:
        if path.resolve() in originals:
            raise UsageError(
                mark("“{path}” would be written over the original."),
                mark("Choose another folder or file for the results."),
                path=str(path),
            )
        if path.exists() and not replace:
            raise OutputExists(mark("“{path}” is there already."), mark("Use --force to replace it."), path=str(path))

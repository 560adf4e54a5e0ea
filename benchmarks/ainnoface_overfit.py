"""Whether AInnoFace learns at all: its small form has to know eight pictures by heart.

Of labelled pictures, eight are taken evenly from those whose faces all have sides of 24 px or more. ``ainnoface-r18``
begins with chance and sees crops of 320 px, neither mirrored nor recoloured; average precision is measured on the same
eight pictures at 640 px, as ``rfapp train`` always does ("hard" counts every face). From the project's folder::

    python benchmarks/ainnoface_overfit.py --data WIDER/label.txt --output RUN [--steps 350] [--threads 2]

The last line is JSON: the average precision after each validation with the minutes passed (of the clock, and of the
processor in this process and in those that load pictures), and how the first step's losses fell.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil
import torch

from rfapp.datasets import Sample, clean, open_dataset
from rfapp.datasets.runs import RunFolder
from rfapp.training.augmentation import Augmentation
from rfapp.training.plan import Plan
from rfapp.training.recipes import recipe_for
from rfapp.training.trainer import train

PICTURES, LEAST_SIDE = 8, 24.0


def chosen(samples: tuple[Sample, ...]) -> list[Sample]:
    """Evenly among the pictures without small or ignored faces, in the order of the labels."""
    fitting = [
        sample
        for sample in samples
        if len(sample) and not sample.ignore.any() and (sample.boxes[:, 2:] - sample.boxes[:, :2]).min() >= LEAST_SIDE
    ]
    return fitting[:: len(fitting) // PICTURES][:PICTURES]


def write_labels(samples: list[Sample], folder: Path) -> Path:
    """The samples as a data set of their own, in RetinaFace's format."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, sample in enumerate(samples):
        link = folder / f"{number}{sample.picture.suffix}"
        link.unlink(missing_ok=True)
        link.symlink_to(sample.picture.absolute())
        lines.append(f"# {link.name}")
        for box, points, known in zip(sample.boxes, sample.landmarks, sample.known, strict=True):
            marks = " ".join(f"{x:.2f} {y:.2f} 0.0" if known else "-1.0 -1.0 -1.0" for x, y in points)
            x1, y1, x2, y2 = box
            lines.append(f"{x1:.2f} {y1:.2f} {x2 - x1:.2f} {y2 - y1:.2f} {marks} 0.5")
    (folder / "label.txt").write_text("\n".join(lines) + "\n")
    return folder / "label.txt"


def processor_minutes() -> float:
    """Of this process and its children."""
    mine = psutil.Process()
    times = [process.cpu_times() for process in (mine, *mine.children(recursive=True))]
    return round(sum(each.user + each.system for each in times) / 60, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", default="ainnoface-r18")
    parser.add_argument("--init", default="")
    for name, default in (("steps", 350), ("batch", 4), ("threads", 2), ("validations", 5), ("size", 320)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    labels = write_labels(chosen(clean(open_dataset(given.data)).samples), given.output.with_name("eight"))
    recipe = replace(
        recipe_for("quick", given.model),
        steps=given.steps,
        batch=given.batch,
        validations=given.validations,
        learning_rate=given.learning_rate,
        augmentation=Augmentation(size=given.size, scale_range=(0.5, 0.8), mirror=0.0, colours=False),
    )
    plan = Plan(
        data=(labels,),
        validation=str(labels),
        recipe=recipe,
        model=given.model,
        init=given.init,
        device="cpu",
        workers=0,
    )
    began = time.monotonic()
    reached: list[dict[str, float]] = []

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        if line.startswith("Validation"):
            last = RunFolder(given.output).events()[-1]
            minutes = round((time.monotonic() - began) / 60, 2)
            reached.append(
                {"step": last["step"], "ap": last["hard"], "minutes": minutes, "processor": processor_minutes()}
            )

    train(plan, given.output, say=say)
    steps = [event for event in RunFolder(given.output).events() if event["event"] == "step"]
    tenth = max(1, len(steps) // 10)
    first_step = {
        name: [round(sum(event[name] for event in part) / len(part), 4) for part in (steps[:tenth], steps[-tenth:])]
        for name in ("loss_first_class", "loss_first_box")
    }
    print(json.dumps({"validations": reached, "first_tenth_and_last": first_step}))


if __name__ == "__main__":
    main()

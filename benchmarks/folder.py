"""How near ``rfapp detect`` over a folder comes to the slower of its two parts: reading pictures and finding faces.

    python benchmarks/folder.py FOLDER

Three rounds; each reads all pictures, finds faces in them as they lie in memory with a new detector, and runs ``rfapp
detect`` with results into a file. Prints the median of the rounds' ratios of the third to the longer of the first two.
Ends with 1 when that is above 1.2.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from rfapp import FaceDetector
from rfapp.cli import main as rfapp
from rfapp.sources import is_picture, read_picture

ROUNDS = 3
LIMIT = 1.2


def main() -> int:
    """Run what the command line asks for; one line a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    files = sorted(file for file in folder.rglob("*") if is_picture(file))
    if not files:
        parser.error(f"there are no pictures in {folder}")
    ratios = []
    with tempfile.TemporaryDirectory() as out:
        for number in range(ROUNDS):
            began = time.perf_counter()
            pictures = [read_picture(file) for file in files]
            read = time.perf_counter() - began
            began = time.perf_counter()
            with FaceDetector() as detector:
                for picture in pictures:
                    detector(picture)
            found = time.perf_counter() - began
            del pictures
            began = time.perf_counter()
            status = rfapp(["detect", str(folder), "--output", f"{out}/{number}.jsonl", "--quiet"])
            whole = time.perf_counter() - began
            if status:
                return status
            ratios.append(whole / max(read, found))
            print(f"read {read:.2f} s, find {found:.2f} s, rfapp detect {whole:.2f} s: {ratios[-1]:.2f}", flush=True)
    ratio = statistics.median(ratios)
    print(f"median {ratio:.2f} (limit {LIMIT})")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())

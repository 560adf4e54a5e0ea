"""Whether the process grows with the number of different picture sizes that a detector has seen.

    python benchmarks/growth.py --engine openvino --sizes 5000 --longest 640

Pictures of as many different sizes go through one detector, each once, in no order. What the process holds once warm
(after the largest and the first 300) is compared with what it holds in the end. Ends with 1 when it grew by more than
30 MB.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time

import numpy as np
import psutil

from rfapp import FaceDetector

WARM = 300
LIMIT_MB = 30.0


def main() -> int:
    """Run what the command line asks for; prints one line of JSON per tenth, and the outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("auto", "openvino", "torch"), default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--sizes", type=int, default=5000, help="how many different sizes (default: %(default)s)")
    parser.add_argument("--longest", type=int, default=640, help="the longest side in pixels (default: %(default)s)")
    arguments = parser.parse_args()
    count, longest = arguments.sizes, arguments.longest
    if not WARM < count <= (longest - 31) ** 2:
        parser.error(f"between {WARM + 1} and {(longest - 31) ** 2} sizes")
    every = [(height, width) for height in range(32, longest + 1) for width in range(32, longest + 1)]
    sizes = random.Random(0).sample(every, count)
    noise = np.random.default_rng(0).integers(0, 256, (longest, longest, 3), np.uint8)
    process = psutil.Process()

    def held() -> float:
        return round(process.memory_info().rss / 1e6, 1)

    detector = FaceDetector(
        engine=arguments.engine, precision=arguments.precision, threads=arguments.threads, size="original"
    )
    for _ in range(2):
        detector(noise)
    began, warm, most = time.monotonic(), 0.0, 0.0
    for number, (height, width) in enumerate(sizes, 1):
        detector(noise[:height, :width])
        if number == WARM:
            warm = held()
        most = max(most, held())
        if number % max(1, count // 10) == 0:
            print(json.dumps({"sizes": number, "rss_mb": held(), "s": round(time.monotonic() - began, 1)}), flush=True)
    grown = round(held() - warm, 1)
    outcome = {
        "engine": detector.engine,
        "precision": detector.precision,
        "sizes": count,
        "longest": longest,
        "warm_mb": warm,
        "end_mb": held(),
        "most_mb": most,
        "grown_mb": grown,
        "s": round(time.monotonic() - began, 1),
    }
    print(json.dumps(outcome))
    return 0 if grown <= LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())

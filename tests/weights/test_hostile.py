"""Hundreds of damaged and hostile checkpoints: each ends in a sentence, runs nothing, and takes little memory."""

import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="checkpoints are torch's")

from rfapp.errors import WeightsAltered, WeightsError  # noqa: E402
from rfapp.places import shipped_weights  # noqa: E402
from rfapp.weights import checkpoints, find  # noqa: E402

# Opens every file in a folder; tells how many were refused, what else was raised, and how far memory rose.
RUN = """
import json, resource, sys
from pathlib import Path
from rfapp.errors import WeightsError
from rfapp.weights import checkpoints, find

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

files = sorted(Path(sys.argv[1]).iterdir())
for path in files[:3]:
    checkpoints.read(path)
before, refused, raised = peak(), 0, []
for path in files[3:]:
    try:
        find(path)
        checkpoints.read(path)
    except WeightsError as error:
        refused += path.name in str(error)
    except BaseException as error:
        raised.append(f"{path.name}: {type(error).__name__} {error}"[:200])
print(json.dumps({"refused": refused, "raised": raised, "grown": peak() - before}))
"""


def damaged(honest: bytes, rng: np.random.Generator, case: int) -> bytes:
    content = bytearray(honest)
    if case % 4 == 0:
        return bytes(content[: rng.integers(0, len(content))])
    if case % 4 == 1:  # anywhere
        for place in rng.integers(0, len(content), 30):
            content[place] ^= 1 << int(rng.integers(0, 8))
    elif case % 4 == 2:  # where lengths and names stand
        for place in rng.integers(0, min(4000, len(content)), 6):
            content[place] = int(rng.choice([0, 0x7F, 0x80, 0xFF]))
    else:  # at the end, where an archive has its directory
        for place in rng.integers(max(0, len(content) - 4000), len(content), 6):
            content[place] = int(rng.integers(0, 256))
    return bytes(content)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
def test_three_hundred_damaged_files_end_in_sentences(tmp_path, test_data):
    legacy = test_data / "checkpoints" / "mobilenet0.25_Final.pth"
    archive = tmp_path / "archive.pth"
    torch.save(torch.load(legacy, map_location="cpu", weights_only=True), archive)
    folder = tmp_path / "files"
    folder.mkdir()
    rng = np.random.default_rng(11)
    sources = ((legacy, "pth"), (archive, "pth"), (shipped_weights() / "mobilenet0.25.safetensors", "safetensors"))
    for number, (source, suffix) in enumerate(sources):
        honest = source.read_bytes()
        (folder / f"0-honest{number}.{suffix}").write_bytes(honest)
        for case in range(100):
            (folder / f"case-{number}-{case}.{suffix}").write_bytes(damaged(honest, rng, case))
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    assert answer["raised"] == []
    assert answer["refused"] > 150  # a flipped bit in a number is no damage that anybody could see
    assert answer["grown"] < 2 * 1_800_000 + 20_000_000, "the interpreter's own noise is some megabytes"


class Attack:
    def __reduce__(self):
        return os.system, ("touch /tmp/rfapp-was-here",)


def test_code_in_a_pickle_is_not_run_wherever_it_stands(tmp_path, test_data, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    state = torch.load(test_data / "checkpoints" / "mobilenet0.25_Final.pth", map_location="cpu", weights_only=True)
    for number, value in enumerate(({"a": Attack(), **state}, [Attack()], {"state_dict": state, "epoch": Attack()})):
        for zipped in (True, False):
            path = tmp_path / f"{number}{zipped}.pth"
            torch.save(value, path, _use_new_zipfile_serialization=zipped)
            with pytest.raises(WeightsError, match=r"program code|no RetinaFace"):
                find(path)
    path = tmp_path / "bare.pth"
    path.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(WeightsError):
        checkpoints.read(path)
    assert ran == []


def test_an_archive_that_would_fill_the_memory_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 200_000_000)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(WeightsAltered, match="damaged"):
        checkpoints.read(path)

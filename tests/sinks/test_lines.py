from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rfapp.datasets import open_dataset
from rfapp.errors import OutputError
from rfapp.frames import Detections, Frame
from rfapp.sinks.lines import Csv, JsonLines, LineSink, cut_back, line_sink
from rfapp.sources import is_picture


def frame(index: int = 0, time_s: float = 0.0) -> Frame:
    return Frame(np.zeros((48, 64, 3), np.uint8), index, time_s, 0.0)


def faces(count: int = 1, *, landmarks: bool = True) -> Detections:
    boxes = np.arange(4 * count, dtype=np.float32).reshape(count, 4) + np.float32(0.125)
    points = np.arange(10 * count, dtype=np.float32).reshape(count, 5, 2) if landmarks else None
    return Detections(boxes, np.linspace(0.9, 0.8, count, dtype=np.float32), points)


def test_json_line() -> None:
    out = io.BytesIO()
    with JsonLines(out) as sink:
        sink.append("a b.mp4", frame(3, 1 / 3), faces(1))
        sink.append("a b.mp4", frame(4, 0.5), Detections.empty())
        sink.fail("c.mp4", "It is empty.")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert list(lines[0]) == ["source", "frame", "time_s", "width", "height", "faces"]
    assert lines[0] == {
        "source": "a b.mp4",
        "frame": 3,
        "time_s": 0.333333,
        "width": 64,
        "height": 48,
        "faces": [
            {
                "box": [0.12, 1.12, 2.12, 3.12],
                "score": 0.9,
                "landmarks": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0], [8.0, 9.0]],
                "track": None,
            }
        ],
    }
    assert lines[1]["faces"] == []
    assert lines[2] == {"source": "c.mp4", "error": "It is empty."}


def test_csv_line() -> None:
    out = io.BytesIO()
    with Csv(out) as sink:
        sink.append('odd, "name".jpg', frame(3, 0.5), faces(2))
        sink.append("none.jpg", frame(), Detections.empty())
        sink.append("plain.jpg", frame(), faces(1, landmarks=False))
        sink.fail("c.mp4", "It is empty.")
    rows = list(csv.reader(io.StringIO(out.getvalue().decode())))
    expected = "source,frame,time_s,face,track,x1,y1,x2,y2,score,lx1,ly1,lx2,ly2,lx3,ly3,lx4,ly4,lx5,ly5"
    assert ",".join(rows[0]) == expected
    assert rows[1][:10] == ['odd, "name".jpg', "3", "0.5", "0", "", "0.12", "1.12", "2.12", "3.12", "0.9"]
    assert rows[1][10:] == [str(float(v)) for v in range(10)]
    assert rows[2][3] == "1"
    assert rows[3][0] == "plain.jpg"
    assert rows[3][10:] == [""] * 10
    assert len(rows) == 4


def test_names_in_any_script_and_names_that_are_no_text() -> None:
    strange = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    out = io.BytesIO()
    sink = JsonLines(out)
    sink.append("写真.png", frame(), Detections.empty())
    sink.append(strange, frame(), Detections.empty())
    first, second = out.getvalue().splitlines()
    assert "写真".encode() in first
    assert json.loads(second.decode("ascii"))["source"] == strange
    out = io.BytesIO()
    Csv(out).append(strange, frame(), faces(1))
    assert b"caf\xe9.png,0" in out.getvalue()


def test_every_frame_is_handed_on_at_once() -> None:
    class Watched(io.BytesIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed = len(self.getvalue())

    out = Watched()
    sink = JsonLines(out)
    sink.append("a.png", frame(), Detections.empty())
    assert out.flushed == len(out.getvalue()) > 0


def test_full_disk_is_a_sentence() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        JsonLines(Full()).append("a.png", frame(), Detections.empty())


def test_labels_are_what_training_reads(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((200, 300, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "none.png"), np.zeros((20, 30, 3), np.uint8))
    one = faces(2)
    with (tmp_path / "label.txt").open("wb") as file, line_sink("label", file) as sink:
        sink.append("a.png", frame(), one)
        sink.fail("broken.png", "It is damaged.")
        sink.append("none.png", frame(), Detections.empty())
    read = open_dataset(tmp_path / "label.txt")
    samples = {sample.picture.name: sample for sample in read.samples}
    assert samples.keys() == {"a.png", "none.png"}
    assert np.abs(samples["a.png"].boxes - one.boxes).max() < 0.011  # two decimals are written
    assert samples["a.png"].known.all()
    assert np.abs(samples["a.png"].landmarks - one.landmarks).max() < 0.011
    assert len(samples["none.png"].boxes) == 0


# ------------------------------------------------------------------------------------------------------- resuming


def write(path: Path, form: str, sources: dict[str, int]) -> None:
    with path.open("wb") as file, line_sink(form, file) as sink:
        fill(sink, sources)


def fill(sink: LineSink, sources: dict[str, int]) -> None:
    for source, frames in sources.items():
        for index in range(abs(frames)):
            sink.append(source, frame(index), faces(2))
        if frames < 0:
            sink.fail(source, "It is damaged.")


def test_unfinished_video_is_cut_off(tmp_path: Path) -> None:
    for form in ("jsonl", "csv"):
        path, whole = tmp_path / f"r.{form}", tmp_path / f"w.{form}"
        write(path, form, {"a.mp4": 3, "b.png": 1, "c.mp4": 2})
        write(whole, form, {"a.mp4": 3, "b.png": 1})
        assert cut_back(path, form, is_picture) == {"a.mp4", "b.png"}
        assert path.read_bytes() == whole.read_bytes()


def test_last_source_that_is_known_to_be_complete_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write(path, "jsonl", {"a.mp4": 3, "b.png": 1})
    before = path.read_bytes()
    assert cut_back(path, "jsonl", is_picture) == {"a.mp4", "b.png"}
    assert path.read_bytes() == before
    write(path, "jsonl", {"a.mp4": 3, "c.mp4": -2})
    before = path.read_bytes()
    assert cut_back(path, "jsonl", is_picture) == {"a.mp4", "c.mp4"}
    assert path.read_bytes() == before


@pytest.mark.parametrize("form", ["jsonl", "csv", "label"])
def test_wherever_it_was_cut(tmp_path: Path, form: str) -> None:
    sources = {"a.mp4": 2, 'odd, "n\nl".png': 1, "b.mp4": -1, "c.png": 1}
    if form == "label":
        sources = {"a.png": 1, "# b 1 2.png": 1, "c.png": 1}
    path = tmp_path / "r"
    write(path, form, sources)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        done = cut_back(path, form, is_picture)
        kept = path.read_bytes()
        assert whole.startswith(kept)
        assert len(kept) <= length
        with path.open("ab") as file, line_sink(form, file, continued=bool(kept)) as sink:
            fill(sink, {source: frames for source, frames in sources.items() if source not in done})
        assert path.read_bytes() == whole, length


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("jsonl", b"not json\n"),
        ("jsonl", b'{"no": "source"}\n'),
        ("jsonl", b"[1]\n"),
        ("csv", b"a,b\n1,2\n"),
        ("label", b"# a.png\n1 2 3\n"),
        ("label", b"1 2 3 4\n"),
    ],
)
def test_foreign_files_are_left_alone(tmp_path: Path, form: str, content: bytes) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="does not hold results"):
        cut_back(path, form, is_picture)
    assert path.read_bytes() == content

"""What is left out, what is kept, and that it is said."""

import os
import time

import cv2
import numpy as np
import pytest

from rfapp.datasets import clean, open_dataset, summarise
from rfapp.datasets.contact_sheet import contact_sheet
from rfapp.datasets.headers import picture_size
from rfapp.datasets.samples import (
    BROKEN,
    CLIPPED,
    EMPTY,
    KEPT_FINDINGS,
    LANDMARKS,
    MISSING,
    NO_AREA,
    ORDER,
    OUTSIDE,
    SIZE,
    TWICE,
    Dataset,
    Finding,
    Findings,
    Sample,
)
from rfapp.errors import PictureUnreadable, RfappError
from rfapp.sources.pictures import read_picture


def labelled(make, *lines):
    path = make("retinaface")
    path.write_text("\n".join(["# a/one.png", *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("line", "kind", "left"),
    [
        ("10 10 0 5", NO_AREA, None),
        ("10 10 5 -2", NO_AREA, None),
        ("70 10 5 5", OUTSIDE, None),
        ("-9 10 9 5", OUTSIDE, None),
        ("60 40 10 10", CLIPPED, [60, 40, 64, 48]),
        ("-3 -4 10 10", CLIPPED, [0, 0, 7, 6]),
        ("60 40 4.4 8.3", None, [60, 40, 64, 48]),  # rounding
        ("0 0 64 48", None, [0, 0, 64, 48]),
    ],
)
def test_boxes(make, line, kind, left):
    path = labelled(make, "5 5 9 9", line)
    cleaned = clean(open_dataset(path))
    assert cleaned.samples[0].boxes.tolist() == [[5, 5, 14, 14]] + ([left] if left else [])
    assert [(f.kind, f.file, f.line) for f in cleaned.findings.kept] == ([(kind, str(path), 3)] if kind else [])


def test_of_two_equal_boxes_the_one_with_landmarks_stays(make):
    points = "12 14 0 20 14 0 16 18 0 13 22 0 19 22 0 0.5"
    cleaned = clean(open_dataset(labelled(make, "10 10 12 16", f"10 10 12 16 {points}", "10 10 12 16")))
    assert cleaned.samples[0].known.tolist() == [True]
    assert cleaned.samples[0].lines.tolist() == [3]
    assert [(f.kind, f.line) for f in cleaned.findings.kept] == [(TWICE, 2), (TWICE, 4)]


def test_landmarks_of_another_face_are_unknown(make):
    points = "42 14 0 50 14 0 46 18 0 43 22 0 49 22 0 0.5"
    cleaned = clean(open_dataset(labelled(make, f"10 10 12 16 {points}")))
    assert not cleaned.samples[0].known.any()
    assert not cleaned.samples[0].landmarks.any()
    assert [f.kind for f in cleaned.findings.kept] == [LANDMARKS]


def test_labels_without_any_face_are_suspect(make):
    path = labelled(make, "# a/two.png")
    cleaned = clean(open_dataset(path))
    assert len(cleaned.samples) == 2
    assert [(f.kind, f.file, f.line) for f in cleaned.findings.kept] == [(EMPTY, str(path), 0)]
    assert not len(clean(open_dataset(make("negatives"))).findings)


def test_left_and_right_in_the_wrong_order_are_noticed(make):
    points = "20 14 0 12 14 0 16 18 0 19 22 0 13 22 0 0.5"
    lines = [f"{10 + i} 10 12 16 {points}" for i in range(6)]
    cleaned = clean(open_dataset(labelled(make, *lines)))
    assert [f.kind for f in cleaned.findings.kept] == [ORDER]
    assert "6 of 6" in cleaned.findings.kept[0].reason
    assert cleaned.samples[0].known.all()


@pytest.mark.parametrize("decode", [False, True])
def test_missing_and_broken_pictures(make, tmp_path, decode):
    path = make("retinaface")
    images = tmp_path / "retinaface" / "images"
    (images / "a" / "one.png").unlink()
    (images / "a" / "two.png").write_text("no picture")
    (images / "b" / "three.png").write_bytes(b"")
    dataset = open_dataset(path)
    cleaned = clean(dataset, decode=decode)
    assert [f.kind for f in cleaned.findings.kept] == [MISSING, BROKEN, BROKEN]
    assert [f.line for f in cleaned.findings.kept] == [s.line for s in dataset.samples[:3]]
    assert [s.picture.name for s in cleaned.samples] == ["four.png", "none.png"]
    assert summarise(dataset, cleaned).lost == 3


def test_damage_further_on_is_found_by_decoding(make, tmp_path):
    path = make("retinaface")
    picture = tmp_path / "retinaface" / "images" / "a" / "one.png"
    data = bytearray(picture.read_bytes())
    data[-100] ^= 0xFF
    picture.write_bytes(data)
    assert not len(clean(open_dataset(path)).findings)
    assert [f.kind for f in clean(open_dataset(path), decode=True).findings.kept] == [BROKEN]


def test_a_pipe_is_no_picture_and_does_not_hang(make, tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    path = make("retinaface")
    picture = tmp_path / "retinaface" / "images" / "a" / "one.png"
    picture.unlink()
    os.mkfifo(picture)
    started = time.monotonic()
    assert [f.kind for f in clean(open_dataset(path), decode=True).findings.kept] == [MISSING]
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(("size", "left"), [((128, 96), 5), ((127, 96), 5), ((48, 64), 4), ((64, 40), 4)])
def test_pictures_of_another_size_than_the_labels_say(make, tmp_path, size, left):
    path = make("coco")
    picture = tmp_path / "coco" / "images" / "a" / "one.png"
    cv2.imwrite(str(picture), np.zeros((size[1], size[0], 3), np.uint8))
    cleaned = clean(open_dataset(path))
    assert [f.kind for f in cleaned.findings.kept] == [SIZE]
    assert len(cleaned.samples) == left
    if left == 5:
        assert cleaned.samples[0].size == size
        assert cleaned.samples[0].boxes[0] == pytest.approx([20, 20, 44, 52], abs=0.4)
        assert cleaned.samples[0].landmarks[0, 0] == pytest.approx([24, 28], abs=0.4)


def test_headers_and_decoder_agree_on_every_kind_of_picture(test_data):
    seen = 0
    for path in sorted((test_data / "photos").iterdir()):
        if path.suffix != ".json":
            image = read_picture(path)
            assert picture_size(path) == (image.shape[1], image.shape[0]), path.name
            seen += 1
    assert seen == 20


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["little", "big"])
def test_the_orientation_tag_turns_the_size(tmp_path, orientation, order):
    jpeg = cv2.imencode(".jpg", np.zeros((20, 40, 3), np.uint8))[1].tobytes()
    n = lambda value, size: value.to_bytes(size, order)  # noqa: E731
    tiff = (b"II" if order == "little" else b"MM") + n(42, 2) + n(8, 4) + n(1, 2)
    tiff += n(0x0112, 2) + n(3, 2) + n(1, 4) + n(orientation, 2) + n(0, 2) + n(0, 4)
    body = b"Exif\0\0" + tiff
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:])
    image = read_picture(path)
    assert picture_size(path) == (image.shape[1], image.shape[0]) == ((20, 40) if orientation > 4 else (40, 20))


def test_a_picture_bomb_is_refused_before_it_is_decoded(make, tmp_path):
    path = make("retinaface")
    picture = tmp_path / "retinaface" / "images" / "a" / "one.png"
    data = bytearray(picture.read_bytes())
    for side, sentence in ((11_000, "is damaged"), (30_000, "too large: 30000 × 30000")):
        data[16:24] = side.to_bytes(4, "big") * 2
        picture.write_bytes(data)
        with pytest.raises(PictureUnreadable, match=sentence):
            picture_size(picture)
    assert [f.kind for f in clean(open_dataset(path), decode=True).findings.kept] == [BROKEN]


def test_any_bytes_have_a_size_or_a_sentence(tmp_path):
    rng = np.random.default_rng(3)
    path = tmp_path / "x.jpg"
    kinds = [cv2.imencode(e, rng.integers(0, 255, (16, 16, 3), np.uint8))[1].tobytes() for e in (".jpg", ".png")]
    sizes = refused = 0
    for number in range(300):
        data = bytearray(kinds[number % 2])
        for place in rng.integers(0, min(len(data), 200), 4):
            data[place] = int(rng.integers(256))
        path.write_bytes(data[: int(rng.integers(1, len(data)))] if number % 3 == 0 else data)
        try:
            assert min(picture_size(path)) > 0
            sizes += 1
        except RfappError:
            refused += 1
    assert sizes > 20
    assert refused > 20


def test_progress_counts_every_picture(make):
    seen = []
    clean(open_dataset(make("retinaface")), progress=seen.append)
    assert seen == [1, 2, 3, 4, 5]


def test_order_is_kept_with_many_threads(make):
    dataset = open_dataset(make("negatives"))
    many = Dataset("x", dataset.path, dataset.pictures, dataset.samples * 40, Findings())
    cleaned = clean(many, decode=True, threads=8)
    assert [s.picture for s in cleaned.samples] == [s.picture for s in many.samples]


def test_what_was_handed_in_stays_as_it_was(make):
    dataset = open_dataset(labelled(make, "-5 -5 20 20", "10 10 0 0"))
    before = dataset.samples[0].boxes.copy()
    clean(dataset)
    assert (dataset.samples[0].boxes == before).all()
    assert not len(dataset.findings)


def test_summary_counts_faces_by_their_long_side(make):
    path = labelled(make, "1 1 7.9 3", "1 1 8 3", "1 1 3 15.9", "1 1 16 20", "10 1 30 32", "1 1 50 40")
    dataset = open_dataset(path)
    summary = summarise(dataset, clean(dataset))
    assert summary.native == (1, 2, 1, 2, 0, 0, 0, 0)
    assert summary.at_640 == (0, 0, 0, 0, 2, 2, 2, 0)  # ten times larger
    assert (summary.faces, summary.pictures, summary.usable, summary.negatives) == (6, 1, 1, 0)
    assert summary.picture_long_side == (64, 64, 64)


def test_findings_are_counted_beyond_those_that_are_kept():
    findings = Findings()
    for line in range(KEPT_FINDINGS + 5):
        findings.append(Finding("line", "x", line, "x"))
    more = Findings()
    more.extend(findings)
    assert len(findings) == len(more) == KEPT_FINDINGS + 5
    assert len(more.kept) == KEPT_FINDINGS


def test_findings_obey_nobody():
    findings = Findings()
    findings.add("line", "a\x1b[2Jb", 3, "“{text}” {braces}", text="x\n\x07{0}" + "y" * 5000, braces="{}")
    text = str(findings.kept[0])
    assert text.isprintable()
    assert len(text) < 300


def test_a_sample_whose_arrays_do_not_belong_together_is_refused(tmp_path):
    none = Sample.negative(tmp_path)
    with pytest.raises(ValueError, match="known of 1 faces"):
        Sample(
            tmp_path, np.zeros((1, 4), np.float32), np.zeros((1, 5, 2), np.float32), none.known, none.ignore, none.lines
        )


def test_contact_sheet_shows_boxes_where_faces_are(make):
    cleaned = clean(open_dataset(make("retinaface")))
    sheet = contact_sheet(cleaned.samples[3:4], columns=1, rows=1)
    blank = contact_sheet([Sample.negative(cleaned.samples[3].picture)], columns=1, rows=1)
    assert sheet.shape == blank.shape
    changed = (sheet != blank).any(axis=2)
    scale, left, top = 3.0, 6 + (256 - 192) // 2, 6 + (256 - 144) // 2
    for x1, y1, x2, y2 in cleaned.samples[3].boxes * scale:
        for x, y in ((x1, (y1 + y2) / 2), (x2, (y1 + y2) / 2), ((x1 + x2) / 2, y1)):
            assert changed[round(y + top) - 2 : round(y + top) + 3, round(x + left) - 2 : round(x + left) + 3].any()
    assert not changed[top : top + 10, left : left + 20].any()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 100])
def test_contact_sheets_of_any_number(make, count):
    sample = clean(open_dataset(make("negatives"))).samples[0]
    sheet = contact_sheet([sample] * count, columns=4, rows=3)
    rows = -(-min(count, 12) // min(count, 4))
    assert sheet.shape == (rows * 280 + 6, min(count, 4) * 262 + 6, 3)

"""Label files from anywhere: whatever stands in them becomes findings or one sentence, soon, and inside the folder."""

import json
import time

import cv2
import numpy as np
import pytest

from rfapp.datasets import clean, open_dataset, summarise
from rfapp.errors import RfappError

FILES = 300
PATHS = [
    b"../../etc/passwd",
    b"/etc/passwd",
    b"..\\..\\secret.png",
    b"../secret.png",
    b"C:\\secret.png",
    b"\0",
    b"~/.x",
]
WORDS = [b"nan", b"-inf", b"1e999", b"9" * 5000, b"-1", b"0", b"0x10", b"1_0", "٣".encode(), b"1e-320", b"%s", b"{0}"]


def pick(rng, choices):
    return choices[int(rng.integers(len(choices)))]


def flip_bits(data, rng):
    out = bytearray(data)
    for place in rng.integers(0, len(out), rng.integers(1, 12)):
        out[place] ^= 1 << int(rng.integers(8))
    return bytes(out)


def truncate(data, rng):
    return data[: int(rng.integers(0, len(data)))]


def change_words(data, rng):
    words = data.split(b" ")
    for place in rng.integers(0, len(words), rng.integers(1, 6)):
        words[place] = WORDS[rng.integers(len(WORDS))]
    return b" ".join(words)


def change_digits(data, rng):
    digits = [i for i, byte in enumerate(data) if byte in b"0123456789"]
    out = bytearray(data)
    for _ in range(min(len(digits), 20)):
        out[pick(rng, digits)] = pick(rng, b"0123456789-.e")
    return bytes(out)


def huge_numbers(data, rng):
    digits = [i for i, byte in enumerate(data) if byte in b"0123456789"]
    place = pick(rng, digits or [0])
    return data[:place] + pick(rng, [b"1" * 400, b"1e308", b"99999999999", b"-1e30"]) + data[place:]


def change_lines(data, rng):
    lines = data.split(b"\n")
    for _ in range(rng.integers(1, 6)):
        first, second = (int(i) for i in rng.integers(0, len(lines), 2))
        lines[first] = lines[second] + pick(rng, [b"", b" " * 100_000, b"7 " * 50_000, b"\r", b"\0"])
    return b"\n".join(lines)


def deep(data, rng):
    place = int(rng.integers(0, len(data)))
    return data[:place] + pick(rng, [b"[" * 50_000, b"<a>" * 50_000, b'{"a":' * 50_000, b"# " * 9000]) + data[place:]


def entities(data, rng):
    laughs = b"".join(b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 10) for i in range(1, 12))
    head = b'<!DOCTYPE x [<!ENTITY a0 "ha"><!ENTITY f SYSTEM "file:///etc/passwd">' + laughs + b"]>"
    return head + data.replace(b"face", pick(rng, [b"&a11;", b"&f;", b"&lt;"]))


def encodings(data, rng):
    text = data.decode("utf-8")
    which = int(rng.integers(4))
    if which == 0:
        return text.encode("utf-16")
    if which == 1:
        return text.replace("one", "ünö").encode("latin-1")
    return text.encode("utf-8-sig") if which == 2 else text.encode("utf-32")


def leave_folder(data, rng):
    for name in (b"a/one.png", b"a/two.png", b"b/three.png"):
        if rng.random() < 0.7:
            data = data.replace(name, pick(rng, PATHS))
    return data


def noise(data, rng):
    return rng.integers(0, 256, int(rng.integers(0, 3000)), np.uint8).tobytes()


MUTATIONS = [
    flip_bits, truncate, change_words, change_digits, huge_numbers, change_lines, deep, entities, encodings,
    leave_folder, noise,
]  # fmt: skip


@pytest.mark.parametrize("name", ["retinaface", "wider", "voc", "yolo", "coco", "five_points", "negatives"])
def test_fuzzed_label_files(make, tmp_path, name, capfd):
    path = make(name)
    root = tmp_path / name
    cv2.imwrite(str(tmp_path / "secret.png"), np.zeros((64, 64, 3), np.uint8))
    labels = {
        "voc": sorted((root / "Annotations").rglob("*.xml"))[:2],
        "yolo": [*sorted((root / "labels").rglob("*.txt"))[:2], root / "data.yaml"],
        "negatives": [root / "sources.csv", root / "a" / "one.png"],
    }.get(name, [path])
    contents = {label: label.read_bytes() for label in labels}
    usable = faulty = 0
    sentences = []
    for number in range(FILES):
        rng = np.random.default_rng(number)
        label = labels[number % len(labels)]
        binary = label.suffix == ".png"
        mutations = [flip_bits, truncate, noise] if binary else MUTATIONS
        data = mutations[number // len(labels) % len(mutations)](contents[label], rng)
        label.write_bytes(data)
        started = time.monotonic()
        try:
            dataset = open_dataset(path)
            cleaned = clean(dataset, decode=True, threads=1)
        except RfappError as error:
            sentences.append(str(error))
        else:
            usable += 1
            faulty += bool(len(cleaned.findings))
            look_at(root, dataset, cleaned)
        assert time.monotonic() - started < 5
        label.write_bytes(contents[label])
    assert usable + len(sentences) == FILES
    assert all("\n" not in sentence.encode().decode() for sentence in sentences)
    # Both ends are reached: fuzzing that breaks every file, or none, would prove nothing.
    assert usable > FILES // 10
    assert faulty > FILES // 20 or name == "negatives"
    assert "Traceback" not in capfd.readouterr().err


def look_at(root, dataset, cleaned):
    json.dumps(summarise(dataset, cleaned).to_dict(), ensure_ascii=False, allow_nan=False).encode()
    for finding in cleaned.findings.kept:
        assert str(finding).isprintable()
    for sample in cleaned.samples:
        assert sample.picture.is_relative_to(root)
        assert np.isfinite(sample.boxes).all()
        assert np.isfinite(sample.landmarks).all()
        width, height = sample.size
        assert (sample.boxes[:, :2] >= 0).all()
        assert (sample.boxes[:, 2:] <= (width, height)).all()
        assert (sample.boxes[:, 2:] > sample.boxes[:, :2]).all()

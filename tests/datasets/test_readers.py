"""Seven formats, one result."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rfapp.datasets import clean, open_dataset
from rfapp.datasets.samples import COUNT, LINE, MISSING, OTHER, PATH, TWICE
from rfapp.errors import RfappError, SourceEmpty, SourceNotFound, SourceUnreadable, UsageError

LABELLED = ["retinaface", "wider", "voc", "yolo", "coco"]
WITH_LANDMARKS = ["retinaface", "voc", "yolo", "coco"]
POINTS = np.array([[12, 14], [20, 14], [16, 18], [13, 22], [19, 22]], np.float32)


def named(dataset):
    return {
        sample.picture.relative_to(dataset.pictures).as_posix().removeprefix("images/train/"): sample
        for sample in dataset.samples
    }


@pytest.mark.parametrize("name", LABELLED)
def test_every_format_gives_the_same_boxes(make, faces, name):
    dataset = open_dataset(make(name))
    found = named(dataset)
    assert set(found) == set(faces)
    for picture, boxes in faces.items():
        expected = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32).reshape(-1, 4)
        assert found[picture].boxes == pytest.approx(expected, abs=1e-4)
        assert found[picture].boxes.dtype == np.float32
        assert not found[picture].ignore.any()
        assert found[picture].picture.is_file()
    assert not len(dataset.findings)


@pytest.mark.parametrize("name", WITH_LANDMARKS)
def test_landmarks_of_the_first_face(make, name):
    dataset = open_dataset(make(name))
    sample = named(dataset)["b/four.png"]
    assert sample.known.tolist() == [True, False, False]
    assert sample.landmarks[0] == pytest.approx(POINTS, abs=1e-4)
    assert not sample.landmarks[1:].any()


@pytest.mark.parametrize("name", LABELLED)
def test_a_folder_is_searched_for_its_labels(make, tmp_path, name):
    make(name)
    assert len(open_dataset(tmp_path / name)) == 5


@pytest.mark.parametrize("name", LABELLED)
def test_the_whole_is_clean(make, name):
    cleaned = clean(open_dataset(make(name)), decode=True)
    assert len(cleaned.samples) == 5
    assert sum(len(sample) for sample in cleaned.samples) == 7
    assert not len(cleaned.findings)


def test_lines_of_label_txt(make):
    path = make("retinaface")
    dataset = open_dataset(path)
    for sample in dataset.samples:
        assert sample.label_file == path
        lines = path.read_text().splitlines()
        assert lines[sample.line - 1] == f"# {sample.picture.relative_to(dataset.pictures).as_posix()}"
        for box, line in zip(sample.boxes, sample.lines, strict=True):
            assert lines[line - 1].startswith(f"{box[0]:g} {box[1]:g} ")


def test_label_txt_without_landmarks(make):
    path = make("retinaface")
    path.write_text("# a/one.png\n1 2 3 4\n# b/none.png\n")
    one, none = open_dataset(path).samples
    assert one.boxes.tolist() == [[1, 2, 4, 6]]
    assert not one.known.any()
    assert len(none) == 0


def test_a_landmark_beyond_the_left_edge_is_still_known(make):
    path = make("retinaface")
    path.write_text("# a/one.png\n0 10 12 16 -1.5 14 0.0 7 14 0.0 2 18 1.0 0 22 0.0 6 22 0.0 0.9\n")
    (sample,) = open_dataset(path).samples
    assert sample.known.tolist() == [True]
    assert sample.landmarks[0, 0].tolist() == [-1.5, 14]


@pytest.mark.parametrize(
    ("line", "kind"),
    [("1 2 3", LINE), ("1 2 3 x", LINE), ("1 2 nan 4", LINE), ("1 2 1e300 4", LINE), ("1 2 3 4 5 6", LINE)],
)
def test_a_wrong_line_is_named_and_costs_one_face(make, line, kind):
    path = make("retinaface")
    path.write_text(f"# a/one.png\n5 5 9 9\n{line}\n7 7 9 9\n")
    dataset = open_dataset(path)
    assert len(dataset.samples[0]) == 2
    (finding,) = dataset.findings.kept
    assert (finding.kind, finding.file, finding.line) == (kind, str(path), 3)


def test_names_do_not_leave_the_folder(make, tmp_path):
    path = make("retinaface")
    cv2.imwrite(str(tmp_path / "secret.png"), np.zeros((9, 9, 3), np.uint8))
    names = ["../../secret.png", "..\\..\\secret.png", str(tmp_path / "secret.png"), "/etc/passwd", "a/\x1bone.png"]
    path.write_text("# a/one.png\n" + "".join(f"# {name}\n1 1 5 5\n" for name in names))
    dataset = open_dataset(path)
    assert [finding.kind for finding in dataset.findings.kept] == [PATH] * len(names)
    assert [finding.line for finding in dataset.findings.kept] == [2, 4, 6, 8, 10]
    assert [sample.picture.name for sample in dataset.samples] == ["one.png"]
    assert len(dataset.samples[0]) == 0  # the faces of the others are not put into the first


def test_a_picture_that_is_listed_twice_is_one(make):
    path = make("retinaface")
    path.write_text("# a/one.png\n1 1 5 5\n# a/two.png\n# ./a/one.png\n9 9 5 5\n")
    dataset = open_dataset(path)
    assert [len(sample) for sample in dataset.samples] == [2, 0]
    assert [(finding.kind, finding.line) for finding in dataset.findings.kept] == [(TWICE, 4)]


def test_wider_ignores_invalid_faces_and_notes_wrong_counts(make):
    path = make("wider")
    path.write_text("a/one.png\n2\n1 1 9 9 0 0 0 1 0 0\n5 5 9 9 0 0 0 0 0 0\na/two.png\n3\n1 1 9 9 2 0 0 0 0 0\n")
    dataset = open_dataset(path)
    assert dataset.samples[0].ignore.tolist() == [True, False]
    assert [(finding.kind, finding.line) for finding in dataset.findings.kept] == [(COUNT, 5)]
    assert "announces 3 faces and has 1" in str(dataset.findings.kept[0])


def test_voc_refuses_document_types(make, tmp_path):
    make("voc")
    path = tmp_path / "voc" / "Annotations" / "a" / "one.xml"
    text = path.read_text()
    path.write_text('<!DOCTYPE x [<!ENTITY e "face">]>' + text.replace("<name>face", "<name>&e;"))
    dataset = open_dataset(tmp_path / "voc")
    assert len(dataset) == 4
    (finding,) = dataset.findings.kept
    assert finding.file == str(path)
    assert "document type" in finding.reason


def test_voc_difficult_faces_are_ignored_and_parts_are_no_faces(make, tmp_path):
    make("voc")
    path = tmp_path / "voc" / "Annotations" / "a" / "one.xml"
    part = "<part><name>nose</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    text = path.read_text().replace("<difficult>0", "<difficult>1").replace("</object>", part + "</object>")
    path.write_text(text)
    sample = named(open_dataset(tmp_path / "voc"))["a/one.png"]
    assert sample.ignore.tolist() == [True]
    assert sample.boxes.tolist() == [[10, 10, 22, 26]]
    assert sample.lines.tolist() == [3]


def test_yolo_classes_by_name_by_number_and_not_at_all(make, tmp_path):
    root = make("yolo")
    (root / "labels" / "train" / "a" / "one.txt").write_text("1 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.25 0.25\n")
    (root / "data.yaml").write_text("names:\n  0: Face\n  1: person  # of any size\n")
    dataset = open_dataset(root)
    assert named(dataset)["a/one.png"].boxes.tolist() == [[24, 18, 40, 30]]
    assert [finding.kind for finding in dataset.findings.kept] == [OTHER]
    assert named(open_dataset(root, classes=["person"]))["a/one.png"].boxes.tolist() == [[16, 12, 48, 36]]
    assert len(named(open_dataset(root, classes=["0", "1"]))["a/one.png"]) == 2
    (root / "data.yaml").write_text("names: [cat, 'dog']\n")
    with pytest.raises(UsageError, match=r"“cat”.*“dog”.*--class"):
        open_dataset(root)


def test_yolo_labels_without_a_picture_and_a_picture_without_labels(make):
    root = make("yolo")
    (root / "labels" / "train" / "a" / "gone.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (root / "labels" / "train" / "b" / "four.txt").unlink()
    dataset = open_dataset(root)
    assert [(f.kind, Path(f.file).name) for f in dataset.findings.kept] == [(MISSING, "gone.txt")]
    assert len(named(dataset)["b/four.png"]) == 0


@pytest.mark.parametrize("part", ["images/train", "labels/train", "labels", "data.yaml"])
def test_yolo_by_any_of_its_parts(make, part):
    assert sum(len(sample) for sample in open_dataset(make("yolo") / part).samples) == 7


def test_coco_keypoints_crowds_and_loose_ends(make):
    path = make("coco")
    content = json.loads(path.read_text())
    content["annotations"][0]["keypoints"][2] = 0  # the left eye is not labelled
    content["annotations"][1]["iscrowd"] = 1
    content["annotations"] += [
        {"image_id": 99, "category_id": 7, "bbox": [1, 1, 2, 2]},
        5,
        {"image_id": 1, "category_id": 7},
    ]
    path.write_text(json.dumps(content))
    dataset = open_dataset(path)
    assert not named(dataset)["a/one.png"].known.any()
    assert named(dataset)["a/two.png"].ignore.tolist() == [True, False]
    assert [finding.line for finding in dataset.findings.kept] == [8, 9, 10]


def test_coco_without_annotations_makes_no_negatives(make):
    path = make("coco")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"images": content["images"], "categories": []}))
    with pytest.raises(SourceUnreadable, match="“annotations”"):
        open_dataset(path)


def test_an_id_or_a_picture_that_is_labelled_twice(make, tmp_path):
    path = make("coco")
    content = json.loads(path.read_text())
    content["images"].append({"id": 1, "file_name": "b/none.png"})
    path.write_text(json.dumps(content))
    dataset = open_dataset(path)
    assert [(f.kind, f.line) for f in dataset.findings.kept] == [(TWICE, 6)]
    assert len(named(dataset)["a/one.png"]) == 1
    make("voc")
    first = tmp_path / "voc" / "Annotations" / "a" / "one.xml"
    second = first.with_name("other.xml")
    second.write_bytes(first.read_bytes())
    dataset = open_dataset(tmp_path / "voc")
    assert [(f.kind, f.file) for f in dataset.findings.kept] == [(TWICE, str(second))]
    assert len(dataset) == 5


def test_five_points_give_a_box_around_them(make):
    dataset = open_dataset(make("five_points"))
    assert len(dataset) == 4
    for sample in clean(dataset).samples:
        (x1, y1, x2, y2) = sample.boxes[0]
        assert sample.known.all()
        assert sample.landmarks[0] == pytest.approx(POINTS)
        assert x1 < POINTS[:, 0].min() < POINTS[:, 0].max() < x2
        assert y1 < POINTS[:, 1].min() < POINTS[:, 1].max() < y2
        assert 1 < (y2 - y1) / (x2 - x1) < 1.6


def test_estimated_boxes_fit_those_of_people(test_data):
    """Against the boxes that people drew, of faces of at least 16 px that have landmarks."""
    from rfapp.datasets.five_points import box_of

    dataset = clean(open_dataset(test_data / "wider_train640"))
    overlaps = []
    for sample in dataset.samples:
        for box, points in zip(sample.boxes[sample.known], sample.landmarks[sample.known], strict=True):
            if min(box[2:] - box[:2]) >= 16:
                guess = np.array(box_of(points.ravel().tolist()))
                both = np.clip(np.minimum(box[2:], guess[2:]) - np.maximum(box[:2], guess[:2]), 0, None).prod()
                overlaps.append(both / ((box[2:] - box[:2]).prod() + (guess[2:] - guess[:2]).prod() - both))
    assert len(overlaps) > 2000
    assert np.median(overlaps) > 0.74


def test_negatives(make):
    dataset = open_dataset(make("negatives"))
    assert len(dataset) == 5
    assert not any(len(sample) for sample in dataset.samples)


@pytest.mark.parametrize("name", ["truth.jsonl", "labels.json", "boxes.txt", "x.xml", "wider.mat"])
def test_labels_that_nobody_understands_make_no_negatives(make, name):
    root = make("negatives")
    (root / name).write_text("something else")
    with pytest.raises(SourceUnreadable, match=name):
        open_dataset(root)


@pytest.mark.parametrize("name", ["retinaface", "voc", "coco", "five_points"])
def test_the_pictures_of_a_labelled_set_are_no_negatives(make, name):
    path = make(name)
    root = path if path.is_dir() else path.parent
    folder = next(f for f in (root / "images", root / "JPEGImages", root.parent / "images", root / "a") if f.is_dir())
    with pytest.raises(UsageError, match="have labels in"):
        open_dataset(folder)


def test_several_label_files_are_a_question(make, tmp_path):
    path = make("wider")
    path.with_name("wider_face_val_bbx_gt.txt").write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match=r"train_bbx_gt\.txt, .*val_bbx_gt\.txt"):
        open_dataset(tmp_path / "wider")


def test_pictures_that_lie_elsewhere(make, tmp_path):
    path = make("retinaface")
    (path.parent / "images").rename(tmp_path / "elsewhere")
    moved = tmp_path / "deep" / "down" / "label.txt"
    moved.parent.mkdir(parents=True)
    path.rename(moved)
    with pytest.raises(SourceNotFound, match=r"--pictures.*a/one\.png"):
        open_dataset(moved)
    assert all(s.picture.is_file() for s in open_dataset(moved, pictures=tmp_path / "elsewhere").samples)
    with pytest.raises(SourceNotFound, match="nowhere"):
        open_dataset(moved, pictures=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", SourceUnreadable),
        ("hello\n", SourceUnreadable),
        ("\n# \n#\n", SourceUnreadable),
        ("0 .5 .5 .1 .1", UsageError),
    ],
)
def test_a_file_that_is_no_label_file(tmp_path, content, error):
    path = tmp_path / "label.txt"
    path.write_text(content)
    with pytest.raises(error, match=r"label\.txt"):
        open_dataset(path)


def test_pictures_of_another_set_beside_are_not_taken(make, tmp_path):
    """Of a set that lost most of its pictures those are missing, though its neighbour has some of the same name."""
    path = make("retinaface")
    make("five_points")
    for name in ("a/one.png", "a/two.png", "b/three.png"):
        (path.parent / "images" / name).unlink()
    assert open_dataset(path).pictures == path.parent / "images"


def test_nothing_there(tmp_path):
    with pytest.raises(SourceNotFound, match="nope"):
        open_dataset(tmp_path / "nope")
    with pytest.raises(SourceEmpty, match="no picture"):
        open_dataset(tmp_path)
    with pytest.raises(RfappError):
        open_dataset(tmp_path / ("x" * 5000))


def test_utf16_is_told(make):
    path = make("wider")
    path.write_bytes(path.read_text().encode("utf-16"))
    with pytest.raises(RfappError, match="known format"):
        open_dataset(path)


def test_reference_sets(test_data):
    wider = clean(open_dataset(test_data / "wider_train640"))
    assert len(wider.samples) == 556
    assert sum(len(sample) for sample in wider.samples) == 14136
    # One face has its landmarks outside: the box was cut at the edge of the picture, and they were not.
    assert sum(int(sample.known.sum()) for sample in wider.samples) == 5687 - 1
    assert len(wider.findings) == 1
    crops = clean(open_dataset(test_data / "landmarks5"))
    assert len(crops.samples) == sum(int(sample.known.sum()) for sample in crops.samples) == 1200
    assert len(open_dataset(test_data / "negatives_train")) == 80

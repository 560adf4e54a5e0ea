"""The same five pictures with the same faces, labelled in every format."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

WIDTH, HEIGHT = 64, 48
POINTS = [12, 14, 20, 14, 16, 18, 13, 22, 19, 22]
#: Picture → boxes x, y, w, h; the first box of a picture has landmarks.
FACES = {
    "a/one.png": [(10, 10, 12, 16)],
    "a/two.png": [(8, 9, 14, 18), (40, 20, 10, 12)],
    "b/three.png": [(11, 11, 10, 14)],
    "b/four.png": [(10, 10, 12, 16), (30, 30, 8, 8), (50, 5, 9, 12)],
    "b/none.png": [],
}


def pictures(folder: Path) -> None:
    """Write the five pictures to *folder*."""
    rng = np.random.default_rng(1)
    for name in FACES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))


def retinaface(root: Path) -> Path:
    pictures(root / "images")
    lines = []
    for name, boxes in FACES.items():
        lines.append(f"# {name}")
        for number, (x, y, w, h) in enumerate(boxes):
            points = [f"{px} {py} 0.0" for px, py in zip(POINTS[::2], POINTS[1::2], strict=True)]
            unknown = ["-1.0 -1.0 -1.0"] * 5
            lines.append(f"{x} {y} {w} {h} {' '.join(unknown if number else points)} 0.5")
    (root / "label.txt").write_text("\n".join(lines) + "\n")
    return root / "label.txt"


def wider(root: Path) -> Path:
    pictures(root / "WIDER_train" / "images")
    lines = []
    for name, boxes in FACES.items():
        lines += [name, str(len(boxes))]
        lines += [f"{x} {y} {w} {h} 0 0 0 0 0 0 " for x, y, w, h in boxes] or ["0 0 0 0 0 0 0 0 0 0 "]
    path = root / "wider_face_split" / "wider_face_train_bbx_gt.txt"
    path.parent.mkdir()
    path.write_text("\n".join(lines) + "\n")
    return path


def voc(root: Path) -> Path:
    pictures(root / "JPEGImages")
    for name, boxes in FACES.items():
        objects = ""
        for number, (x, y, w, h) in enumerate(boxes):
            points = "".join(
                f"<{'xy'[i % 2]}{i // 2 + 1}>{v}</{'xy'[i % 2]}{i // 2 + 1}>" for i, v in enumerate(POINTS)
            )
            objects += (
                f"<object>\n<name>face</name><difficult>0</difficult><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
                f"<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox>"
                f"{'' if number else f'<has_lm>1</has_lm><lm>{points}</lm>'}</object>\n"
            )
        path = root / "Annotations" / name.replace(".png", ".xml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"<annotation>\n<filename>{name}</filename><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>\n"
            f"{objects}</annotation>\n"
        )
    return root


def yolo(root: Path) -> Path:
    pictures(root / "images" / "train")
    for name, boxes in FACES.items():
        rows = []
        for number, (x, y, w, h) in enumerate(boxes):
            points = [v / (HEIGHT if i % 2 else WIDTH) for i, v in enumerate(POINTS)]
            values = [(x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT, *(() if number else points)]
            rows.append("0 " + " ".join(f"{v:.8f}" for v in values))
        path = root / "labels" / "train" / name.replace(".png", ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(rows))
    (root / "data.yaml").write_text("train: images/train\nnc: 1\nnames: ['face']\n")
    return root


def coco(root: Path) -> Path:
    pictures(root / "images")
    images, annotations = [], []
    for number, (name, boxes) in enumerate(FACES.items(), 1):
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for place, box in enumerate(boxes):
            item = {"id": len(annotations), "image_id": number, "category_id": 7, "bbox": list(box), "iscrowd": 0}
            if not place:
                triples = [(x, y, 2) for x, y in zip(POINTS[::2], POINTS[1::2], strict=True)]
                item["keypoints"] = [v for triple in triples for v in triple]
            annotations.append(item)
    content = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "face"}]}
    path = root / "annotations" / "instances.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content, indent=1))
    return path


def five_points(root: Path) -> Path:
    pictures(root)
    lines = [f"{name} {' '.join(map(str, POINTS))}" for name, boxes in FACES.items() if boxes]
    (root / "labels.txt").write_text("\n".join(lines) + "\n")
    return root / "labels.txt"


def negatives(root: Path) -> Path:
    pictures(root)
    (root / "sources.csv").write_text("file,source,width,height\n")
    return root


MAKERS = {maker.__name__: maker for maker in (retinaface, wider, voc, yolo, coco, five_points, negatives)}
LABELLED = ["retinaface", "wider", "voc", "yolo", "coco"]


@pytest.fixture
def make(tmp_path):
    """``make("voc")`` writes the data set in that format and returns what to open."""

    def write(name: str) -> Path:
        root = tmp_path / name
        root.mkdir()
        return MAKERS[name](root)

    return write


@pytest.fixture
def faces():
    return FACES

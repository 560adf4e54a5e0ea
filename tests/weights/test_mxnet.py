"""MXNet's files: read right, and refused with a sentence when damaged or hostile."""

import struct
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from rfapp.detector import FaceDetector
from rfapp.errors import WeightsAltered, WeightsError
from rfapp.evaluation import read_ground_truth
from rfapp.evaluation.results import read_result, result_file
from rfapp.sources import read_picture
from rfapp.weights.mxnet_file import read_params
from rfapp.weights.mxnet_layout import is_mnet, state_from_mxnet

# Python before 3.11.4 has no filters; what is unpacked here is our own reference data.
SAFE = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def written(arrays: dict[str, np.ndarray], version: int = 2) -> bytes:
    """As MXNet writes it."""
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for array in arrays.values():
        dims = array.shape
        if version == 2:
            parts.append(struct.pack(f"<IiI{len(dims)}q", 0xF993FAC9, 0, len(dims), *dims))
        elif version == 1:
            parts.append(struct.pack(f"<II{len(dims)}q", 0xF993FAC8, len(dims), *dims))
        else:
            parts.append(struct.pack(f"<I{len(dims)}I", len(dims), *dims))
        kind = {"float32": 0, "float64": 1, "int64": 6}[str(array.dtype)]
        parts.append(struct.pack("<iii", 1, 0, kind) + array.tobytes())
    parts.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        parts.append(struct.pack("<Q", len(name.encode())) + name.encode())
    return b"".join(parts)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_every_version_of_the_format_comes_back(tmp_path, version):
    arrays = {
        "arg:a_weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "aux:b_mean": np.array([1.5, -2.5]),
        "c": np.array([7], np.int64),
    }
    path = tmp_path / "net.params"
    path.write_bytes(written(arrays, version))
    back = read_params(path)
    assert list(back) == ["a_weight", "b_mean", "c"]
    for name, array in arrays.items():
        assert np.array_equal(back[name.removeprefix("arg:").removeprefix("aux:")], array)


def test_the_published_file(test_data):
    arrays = read_params(test_data / "checkpoints" / "mnet.25-0000.params")
    assert len(arrays) == 273
    assert sum(array.size for array in arrays.values()) == 433_904
    assert is_mnet(arrays)
    state = state_from_mxnet(arrays, test_data)
    assert state["body.stage1.0.0.weight"].shape == (8, 3, 3, 3)
    # Anchors come small first: what was the second anchor's box is the first's now.
    theirs = arrays["face_rpn_bbox_pred_stride8_bias"]
    assert np.array_equal(state["BboxHead.0.conv1x1.bias"], np.concatenate([theirs[4:], theirs[:4]]))
    # Background and face of each anchor stand together.
    scores = arrays["face_rpn_cls_score_stride8_bias"]
    assert np.array_equal(state["ClassHead.0.conv1x1.bias"], scores[[1, 3, 0, 2]])


def test_a_missing_array_is_named(tmp_path):
    arrays = {"mobilenet0_conv0_weight": np.zeros((8, 3, 3, 3), np.float32)}
    with pytest.raises(WeightsAltered, match="mobilenet0_batchnorm0_gamma"):
        state_from_mxnet(arrays, tmp_path)


def peak_kb() -> int:
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_damaged_and_hostile_files_end_in_a_sentence_and_take_no_memory(tmp_path):
    rng = np.random.default_rng(5)
    honest = written({f"arg:w{i}": rng.random((16, 3, 3, 3), np.float32) for i in range(20)})
    path = tmp_path / "net.params"
    before = peak_kb()
    sentences = []
    for case in range(300):
        content = bytearray(honest)
        if case % 3 == 0:
            content = content[: rng.integers(0, len(content))]
        elif case % 3 == 1:
            for place in rng.integers(0, len(content), 40):
                content[place] ^= 1 << rng.integers(0, 8)
        else:
            # Numbers that want to be lengths, where lengths stand.
            start = int(rng.choice([16, 24, 28, 32, 36, 44, 52, 60]))
            content[start : start + 8] = rng.choice([b"\xff" * 8, b"\xff" * 7 + b"\x7f", struct.pack("<Q", 1 << 40)])
        path.write_bytes(content)
        try:
            read_params(path)
        except WeightsError as error:
            sentences.append(str(error))
    assert len(sentences) > 150
    assert all("net.params" in sentence for sentence in sentences)
    assert peak_kb() - before < 50_000


@pytest.fixture(scope="module")
def mnet(test_data, tmp_path_factory):
    pytest.importorskip("torch", reason="importing needs torch")
    from rfapp.detector import try_out
    from rfapp.weights import import_weights

    file = test_data / "checkpoints" / "mnet.25-0000.params"
    done = import_weights(file, try_out=try_out, folder=tmp_path_factory.mktemp("weights"))
    assert done.warning == ""
    return done.model


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_six_faces_above_ninety_nine_hundredths(test_data, mnet, engine):
    with FaceDetector(mnet, engine=engine, precision="float32") as detector:
        faces = detector(read_picture(test_data / "photos" / "group_six.jpg"), score=0.5)
    assert len(faces) == 6
    assert faces.scores.min() > 0.99


def test_detections_are_those_that_insightface_published(test_data, mnet, tmp_path):
    # They were made at the pictures' own size; only scores of 0.8 and more are in them.
    truth = read_ground_truth(test_data / "wider_dev" / "ground_truth.jsonl")
    with tarfile.open(test_data / "evaluator_check" / "results_mnet.tar.xz") as archive:
        archive.extractall(tmp_path, **SAFE)
    compared = 0
    with FaceDetector(mnet, precision="float32", size="original", score=0.5) as detector:
        for picture in truth.pictures[::12]:
            theirs = read_result(result_file(tmp_path / "mnet", picture))
            ours = detector(read_picture(truth.folder / picture.file)).boxes
            for x, y, w, h, _ in theirs:
                # Their widths count the last pixel.
                overlaps = [overlap((x, y, x + w - 1, y + h - 1), box) for box in ours]
                assert max(overlaps, default=0) >= 0.9, (picture.key, x, y, w, h)
                compared += 1
    assert compared > 50


def overlap(a, b) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(0.0, width) * max(0.0, height)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def test_the_one_channel_form_is_the_colour_form_on_a_grey_picture(mnet, test_data):
    torch = pytest.importorskip("torch")
    from rfapp.models import RetinaFace, load_model
    from rfapp.models.config import MNET_025, MNET_025_GRAY
    from rfapp.weights import checkpoints

    state = checkpoints.read(mnet.path)
    summed = {**state, "body.stage1.0.0.weight": state["body.stage1.0.0.weight"].sum(dim=1, keepdim=True)}
    assert summed["body.stage1.0.0.weight"].numel() == 72
    colour = load_model(RetinaFace(MNET_025, "test"), state).eval()
    gray = load_model(RetinaFace(MNET_025_GRAY, "test"), summed).eval()
    plane = torch.from_numpy(read_picture(test_data / "photos" / "gray8.png")[:, :, 0].astype(np.float32))
    with torch.inference_mode():
        for a, b in zip(colour(plane.expand(1, 3, *plane.shape)), gray(plane[None, None]), strict=True):
            assert (a - b).abs().max() < 1e-4


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_one_channel_form_works_on_colour_pictures_through_their_luma(mnet, test_data, tmp_path, engine):
    pytest.importorskip("torch")
    from rfapp.models.config import MNET_025_GRAY
    from rfapp.weights import checkpoints

    state = checkpoints.read(mnet.path)
    state["body.stage1.0.0.weight"] = state["body.stage1.0.0.weight"].sum(dim=1, keepdim=True)
    model = replace(mnet, name="gray", path=tmp_path / "gray.safetensors", config=MNET_025_GRAY, sha256="", answer=None)
    checkpoints.save(model, state)
    image = read_picture(test_data / "photos" / "group_six.jpg")
    luma = image.astype(np.float64) @ (0.114, 0.587, 0.299)
    grey = np.repeat(np.round(luma).astype(np.uint8)[:, :, None], 3, axis=2)
    with FaceDetector(str(model.path), engine=engine, precision="float32") as one_plane:
        faces = one_plane(image)
    with FaceDetector(mnet, engine=engine, precision="float32") as colour:
        expected = colour(grey)
    assert len(faces) == len(expected) == 6
    # Scores that are nearly equal may change places; luma is rounded in the grey picture only.
    left_to_right = [boxes[np.argsort(boxes[:, 0])] for boxes in (faces.boxes, expected.boxes)]
    assert np.abs(left_to_right[0] - left_to_right[1]).max() < 0.5
